@testable import KVStorage

/// What a disk holds, on it and in the system's cache above it: a value, so that every moment can be kept and looked at
/// again after any of the power cuts that it may have suffered.
struct DiskImage {
    static let sector = 512

    /// One file: what programs read, what is on the disk, and which sectors differ because no sync reached them.
    struct Content {
        var cached: [UInt8]
        var disk: [UInt8]
        var dirty: Set<Int> = []
        /// The file system may still forget that the file has this length.
        var isLengthDurable = false
    }

    enum Node: Hashable {
        case folder
        case file(Int)
    }

    /// A change of names that no sync of the folder has made durable.
    enum NameChange {
        case add(String, Node)
        case remove(String)
        case rename(String, String, Node)
    }

    /// What becomes of one thing that was never synced.
    enum Fate {
        case lost
        case kept
        /// A sector of which this many bytes are new; anything else is kept.
        case torn(Int)
    }

    private(set) var contents: [Int: Content] = [:]
    private(set) var names: [String: Node] = ["/": .folder]
    private var durableNames: [String: Node] = ["/": .folder]
    private var changes: [(folder: String, change: NameChange)] = []
    /// Files ever made.
    private(set) var created = 0

    // MARK: What programs do

    static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return "/" }
        return String(path[..<slash])
    }

    func id(of path: String) -> Int? {
        if case .file(let id) = names[path] { id } else { nil }
    }

    mutating func makeFolder(_ path: String) {
        change(path, .add(path, .folder))
    }

    mutating func create(_ path: String, length: Int) -> Int {
        let zeros = [UInt8](repeating: 0, count: length)
        created += 1
        contents[created] = Content(cached: zeros, disk: zeros)
        change(path, .add(path, .file(created)))
        return created
    }

    mutating func rename(_ path: String, to new: String) {
        guard let node = names[path] else { return }
        change(path, .rename(path, new, node))
    }

    mutating func remove(_ path: String) {
        change(path, .remove(path))
    }

    mutating func write(_ id: Int, _ bytes: [UInt8], at offset: Int) {
        guard !bytes.isEmpty else { return }
        contents[id]?.cached.replaceSubrange(offset..<offset + bytes.count, with: bytes)
        for sector in offset / Self.sector...(offset + bytes.count - 1) / Self.sector {
            contents[id]?.dirty.insert(sector)
        }
    }

    mutating func sync(_ id: Int) {
        for sector in contents[id]?.dirty ?? [] { copy(sector, of: id) }
        contents[id]?.dirty = []
        contents[id]?.isLengthDurable = true
    }

    /// A sync that fails as on Linux: the pages count as clean from here on, but never reached the disk.
    mutating func failSync(_ id: Int) {
        contents[id]?.dirty = []
    }

    mutating func syncFolder(_ path: String) {
        for (folder, change) in changes where folder == path { Self.apply(change, to: &durableNames) }
        changes.removeAll { $0.folder == path }
    }

    /// Changes the bytes of a file behind everybody's back.
    mutating func damage(_ path: String, _ body: (inout [UInt8]) -> Void) {
        guard let id = id(of: path), var content = contents[id] else { return }
        body(&content.disk)
        content.cached = content.disk
        content.dirty = []
        contents[id] = content
    }

    // MARK: Power cuts

    /// Things that a power cut may keep or lose: each length, sector and name that was not synced.
    var uncertain: Int {
        contents.values.reduce(changes.count) { $0 + $1.dirty.count + ($1.isLengthDurable ? 0 : 1) }
    }

    /// The power comes back: of what was uncertain this is there. One fate each, in an order that the history alone decides.
    mutating func crash(_ fates: [Fate]) {
        var next = fates.makeIterator()
        for id in contents.keys.sorted() {
            guard let content = contents[id] else { continue }
            var hasLength = content.isLengthDurable
            if !hasLength, let fate = next.next() { if case .lost = fate {} else { hasLength = true } }
            for sector in content.dirty.sorted() {
                switch next.next() ?? .lost {
                case .lost: break
                case .kept: copy(sector, of: id)
                case .torn(let bytes): copy(sector, of: id, bytes: bytes)
                }
            }
            let disk = hasLength ? contents[id]?.disk ?? [] : []
            contents[id] = Content(cached: disk, disk: disk, isLengthDurable: true)
        }
        for (_, change) in changes {
            if case .lost = next.next() ?? .lost { continue }
            Self.apply(change, to: &durableNames)
        }
        changes = []
        dropOrphans()
        names = durableNames
        contents = contents.filter { names.values.contains(.file($0.key)) }
    }

    /// Whatever lay in a folder whose own name was lost.
    private mutating func dropOrphans() {
        for path in durableNames.keys.sorted() where durableNames[Self.folder(of: path)] != .folder {
            durableNames[path] = nil
        }
    }

    private mutating func change(_ path: String, _ change: NameChange) {
        Self.apply(change, to: &names)
        changes.append((Self.folder(of: path), change))
    }

    private static func apply(_ change: NameChange, to names: inout [String: Node]) {
        switch change {
        case .add(let path, let node): names[path] = node
        case .remove(let path): names[path] = nil
        case .rename(let path, let new, let node):
            // Lost or not, the creation under the old name no longer matters: the file is where it was moved to.
            names[path] = nil
            names[new] = node
        }
    }

    private mutating func copy(_ sector: Int, of id: Int, bytes: Int = DiskImage.sector) {
        guard let content = contents[id] else { return }
        let start = sector * Self.sector
        let range = start..<min(start + bytes, content.cached.count)
        contents[id]?.disk.replaceSubrange(range, with: content.cached[range])
    }
}
