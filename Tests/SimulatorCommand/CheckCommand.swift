import Foundation
import KVReplication
import KVSimulator

/// Judges a history file.
struct CheckCommand {
    private let path: String
    private let searchLimit: Int

    init(_ arguments: inout Arguments) throws(UsageError) {
        var path: String?
        var limit = 200
        while let word = arguments.next() {
            if word == "--search" {
                limit = try arguments.value(of: word) { Int($0).flatMap { $0 >= 0 ? $0 : nil } }
            } else if path == nil, !word.hasPrefix("-") {
                path = word
            } else {
                throw UsageError("check does not know \(word)")
            }
        }
        guard let path else { throw UsageError("check needs a file") }
        self.path = path
        searchLimit = limit
    }

    func run() throws(UsageError) -> Int32 {
        let calls = try read()
        let verdict = HistoryVerdict(calls, searchLimit: searchLimit)
        for violation in verdict.violations { print("VIOLATION \(violation)") }
        print(
            "\(calls.count) operations on \(verdict.keys) keys: \(verdict.violations.count) violations; "
                + "\(verdict.searched) keys searched in full, \(verdict.undecided) of them undecided")
        return verdict.violations.isEmpty ? 0 : 1
    }

    private func read() throws(UsageError) -> [Call] {
        let data: Data
        do {
            data = try Data(contentsOf: URL(fileURLWithPath: path), options: .mappedIfSafe)
        } catch {
            throw UsageError("\(path) can't be read: \(error)")
        }
        let decoder = JSONDecoder()
        var calls: [Call] = []
        for (number, line) in data.split(separator: UInt8(ascii: "\n")).enumerated() {
            do {
                calls.append(try decoder.decode(HistoryLine.self, from: Data(line)).call(id: UInt64(number + 1)))
            } catch {
                throw UsageError("\(path), operation \(number + 1): \(error)")
            }
        }
        return calls
    }
}
