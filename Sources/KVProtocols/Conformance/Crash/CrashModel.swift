/// Which events of a trace a power cut can undo.
///
/// What a barrier covered stays. Of the other writes, lengths and attributes any may be gone, in any combination, and a write
/// may be there in part. Entries of folders keep their order, as on file systems with a journal: what remains of them is a
/// beginning that holds at least those whose folder was synced.
struct CrashModel {
    let trace: DiskTrace
    /// The events that change entries of folders.
    let names: [Int]
    /// For each event the barrier that made it durable; `Int.max` when none did.
    private let durableFrom: [Int]
    /// For each moment how many of `names` no power cut can undo.
    private let firmNames: [Int]
    /// For each moment how many batches were acknowledged, which one was being applied, and what was shown of them after a
    /// kill.
    private let progress: [(acknowledged: Int, begun: Int?, shown: Int?)]

    /// Moments lie between events: moment n comes before event n, the last one behind all.
    var moments: ClosedRange<Int> { 0...trace.events.count }

    init(_ trace: DiskTrace) {
        self.trace = trace
        var names: [Int] = []
        var durableFrom = [Int](repeating: .max, count: trace.events.count)
        var firmNames = [0]
        var progress: [(acknowledged: Int, begun: Int?, shown: Int?)] = [(0, nil, nil)]
        var pending: [Int] = []
        for (index, event) in trace.events.enumerated() {
            var firm = firmNames[index]
            var (acknowledged, begun, shown) = progress[index]
            switch event {
            case .sync(let barrier, let covered):
                pending.removeAll { earlier in
                    guard earlier < covered, barrier.covers(trace.events[earlier], at: earlier) else { return false }
                    durableFrom[earlier] = index
                    return true
                }
                if let last = names.lastIndex(where: { durableFrom[$0] <= index }) { firm = max(firm, last + 1) }
            case .mark(.begin(let batch)): begun = batch
            case .mark(.acknowledged(let batch)): (acknowledged, begun) = (batch + 1, nil)
            case .mark(.shown(let operations)): (begun, shown) = (nil, operations)
            case .mark: break
            default:
                pending.append(index)
                if event.file == nil { names.append(index) }
            }
            firmNames.append(firm)
            progress.append((acknowledged, begun, shown))
        }
        self.names = names
        self.durableFrom = durableFrom
        self.firmNames = firmNames
        self.progress = progress
    }

    func acknowledged(at moment: Int) -> Int { progress[moment].acknowledged }
    func begun(at moment: Int) -> Int? { progress[moment].begun }
    /// After how many operations of the workload the state was that a second life of the store gave out; `nil` before.
    func shown(at moment: Int) -> Int? { progress[moment].shown }

    /// How many entries' changes may be left: from those that are firm to all so far.
    func nameCounts(at moment: Int) -> ClosedRange<Int> {
        var low = 0
        var high = names.count
        while low < high {
            let middle = (low + high) / 2
            if names[middle] < moment { low = middle + 1 } else { high = middle }
        }
        return min(firmNames[moment], low)...low
    }

    func isFirm(_ event: Int, at moment: Int) -> Bool { durableFrom[event] < moment }

    /// Of the first `count` changes of entries those that a power cut can undo, folder by folder.
    func unsyncedNames(_ count: Int, at moment: Int) -> [Set<Int>] {
        var folders: [DiskObject: Set<Int>] = [:]
        for index in names[..<count] where !isFirm(index, at: moment) {
            // Of a rename the folder of the new name.
            if let folder = trace.events[index].folders.last { folders[folder, default: []].insert(index) }
        }
        return folders.sorted { $0.key < $1.key }.map(\.value)
    }

    /// Whether the barrier at `index` made anything durable: without it a power cut would find more to undo.
    func isEffective(barrier index: Int) -> Bool { durableFrom.contains(index) }

    /// The folders and files below the store's after the first `count` changes of entries, by path, in an order in which
    /// they can be created.
    /// - Parameter astray: changes among these that are lost.
    func tree(
        names count: Int, without astray: Set<Int> = []
    ) -> (folders: [String], files: [(path: String, file: DiskObject)]) {
        var entries: [DiskObject: [String: DiskObject]] = [0: [:]]
        // What each name meant to the process, also where the disk never learnt of it.
        var meant = entries
        for index in names[..<count] {
            let isLeft = !astray.contains(index)
            switch trace.events[index] {
            case .create(let folder, let name, let object, let isFolder):
                if isFolder { (entries[object], meant[object]) = ([:], [:]) }
                meant[folder]?[name] = object
                if isLeft { entries[folder]?[name] = object }
            case .link(let folder, let name, let object):
                meant[folder]?[name] = object
                if isLeft { entries[folder]?[name] = object }
            case .rename(let from, let name, let to, let newName):
                let object = meant[from]?.removeValue(forKey: name)
                meant[to]?[newName] = object
                guard isLeft else { continue }
                entries[from]?[name] = nil
                entries[to]?[newName] = object
            case .remove(let folder, let name):
                meant[folder]?[name] = nil
                if isLeft { entries[folder]?[name] = nil }
            default: break
            }
        }
        var folders: [String] = []
        var files: [(path: String, file: DiskObject)] = []
        var open: [(path: String, folder: DiskObject)] = [("", 0)]
        while let (path, folder) = open.popLast() {
            for (name, object) in (entries[folder] ?? [:]).sorted(by: { $0.key < $1.key }) {
                let place = path.isEmpty ? name : "\(path)/\(name)"
                if entries[object] == nil {
                    files.append((place, object))
                } else {
                    folders.append(place)
                    open.append((place, object))
                }
            }
        }
        return (folders, files)
    }
}

/// What one power cut left.
struct CrashState {
    /// How much of an unsynced write is there.
    enum Tear: Hashable {
        case beginning, end
        /// Its length, but zeroes.
        case hole
    }

    var moment: Int
    /// How many changes of entries are left.
    var names: Int
    /// Those among them that are lost all the same, since their folder was not synced: some file systems keep the order of
    /// names within a folder only.
    var astray: Set<Int> = []
    var lost: Set<Int> = []
    var torn: [Int: Tear] = [:]

    /// What a write has left: the bytes and where they begin.
    static func remains(of bytes: [UInt8], at offset: Int, _ tear: Tear) -> (offset: Int, bytes: ArraySlice<UInt8>) {
        let cut = CrashState.cut(offset, bytes.count) ?? 0
        return switch tear {
        case .beginning: (offset, bytes[..<cut])
        case .end: (offset + cut, bytes[cut...])
        case .hole: (offset + bytes.count, [])
        }
    }

    /// The sectors of a write that have nothing of it.
    static func lostSectors(of count: Int, at offset: Int, _ tear: Tear) -> Range<Int> {
        let border = offset + (cut(offset, count) ?? 0)
        let end = (offset + max(count, 1) - 1) / 512 + 1
        return switch tear {
        case .beginning: border / 512..<end
        case .end: offset / 512..<border / 512
        case .hole: offset / 512..<end
        }
    }

    /// A border between sectors of 512 bytes near the middle of a write; `nil` when it lies within one sector.
    static func cut(_ offset: Int, _ count: Int) -> Int? {
        let border = (offset + count / 2) / 512 * 512
        if border > offset { return border - offset }
        return border + 512 < offset + count ? border + 512 - offset : nil
    }
}
