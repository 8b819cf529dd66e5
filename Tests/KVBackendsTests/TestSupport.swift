import Foundation
import KVBackends
import KVConformance
import KVProtocols
import Testing

/// A backend by name, so that a test's report says which one it was.
struct Engine: Sendable, CustomTestStringConvertible {
    let factory: BackendFactory
    /// Of a plugin: its shared library.
    var library: String?

    /// Every backend that was compiled in, but for the one that is nothing without a library.
    static let builtIn = BackendRegistry.standard.filter { !$0.loadsLibrary }.map { Engine(factory: $0) }
    /// Those, and the plugins of this repository.
    static let all = builtIn + PluginExamples.engines
    /// Those that keep data on a disk.
    static let durable = all.filter { $0.factory.type != "memory" }

    static func named(_ type: String) -> Engine? { all.first { $0.factory.type == type } }

    var testDescription: String { factory.type }

    /// Whether damage of one value is damage of one record. RocksDB has a checksum for each block of many records, and gives
    /// out none of them when it fails.
    var isolatesDamage: Bool { factory.type != "plugin:rocksdb" }

    /// The suite for this engine, in which a worker finds it, too.
    func suite(seed: UInt64 = 1, worker: ConformanceWorker? = nil) throws -> ConformanceSuite {
        let registered = library == nil ? factory : try BackendRegistry.factory(type: "plugin")
        var damage: ConformanceSuite.Damage = StoredBytes.flipBit
        if !isolatesDamage {
            damage = { _, _, _ in throw ConformanceSkip("a checksum of this engine covers many records") }
        }
        return ConformanceSuite(
            registered, options: library.map { [BackendFactory.libraryOption: .string($0)] } ?? [:], seed: seed,
            damage: damage, worker: worker)
    }

    func open(
        _ folder: TestFolder, partitions: Int = ConformanceSuite.partitions, options: [String: OptionValue] = [:]
    ) throws(StorageError) -> any StorageBackend {
        ConformanceWorker.awaitStarts()
        return try factory.open(BackendContext(path: folder.path, partitions: partitions, options: options))
    }
}

/// A folder that is removed with the object.
final class TestFolder: Sendable {
    let path: String

    init(in parent: String = FileManager.default.temporaryDirectory.path) throws {
        path = "\(parent)/kv-test-\(UUID().uuidString)"
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Every regular file below the folder.
    var files: [String] {
        (FileManager.default.subpaths(atPath: path) ?? []).map { "\(path)/\($0)" }.filter { file in
            let type = try? FileManager.default.attributesOfItem(atPath: file)[.type] as? FileAttributeType
            return type == .typeRegular
        }
    }
}

/// Runs a program.
/// - Returns: its standard output; `nil` when it isn't installed or fails.
func output(of program: String, _ arguments: [String]) -> String? {
    let process = Process()
    let pipe = Pipe()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    process.standardOutput = pipe
    process.standardError = FileHandle.nullDevice
    do { try process.run() } catch { return nil }
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return process.terminationStatus == 0 ? String(decoding: data, as: UTF8.self) : nil
}

/// Flips one bit in every occurrence of `value` in the files of `folder`.
@Sendable
func flipBit(in folder: String, _ key: Key, _ value: [UInt8]) throws { try StoredBytes.flipBit(folder, key, value) }

extension ConformanceWorker {
    /// The program that runs engines for tests: it lies beside the test bundle.
    static let forTests: ConformanceWorker? = {
        let places = [
            Bundle.main.bundlePath, Bundle.allBundles.first { $0.bundlePath.hasSuffix(".xctest") }?.bundlePath,
        ]
        let arguments = CommandLine.arguments.first.map { [($0 as NSString).deletingLastPathComponent] } ?? []
        for place in places.compactMap(\.self) + arguments {
            for folder in [place, (place as NSString).deletingLastPathComponent] {
                let path = "\(folder)/kv-conformance-worker"
                if FileManager.default.isExecutableFile(atPath: path) { return ConformanceWorker(executable: path) }
            }
        }
        return nil
    }()
}

/// A record of `key` whose version is made from `number`.
func record(_ key: Key, _ value: [UInt8]?, _ number: UInt64 = 1) -> Record {
    Record(key: key, version: Version(ballot: Ballot(counter: 1, node: NodeID(1)), sequence: number), value: value)
}

extension Key {
    var partition: PartitionID { partition(of: ConformanceSuite.partitions) }
}

extension StorageBackend {
    func put(_ key: Key, _ value: [UInt8]?, _ number: UInt64 = 1) throws(StorageError) {
        try apply([.put(key.partition, key, record(key, value, number))])
    }

    func value(_ key: Key) throws(StorageError) -> [UInt8]? { try read(key.partition, key)?.value }
}

/// The code of the storage error that `body` throws; `nil` when it throws none.
func code(_ body: () throws -> Void) -> StorageError.Code? {
    do {
        try body()
        return nil
    } catch {
        return (error as? StorageError)?.code
    }
}
