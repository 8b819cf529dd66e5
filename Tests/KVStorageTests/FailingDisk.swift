import KVProtocols
import Synchronization

@testable import KVStorage

/// The real disk, which fails from a chosen changing call on: as if the process had ended there.
final class FailingDisk: StorageDisk {
    private let disk = SystemDisk()
    private let left: Mutex<Int>

    /// - Parameter calls: changing calls that still work.
    init(after calls: Int) { left = Mutex(calls) }

    var hasFailed: Bool { left.withLock { $0 < 0 } }

    private func change<Result>(_ body: () throws(StorageError) -> Result) throws(StorageError) -> Result {
        let works = left.withLock { left in
            left -= 1
            return left >= 0
        }
        guard works else { throw StorageError(.io, "the process ended here") }
        return try body()
    }

    func makeFolder(_ path: String) throws(StorageError) -> FolderCreation {
        try change { () throws(StorageError) in try disk.makeFolder(path) }
    }
    func permissions(ofFolder path: String) throws(StorageError) -> UInt32? { try disk.permissions(ofFolder: path) }
    func names(in folder: String) throws(StorageError) -> [String] { try disk.names(in: folder) }
    func open(_ path: String) throws(StorageError) -> any StorageFile { try disk.open(path) }
    func create(_ path: String, length: Int) throws(StorageError) -> any StorageFile {
        try change { () throws(StorageError) in try disk.create(path, length: length) }
    }
    func rename(_ path: String, to new: String) throws(StorageError) {
        try change { () throws(StorageError) in try disk.rename(path, to: new) }
    }
    func remove(_ path: String) throws(StorageError) {
        try change { () throws(StorageError) in try disk.remove(path) }
    }
    func syncFolder(_ path: String) throws(StorageError) {
        try change { () throws(StorageError) in try disk.syncFolder(path) }
    }
    func lock(_ path: String) throws(StorageError) -> any StorageLock { try disk.lock(path) }
}
