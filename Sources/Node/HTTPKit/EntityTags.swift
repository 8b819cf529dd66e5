package import KVProtocols

/// The value of `If-Match` or `If-None-Match`.
package enum EntityTags: Hashable, Sendable {
    /// `*`
    case any
    /// Tags of the list that are versions. A tag that is none can't match anything, and is left out.
    case versions(strong: [Version], weak: [Version])

    /// - Throws: 400 when the list breaks RFC 9110's syntax.
    package init(_ field: String) throws(Problem) {
        if field == "*" {
            self = .any
            return
        }
        var strong: [Version] = []
        var weak: [Version] = []
        for item in field.split(separator: ",") {
            var tag = item.drop { $0 == " " || $0 == "\t" }
            while tag.last == " " || tag.last == "\t" { tag.removeLast() }
            if tag.isEmpty { continue }
            let isWeak = tag.hasPrefix("W/")
            if isWeak { tag.removeFirst(2) }
            guard tag.count >= 2, tag.first == "\"", tag.last == "\"", !tag.dropFirst().dropLast().contains("\"") else {
                throw .badRequest("bad_condition", "an entity tag is a version in double quotes, or the field is *")
            }
            guard let version = Version(tag.dropFirst().dropLast()) else { continue }
            if isWeak { weak.append(version) } else { strong.append(version) }
        }
        self = .versions(strong: strong, weak: weak)
    }

    /// The comparison of `If-None-Match`: weak and strong tags are the same.
    package func matchesWeakly(_ version: Version) -> Bool {
        switch self {
        case .any: true
        case .versions(let strong, let weak): strong.contains(version) || weak.contains(version)
        }
    }

    /// The comparison of `If-Match`: a weak tag never matches.
    package func matchesStrongly(_ version: Version) -> Bool {
        switch self {
        case .any: true
        case .versions(let strong, _): strong.contains(version)
        }
    }
}

extension Version {
    /// As in the `ETag` field: the text form in double quotes.
    package var entityTag: String { "\"\(ballot.counter).\(ballot.node.rawValue).\(sequence)\"" }
}
