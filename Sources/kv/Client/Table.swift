/// Columns of text for a person, aligned; what could command the terminal is escaped.
struct Table {
    let header: [String]
    private(set) var rows: [[String]] = []

    init(_ header: String...) { self.header = header }

    /// One text for each column of the header.
    mutating func add(_ row: String...) {
        precondition(row.count == header.count)
        rows.append(row.map { Terminal.printable($0) })
    }

    /// Lines with a line end each. The header is bold where there are colours.
    func text(hasColour: Bool) -> String {
        let widths = header.indices.map { column in ([header] + rows).map { $0[column].count }.max() ?? 0 }
        func line(_ row: [String]) -> String {
            var line = ""
            for (column, cell) in row.enumerated() {
                line += cell
                if column < row.count - 1 { line += String(repeating: " ", count: widths[column] - cell.count + 2) }
            }
            return line
        }
        let head = line(header.map { $0.uppercased() })
        let first = hasColour ? "\u{1B}[1m\(head)\u{1B}[0m" : head
        return ([first] + rows.map(line)).joined(separator: "\n") + "\n"
    }

    func print() {
        Terminal.write(Array(text(hasColour: Terminal.Stream.output.hasColour).utf8))
    }
}
