import KVProtocols
import Synchronization

@testable import KVStorage

/// A disk in memory that fails when told to and tells every step that it takes.
final class SimulatedDisk: StorageDisk {
    struct State {
        var image: DiskImage
        var locks: Set<String> = []
        /// Calls that changed something, or tried to.
        var calls = 0
        var syncs = 0
        var writes = 0
        var isFull = false
        /// Files that are there can be written and renamed, but no new one has room.
        var refusesFiles = false
        var failsNextSync = false
        /// These calls fail like this.
        var failing: Range<Int> = 0..<0
        var failure = SimulatedDisk.broken
        /// One of them was a sync.
        var hasFailedSync = false
    }

    let state: Mutex<State>
    /// Gets the disk amid each call, when what the call does is done but not durable, and after each sync.
    private let observe: (@Sendable (DiskImage) -> Void)?

    init(_ image: DiskImage = DiskImage(), observe: (@Sendable (DiskImage) -> Void)? = nil) {
        state = Mutex(State(image: image))
        self.observe = observe
    }

    static let broken = StorageError(.io, "the disk failed", cause: "EIO")
    static let full = StorageError(.full, "the disk is full", cause: "ENOSPC")

    enum Call {
        case change
        /// Needs room.
        case growth
        case sync
    }

    /// One call: counts it, fails it if it is to fail, else does it and tells so.
    private func call<Result>(
        _ kind: Call, _ body: (inout State) throws(StorageError) -> Result
    ) throws(StorageError) -> Result {
        let (result, image) = try state.withLock { state throws(StorageError) -> (Result, DiskImage) in
            state.calls += 1
            if state.failing.contains(state.calls) {
                if kind == .sync { state.hasFailedSync = true }
                throw state.failure
            }
            if kind == .growth, state.isFull { throw SimulatedDisk.full }
            let result = try body(&state)
            return (result, state.image)
        }
        observe?(image)
        return result
    }

    private func finish(_ body: (inout State) -> Void) {
        let image = state.withLock { state in
            body(&state)
            return state.image
        }
        observe?(image)
    }

    func makeFolder(_ path: String) throws(StorageError) -> FolderCreation {
        let (isThere, hasParent) = state.withLock { state in
            (state.image.names[path] != nil, state.image.names[DiskImage.folder(of: path)] == .folder)
        }
        if isThere { return .existed }
        guard hasParent else { return .missesParent }
        try call(.growth) { $0.image.makeFolder(path) }
        return .made
    }

    func permissions(ofFolder path: String) throws(StorageError) -> UInt32? {
        state.withLock { $0.image.names[path] == .folder ? 0o700 : nil }
    }

    func names(in folder: String) throws(StorageError) -> [String] {
        state.withLock { state in
            state.image.names.keys
                .filter { $0 != "/" && DiskImage.folder(of: $0) == folder }
                .compactMap { $0.split(separator: "/").last.map(String.init) }
        }
    }

    func open(_ path: String) throws(StorageError) -> any StorageFile {
        let found = state.withLock { state in
            state.image.id(of: path).map { ($0, state.image.contents[$0]?.cached.count ?? 0) }
        }
        guard let (id, length) = found else { throw StorageError(.io, "no such file", cause: "ENOENT", path: path) }
        return SimulatedFile(self, id, length: length)
    }

    func create(_ path: String, length: Int) throws(StorageError) -> any StorageFile {
        let id = try call(.growth) { state throws(StorageError) -> Int in
            if state.refusesFiles { throw SimulatedDisk.full }
            guard state.image.names[path] == nil else {
                throw StorageError(.io, "exists", cause: "EEXIST", path: path)
            }
            return state.image.create(path, length: length)
        }
        return SimulatedFile(self, id, length: length)
    }

    func rename(_ path: String, to new: String) throws(StorageError) {
        try call(.growth) { state throws(StorageError) in
            guard state.image.names[path] != nil else { throw StorageError(.io, "no such file", cause: "ENOENT") }
            state.image.rename(path, to: new)
        }
    }

    func remove(_ path: String) throws(StorageError) {
        try call(.change) { state throws(StorageError) in
            guard state.image.names[path] != nil else { throw StorageError(.io, "no such file", cause: "ENOENT") }
            state.image.remove(path)
        }
    }

    func syncFolder(_ path: String) throws(StorageError) {
        try call(.sync) { _ in }
        finish { $0.image.syncFolder(path) }
    }

    func lock(_ path: String) throws(StorageError) -> any StorageLock {
        let isNew = try state.withLock { state throws(StorageError) -> Bool in
            guard !state.locks.contains(path) else { throw StorageError(.inUse, "locked", path: path) }
            return state.image.names[path] == nil
        }
        if isNew { _ = try call(.growth) { $0.image.create(path, length: 4) } }
        state.withLock { _ = $0.locks.insert(path) }
        return SimulatedLock(self, path)
    }

    fileprivate func write(_ id: Int, _ bytes: [UInt8], at offset: Int) throws(StorageError) {
        do {
            try call(.growth) { state in
                state.writes += 1
                state.image.write(id, bytes, at: offset)
            }
        } catch {
            // As far as it came before it failed.
            finish { $0.image.write(id, Array(bytes.prefix(bytes.count / 2)), at: offset) }
            throw error
        }
    }

    fileprivate func sync(_ id: Int) throws(StorageError) {
        do {
            try call(.sync) { state throws(StorageError) in
                state.syncs += 1
                if state.failsNextSync {
                    state.failsNextSync = false
                    throw StorageError(.io, "sync failed", cause: "EIO")
                }
            }
        } catch {
            finish { $0.image.failSync(id) }
            throw error
        }
        finish { $0.image.sync(id) }
    }

    fileprivate func read(_ id: Int, at offset: Int, count: Int) -> ArraySlice<UInt8> {
        state.withLock { $0.image.contents[id]?.cached.dropFirst(offset).prefix(count) ?? [] }
    }

    fileprivate func release(_ path: String) {
        state.withLock { _ = $0.locks.remove(path) }
    }

    /// With an empty folder for a journal.
    static func withJournal() -> SimulatedDisk {
        var image = DiskImage()
        image.makeFolder("/journal")
        image.syncFolder("/")
        return SimulatedDisk(image)
    }

    var journal: JournalFolder { JournalFolder(disk: self, path: "/journal") }

    func damageSegment(_ number: UInt64, _ body: (inout [UInt8]) -> Void) {
        damage("/journal/segment-\(hexadecimal(number))", body)
    }

    /// The power goes and comes back: any part of what was not synced is there.
    func crash(_ randomness: inout Randomness) {
        let image = state.withLock { $0.image }.crashed(&randomness)
        state.withLock { $0 = State(image: image, calls: $0.calls, syncs: $0.syncs, writes: $0.writes) }
    }

    func damage(_ path: String, _ body: (inout [UInt8]) -> Void) {
        state.withLock { $0.image.damage(path, body) }
    }
}

private final class SimulatedFile: StorageFile {
    private let disk: SimulatedDisk
    private let id: Int
    let length: Int

    init(_ disk: SimulatedDisk, _ id: Int, length: Int) {
        self.disk = disk
        self.id = id
        self.length = length
    }

    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(StorageError) -> Int {
        let bytes = disk.read(id, at: offset, count: buffer.count)
        buffer.copyBytes(from: bytes)
        return bytes.count
    }

    func write(_ parts: [UnsafeRawBufferPointer], at offset: Int) throws(StorageError) {
        try disk.write(id, parts.flatMap { Array($0) }, at: offset)
    }

    func sync() throws(StorageError) { try disk.sync(id) }

    func close() {}
}

private final class SimulatedLock: StorageLock {
    private let disk: SimulatedDisk
    private let path: String

    init(_ disk: SimulatedDisk, _ path: String) {
        self.disk = disk
        self.path = path
    }

    func release() { disk.release(path) }
}
