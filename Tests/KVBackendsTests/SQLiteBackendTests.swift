#if SQLite
import Foundation
import KVProtocols
import Testing

@testable import KVSQLiteBackend

@Suite struct SQLiteBackendTests {
    private static let shell = "/usr/bin/sqlite3"

    private func open(_ folder: TestFolder) throws(StorageError) -> SQLiteBackend {
        try SQLiteBackend(BackendContext(path: folder.path, partitions: 8))
    }

    @Test(
        "the sqlite3 shell reads the table while the backend is open",
        .enabled(if: FileManager.default.isExecutableFile(atPath: shell), "needs the sqlite3 shell"))
    func readableWithShell() throws {
        let folder = try TestFolder()
        let backend = try open(folder)
        try backend.put(Key("mykey"), Array("myvalue".utf8), 42)
        try backend.put(Key("gone"), nil, 43)
        let file = "\(folder.path)/kv.sqlite3"
        let query = "SELECT key, CAST(value AS TEXT), sequence FROM records ORDER BY sequence"
        #expect(output(of: Self.shell, ["-readonly", file, query]) == "mykey|myvalue|42\ngone||43\n")
        #expect(output(of: Self.shell, ["-readonly", file, "PRAGMA integrity_check"]) == "ok\n")
        #expect(output(of: Self.shell, [file, "UPDATE records SET key = 'other' WHERE key = 'mykey'"]) != nil)
        let other = try Key("other")
        let entries = try backend.scan(ScanRequest(partition: Key("mykey").partition, limit: 5)).entries
        #expect(entries.contains { $0.key == other && $0.record == nil }, "a row under another key must not be served")
    }

    @Test("a small batch is added to the log and does not move it into the database")
    func logGrows() throws {
        let folder = try TestFolder()
        let backend = try open(folder)
        for number in 1...50 as ClosedRange<UInt64> { try backend.put(Key("key"), [1], number) }
        let log = try #require(try backend.statistics().details.first { $0.name == "log_bytes" })
        // A batch adds at least one page of 4 KiB; a log that is checkpointed each time starts anew each time.
        #expect(log.value >= 50 * 4096)
        try backend.close()
        #expect(folder.files.map { ($0 as NSString).lastPathComponent } == ["kv.sqlite3"])
    }

    @Test("what an earlier process left in its log is in the database before anything is read")
    func movesLog() throws {
        let folder = try TestFolder()
        let backend = try open(folder)
        try backend.put(Key("key"), [1])
        // The files as they are now are those that a killed process leaves; its log may be on no disk.
        let copy = try TestFolder()
        for file in folder.files where !file.hasSuffix("-shm") {
            try FileManager.default.copyItem(
                atPath: file, toPath: "\(copy.path)/\((file as NSString).lastPathComponent)")
        }
        try backend.close()
        // Amid a SELECT of another program, such as the sqlite3 shell.
        let other = try SQLiteConnection("\(copy.path)/kv.sqlite3", .reading)
        let statement = try other.statement(.count)
        #expect(try statement.step())
        let error = #expect(throws: StorageError.self) { _ = try open(copy) }
        #expect(error?.code == .inUse, "\(String(describing: error))")
        statement.reset()
        other.close()
        let again = try open(copy)
        #expect(try again.statistics().details.contains { $0.name == "log_bytes" && $0.value == 0 })
        #expect(try again.value(Key("key")) == [1])
        try again.close()
    }

    @Test(
        "what fails beside SQLite is told by its reason",
        arguments: [
            (ENOSPC, .full), (EDQUOT, .full), (EROFS, .readOnly), (EACCES, .readOnly), (EPERM, .readOnly),
            (ELOOP, .foreign), (EIO, .io), (EMFILE, .io),
        ] as [(Int32, StorageError.Code)])
    func systemErrors(number: Int32, code: StorageError.Code) {
        let error = SQLiteFiles.failure(number, "the folder can't be synced", path: "/data")
        #expect(error.code == code && error.path == "/data")
        #expect(error.cause == String(cString: strerror(number)))
    }

    @Test("of a folder that can't be synced the reason is told")
    func unsynced() throws {
        let folder = try TestFolder()
        try FileManager.default.createSymbolicLink(
            atPath: "\(folder.path)/kv.sqlite3-wal", withDestinationPath: folder.path)
        #expect(code { try SQLiteFiles.sync(folder.path) } == .foreign)
        #expect(code { try SQLiteFiles.sync("\(folder.path)/nothing") } == .io)
    }

    @Test(
        "an error of SQLite is told by its reason",
        arguments: [
            (SQLiteCode.full, .full), (SQLiteCode.inputOutput | 19 << 8, .full), (SQLiteCode.inputOutput, .io),
            (SQLiteCode.inputOutput | 4 << 8, .io), (SQLiteCode.readOnly, .readOnly), (SQLiteCode.corrupt, .damaged),
            (SQLiteCode.busy, .inUse), (SQLiteCode.busy | 1 << 8, .inUse), (SQLiteCode.tooBig, .invalid),
        ] as [(Int32, StorageError.Code)])
    func codes(number: Int32, code: StorageError.Code) {
        let error = SQLiteError(code: number, connection: nil).storageError("the batch can't be written", path: "/data")
        #expect(error.code == code && error.path == "/data")
        #expect(error.cause.contains("(\(number))"))
    }

    /// As sqlite3.h has them, in whose low byte the others stand.
    private enum SQLiteCode {
        static let (busy, readOnly, inputOutput, corrupt, full, tooBig): (Int32, Int32, Int32, Int32, Int32, Int32) =
            (5, 8, 10, 11, 13, 18)
    }

    @Test("a database of another program is refused")
    func foreign() throws {
        let folder = try TestFolder()
        let file = "\(folder.path)/kv.sqlite3"
        try #require(output(of: Self.shell, [file, "CREATE TABLE t(x)"]) != nil)
        #expect(code { _ = try open(folder) } == .foreign)
        try Data(repeating: 7, count: 10_000).write(to: URL(fileURLWithPath: file))
        #expect(code { _ = try open(folder) } == .damaged)
    }

    @Test("the log is moved into the database before it grows without bound")
    func checkpoints() throws {
        let folder = try TestFolder()
        let backend = try open(folder)
        let keys = try (0..<64).map { try Key("k\($0)") }
        for round in 0..<20 as Range<UInt64> {
            try backend.apply(
                keys.map {
                    .put($0.partition, $0, record($0, [UInt8](repeating: UInt8(round), count: 64 << 10), round))
                })
        }
        let log = try #require(try backend.statistics().details.first { $0.name == "log_bytes" })
        #expect(log.value < 64 << 20)
        try backend.close()
        #expect(folder.files.map { ($0 as NSString).lastPathComponent } == ["kv.sqlite3"])
    }
}
#endif
