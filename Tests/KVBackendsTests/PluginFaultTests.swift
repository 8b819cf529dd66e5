import Foundation
import KVBackends
import KVPluginBackend
import KVProtocols
import Testing

/// What the host does about engines that fail or break the rules; the engine is `Tests/Plugins/faulty.c`.
@Suite struct PluginFaultTests {
    private static let folder = Result { try TestFolder() }
    private static let library = Result {
        try PluginExamples.compile(
            String(contentsOfFile: "\(PluginExamples.root)/Tests/Plugins/faulty.c", encoding: .utf8),
            in: folder.get().path, name: "faulty")
    }

    private func open(_ fault: String, code: Int64 = 0, extra: [String: OptionValue] = [:]) throws -> any StorageBackend
    {
        var options = extra
        options["library"] = .string(try Self.library.get())
        options["fault"] = .string(fault)
        options["code"] = .integer(code)
        return try PluginBackend(BackendContext(path: Self.folder.get().path, partitions: 8, options: options))
    }

    private let keys = ["{t}a1", "{t}a2", "{t}b1"].map { Key(unchecked: Array($0.utf8)) }
    private var partition: PartitionID { keys[0].partition }

    /// An engine with three records, of which `keys[0]` is read first.
    private func filled(_ fault: String, code: Int64 = 0) throws -> any StorageBackend {
        let backend = try open(fault, code: code)
        try backend.apply(keys.map { .put($0.partition, $0, record($0, Array("value of \($0)".utf8))) })
        return backend
    }

    private func failure(_ body: () throws -> Void) -> StorageError? {
        #expect(throws: StorageError.self, performing: body)
    }

    private func isBreach(_ error: StorageError?) -> Bool {
        error?.code == .io && error?.message.contains("breaks the rules of kv_backend.h") == true
    }

    @Test("without a fault it works")
    func works() throws {
        let backend = try filled("none")
        #expect(try backend.value(keys[1]) == Array("value of \(keys[1])".utf8))
        #expect(try backend.version(partition, keys[1])?.sequence == 1)
        let page = try backend.scan(
            ScanRequest(partition: partition, after: keys[0], prefix: Array("{t}a".utf8), limit: 5))
        #expect(page.entries.map(\.key) == [keys[1]] && page.isLast)
        try backend.apply([.metadata(.node, "n", [1]), .metadata(.partition(partition), "n", [])])
        #expect(try backend.metadata(.node, "n") == [1])
        #expect(try backend.metadata(.partition(partition), "n") == [])
        #expect(try backend.statistics().details.map(\.name) == ["late_calls"])
        try backend.close()
    }

    static let answers: [(Int64, StorageError.Code)] = [
        (1, .full), (2, .readOnly), (3, .poisoned), (4, .damaged), (5, .inUse), (6, .foreign), (7, .invalid),
        (8, .unsupported), (9, .io), (10, .io), (-1, .io), (Int64(Int32.max), .io), (Int64(Int32.min), .io),
    ]

    @Test("every code of an engine is an error with its text, known or not", arguments: answers)
    func codes(number: Int64, expected: StorageError.Code) throws {
        let opening = failure { _ = try open("open", code: number) }
        #expect(opening?.code == expected)
        for fault in ["read", "scan", "statistics", "close"] {
            let backend = try filled(fault, code: number)
            let error = failure {
                switch fault {
                case "read": _ = try backend.read(partition, keys[0])
                case "scan": _ = try backend.scan(ScanRequest(partition: partition, limit: 10))
                case "statistics": _ = try backend.statistics()
                default: try backend.close()
                }
            }
            #expect(error?.code == expected, "\(fault)")
            #expect(error?.message.hasSuffix(String(repeating: "m", count: 512)) == true, "\(fault)")
            #expect(error?.cause.contains("\n") == false)
            if fault != "close" {
                let isPoisoned = number == 3
                #expect((answer(of: backend) == .poisoned) == isPoisoned, "\(fault): poisoned by code \(number)")
                try backend.close()
            }
            #expect(answer(of: backend) == .closed)
            try backend.close()
        }
    }

    private func answer(of backend: any StorageBackend) -> StorageError.Code? {
        code { _ = try backend.metadata(.node, "absent") }
    }

    @Test(
        "a batch that failed for an unknown reason poisons, one that failed for a known one doesn't", arguments: answers
    )
    func apply(number: Int64, expected: StorageError.Code) throws {
        let backend = try open("apply", code: number)
        let error = failure { try backend.put(keys[0], [1]) }
        let isHarmless = [1, 2, 7, 8].contains(number)
        #expect(error?.code == (isHarmless ? expected : .poisoned))
        guard !isHarmless else {
            #expect(try backend.read(partition, keys[0]) == nil)
            return try backend.close()
        }
        #expect(code { _ = try backend.read(partition, keys[0]) } == .poisoned)
        #expect(code { _ = try backend.version(partition, keys[0]) } == .poisoned)
        #expect(code { _ = try backend.scan(ScanRequest(partition: partition, limit: 1)) } == .poisoned)
        #expect(code { try backend.put(keys[0], [1]) } == .poisoned)
        #expect(code { try backend.apply([]) } == .poisoned)
        #expect(code { _ = try backend.statistics() } == .poisoned)
        #expect(code { try backend.destroy() } == .poisoned)
        try backend.close()
        #expect(answer(of: backend) == .closed)
        #expect(code { try backend.destroy() } == .closed)
    }

    @Test("an engine that opens without a store is refused")
    func noStore() {
        #expect(failure { _ = try open("no store") }?.code == .io)
    }

    @Test(
        "options reach the engine as texts",
        arguments: [
            (OptionValue.string("a \"b\""), "a \"b\""), (.integer(-7), "-7"), (.integer(.max), "9223372036854775807"),
            (.number(2.5), "2.5"), (.boolean(true), "true"), (.boolean(false), "false"), (.string(""), ""),
        ])
    func options(value: OptionValue, text: String) {
        let error = failure { _ = try open("none", extra: ["mine": value]) }
        #expect(error?.code == .invalid)
        #expect(error?.cause == text)
    }

    @Test("an option with a NUL is refused")
    func optionWithNUL() {
        #expect(failure { _ = try open("none", extra: ["mine": .string("a\u{0}b")]) }?.message.contains("NUL") == true)
        #expect(failure { _ = try open("none", extra: ["mi\u{0}ne": .string("a")]) }?.message.contains("NUL") == true)
    }

    @Test(
        "a value that can't be a record is damage",
        arguments: ["negative length", "huge length", "no bytes", "short", "half", "flipped bit"])
    func damagedValue(fault: String) throws {
        let backend = try filled(fault)
        try backend.apply([.metadata(.node, "n", Array("metadata of more than ten bytes".utf8))])
        #expect(failure { _ = try backend.read(partition, keys[0]) }?.code == .damaged)
        #expect(failure { _ = try backend.metadata(.node, "n") }?.code == .damaged)
        let isHeaderWhole = ["half", "flipped bit"].contains(fault)
        #expect((code { _ = try backend.version(partition, keys[1]) } == nil) == isHeaderWhole)
        try backend.close()
    }

    @Test("a read that hands nothing over is absence, one that does so twice breaks the rules")
    func sink() throws {
        let silent = try filled("never")
        #expect(try silent.read(partition, keys[0]) == nil)
        try silent.close()
        let eager = try filled("twice")
        #expect(isBreach(failure { _ = try eager.read(partition, keys[0]) }))
        #expect(isBreach(failure { _ = try eager.version(partition, keys[0]) }))
        try eager.close()
    }

    @Test(
        "a scan that breaks the rules is an error, and never a page",
        arguments: [
            "backwards", "repeats", "ignores after", "ignores prefix", "does not stop", "empty key", "long key",
            "negative key", "no key",
        ])
    func scan(fault: String) throws {
        let backend = try filled(fault)
        let request = ScanRequest(partition: partition, after: keys[0], prefix: Array("{t}a".utf8), limit: 1)
        let all = ScanRequest(partition: partition, limit: 10)
        let first = ScanRequest(partition: partition, limit: 1)
        let wanted =
            ["ignores after", "ignores prefix"].contains(fault) ? request : fault == "does not stop" ? first : all
        for values in [true, false] {
            var wanted = wanted
            wanted.values = values
            #expect(isBreach(failure { _ = try backend.scan(wanted) }))
        }
        try backend.close()
    }

    @Test(
        "a scan with values that can't be records goes on", arguments: ["unreadable", "huge value", "negative value"])
    func scanDamage(fault: String) throws {
        let backend = try filled(fault)
        for values in [true, false] {
            let page = try backend.scan(ScanRequest(partition: partition, limit: 10, values: values))
            #expect(page.entries == keys.map { ScanPage.Entry(key: $0, record: nil) })
            #expect(page.isLast)
        }
        try backend.close()
    }

    @Test("figures that can't be are an error", arguments: ["many figures", "bad figure"])
    func figures(fault: String) throws {
        let backend = try filled(fault)
        #expect(isBreach(failure { _ = try backend.statistics() }))
        try backend.close()
    }

    @Test("a figure's name without a NUL ends with its field, and any number is one")
    func endlessFigure() throws {
        let endless = try filled("endless figure")
        #expect(try endless.statistics().details.map(\.name) == [String(repeating: "f", count: 48)])
        try endless.close()
        let many = try filled("many keys")
        #expect(try many.statistics().keys == .max)
        try many.close()
    }

    @Test("no call reaches the engine while or after it is closed")
    func closing() throws {
        let key = keys[0]
        for round in 0..<20 {
            let backend = try filled("slow")
            let passes = DispatchSemaphore(value: 0)
            let readers = DispatchGroup()
            for _ in 0..<4 {
                DispatchQueue.global().async(group: readers) {
                    var seen: StorageError.Code?
                    while seen == nil {
                        seen = code {
                            _ = try backend.read(key.partition, key)
                            _ = try backend.scan(ScanRequest(partition: key.partition, limit: 2))
                            _ = try backend.statistics()
                        }
                        passes.signal()
                    }
                    #expect(seen == .closed)
                }
            }
            for _ in 0..<round { passes.wait() }
            try round % 2 == 0 ? backend.close() : backend.destroy()
            readers.wait()
        }
        let witness = try open("none")
        #expect(try witness.statistics().details.first?.value == 0)
        try witness.close()
    }

    @Test("a backend that nobody closes is closed with its last reference, once")
    func forgotten() throws {
        try { _ = try filled("none") }()
        let witness = try open("none")
        #expect(try witness.statistics().details.first?.value == 0)
        try witness.close()
        try witness.close()
    }
}
