/// The known name that was probably meant; `nil` when none is near. Names are compared by the number of single
/// characters to insert, delete, replace or swap with their neighbour; up to a third of the name, at least one, may
/// differ. O(names × length²), lengths bounded.
func nearestName(to name: String, among known: [String]) -> String? {
    let wanted = Array(name.lowercased().unicodeScalars.prefix(64))
    var best: (name: String, distance: Int)?
    for candidate in known {
        let distance = editDistance(wanted, Array(candidate.lowercased().unicodeScalars.prefix(64)))
        let isNear = distance <= max(1, max(wanted.count, candidate.count) / 3)
        if isNear, distance < best?.distance ?? .max { best = (candidate, distance) }
    }
    return best?.name
}

/// The end of a message about an unknown name: the nearest known one, or all of them.
func suggestion(for name: String, among known: [String]) -> String {
    if let nearest = nearestName(to: name, among: known) { return "did you mean \(quoted(nearest))?" }
    return known.isEmpty ? "none is known here" : "known are: \(known.joined(separator: ", "))"
}

/// Optimal string alignment, three rows at a time.
private func editDistance(_ left: [Unicode.Scalar], _ right: [Unicode.Scalar]) -> Int {
    guard !left.isEmpty, !right.isEmpty else { return max(left.count, right.count) }
    var beforeLast = [Int](repeating: 0, count: right.count + 1)
    var last = Array(0...right.count)
    for row in 1...left.count {
        var current = [Int](repeating: row, count: right.count + 1)
        for column in 1...right.count {
            let isSame = left[row - 1] == right[column - 1]
            var cost = min(last[column] + 1, current[column - 1] + 1, last[column - 1] + (isSame ? 0 : 1))
            if row > 1, column > 1, left[row - 1] == right[column - 2], left[row - 2] == right[column - 1] {
                cost = min(cost, beforeLast[column - 2] + 1)
            }
            current[column] = cost
        }
        beforeLast = last
        last = current
    }
    return last[right.count]
}
