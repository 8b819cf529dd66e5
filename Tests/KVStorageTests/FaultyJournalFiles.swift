import KVProtocols
import Synchronization

@testable import KVStorage

/// A small generator of numbers (SplitMix64): the same seed gives the same history.
struct Randomness: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}

/// A journal folder in memory that knows which bytes and names a power cut would keep.
final class FaultyJournalFiles: JournalFiles, Sendable {
    static let sector = 512

    /// One file: what programs read, what is on the disk, and which sectors differ because no sync reached them.
    struct Content {
        var cached: [UInt8]
        var disk: [UInt8]
        var dirty: Set<Int> = []
    }

    struct State {
        var contents: [Int: Content] = [:]
        var nextContent = 0
        var names: [String: Int] = [:]
        var durableNames: [String: Int] = [:]
        /// Calls that change something until the power goes; `nil` means it stays.
        var callsLeft: Int?
        var isFull = false
        var failsNextSync = false
        var syncs = 0
        var writes = 0
    }

    let state = Mutex(State())

    static let off = StorageError(.io, "the power is off")

    private func change<Result>(_ body: (inout State) throws(StorageError) -> Result) throws(StorageError) -> Result {
        try state.withLock { state throws(StorageError) in
            if let left = state.callsLeft {
                guard left > 0 else { throw FaultyJournalFiles.off }
                state.callsLeft = left - 1
            }
            return try body(&state)
        }
    }

    func names() throws(StorageError) -> [String] {
        state.withLock { Array($0.names.keys) }
    }

    func open(_ name: String) throws(StorageError) -> any JournalFile {
        let found = state.withLock { state in
            state.names[name].map { ($0, state.contents[$0]?.cached.count ?? 0) }
        }
        guard let (id, length) = found else { throw StorageError(.io, "no such file", cause: "ENOENT", path: name) }
        return FaultyJournalFile(self, id, length: length)
    }

    func create(_ name: String, length: Int) throws(StorageError) -> any JournalFile {
        let id = try change { state throws(StorageError) -> Int in
            guard !state.isFull else { throw StorageError(.full, "full", cause: "ENOSPC") }
            guard state.names[name] == nil else { throw StorageError(.io, "exists", cause: "EEXIST", path: name) }
            let zeros = [UInt8](repeating: 0, count: length)
            state.nextContent += 1
            state.contents[state.nextContent] = Content(cached: zeros, disk: zeros)
            state.names[name] = state.nextContent
            return state.nextContent
        }
        return FaultyJournalFile(self, id, length: length)
    }

    func rename(_ name: String, to new: String) throws(StorageError) {
        try change { state throws(StorageError) in
            guard let id = state.names.removeValue(forKey: name) else { throw StorageError(.io, "no such file") }
            state.names[new] = id
        }
    }

    func remove(_ name: String) throws(StorageError) {
        _ = try change { $0.names.removeValue(forKey: name) }
    }

    func sync() throws(StorageError) {
        try change { $0.durableNames = $0.names }
    }

    fileprivate func write(_ id: Int, _ bytes: [UInt8], at offset: Int) throws(StorageError) {
        // A power cut in the middle of a write leaves the sectors before it in the cache.
        let isCut = state.withLock { $0.callsLeft == 0 }
        let part = isCut ? bytes.prefix(bytes.count / 2) : bytes[...]
        state.withLock { state in
            guard !part.isEmpty, !state.isFull else { return }
            state.writes += 1
            state.contents[id]?.cached.replaceSubrange(offset..<offset + part.count, with: part)
            for sector in offset / Self.sector...(offset + part.count - 1) / Self.sector {
                state.contents[id]?.dirty.insert(sector)
            }
        }
        try change { state throws(StorageError) in
            if state.isFull { throw StorageError(.full, "full", cause: "ENOSPC") }
        }
    }

    fileprivate func sync(_ id: Int) throws(StorageError) {
        try change { state throws(StorageError) in
            state.syncs += 1
            if state.failsNextSync {
                // As Linux does it: the pages count as clean from here on, but never reached the disk.
                state.failsNextSync = false
                state.contents[id]?.dirty = []
                throw StorageError(.io, "sync failed", cause: "EIO")
            }
            guard var content = state.contents[id] else { return }
            for sector in content.dirty { Self.copy(sector, &content) }
            content.dirty = []
            state.contents[id] = content
        }
    }

    fileprivate func read(_ id: Int, at offset: Int, count: Int) -> [UInt8] {
        state.withLock { Array($0.contents[id]?.cached.dropFirst(offset).prefix(count) ?? []) }
    }

    private static func copy(_ sector: Int, _ content: inout Content) {
        let range = sector * Self.sector..<min((sector + 1) * Self.sector, content.cached.count)
        content.disk.replaceSubrange(range, with: content.cached[range])
    }

    /// The power comes back: of what was not synced any part may be there, of names that were not synced either.
    func crash(_ randomness: inout Randomness) {
        state.withLock { state in
            for id in state.contents.keys.sorted() {
                guard var content = state.contents[id] else { continue }
                for sector in content.dirty.sorted() where Bool.random(using: &randomness) {
                    Self.copy(sector, &content)
                }
                content.dirty = []
                content.cached = content.disk
                state.contents[id] = content
            }
            if Bool.random(using: &randomness) { state.names = state.durableNames }
            state.durableNames = state.names
            state.callsLeft = nil
            state.isFull = false
            state.failsNextSync = false
        }
    }

    /// Changes the bytes of a file behind everybody's back.
    func damage(_ name: String, _ body: (inout [UInt8]) -> Void) {
        state.withLock { state in
            guard let id = state.names[name], var content = state.contents[id] else { return }
            body(&content.disk)
            content.cached = content.disk
            content.dirty = []
            state.contents[id] = content
        }
    }
}

private final class FaultyJournalFile: JournalFile, Sendable {
    let files: FaultyJournalFiles
    let id: Int
    let length: Int

    init(_ files: FaultyJournalFiles, _ id: Int, length: Int) {
        self.files = files
        self.id = id
        self.length = length
    }

    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(StorageError) -> Int {
        let bytes = files.read(id, at: offset, count: buffer.count)
        buffer.copyBytes(from: bytes)
        return bytes.count
    }

    func write(_ parts: [UnsafeRawBufferPointer], at offset: Int) throws(StorageError) {
        try files.write(id, parts.flatMap { Array($0) }, at: offset)
    }

    func sync() throws(StorageError) { try files.sync(id) }

    func close() {}
}
