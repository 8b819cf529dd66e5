/// A file or folder of the traced process, by the order of appearance; 0 is the store's folder.
typealias DiskObject = Int

/// One thing that a traced process did to the files below its folder.
enum DiskChange {
    case write(DiskObject, offset: Int, bytes: [UInt8])
    case resize(DiskObject, length: Int)
    /// Zeroes from `offset` on; beyond the end only where `extends`.
    case zero(DiskObject, offset: Int, count: Int, extends: Bool)
    /// `nil` removes the extended attribute.
    case attribute(DiskObject, name: String, bytes: [UInt8]?)
    case create(in: DiskObject, name: String, DiskObject, isFolder: Bool)
    case link(in: DiskObject, name: String, DiskObject)
    case rename(from: DiskObject, name: String, to: DiskObject, newName: String)
    case remove(in: DiskObject, name: String)
    /// Makes events before `covers` durable.
    case sync(DiskBarrier, covers: Int)
    case mark(Mark)

    /// The file whose content, length or attributes it changes.
    var file: DiskObject? {
        switch self {
        case .write(let file, _, _), .resize(let file, _), .zero(let file, _, _, _), .attribute(let file, _, _): file
        default: nil
        }
    }

    /// The folders whose entries it changes.
    var folders: [DiskObject] {
        switch self {
        case .create(let folder, _, _, _), .link(let folder, _, _), .remove(let folder, _): [folder]
        case .rename(let from, _, let to, _): from == to ? [from] : [from, to]
        default: []
        }
    }
}

/// What a call waits for until it is on the medium.
enum DiskBarrier {
    /// Content and length of a file; with `attributes` also those.
    case file(DiskObject, attributes: Bool)
    /// The entries of a folder.
    case folder(DiskObject)
    case everything
    /// One write through a descriptor that syncs.
    case event(Int)

    /// Whether it makes this change durable. Entries are not covered by syncing the file behind them.
    func covers(_ change: DiskChange, at index: Int) -> Bool {
        switch self {
        case .everything: true
        case .event(let event): event == index
        case .folder(let folder): change.folders.contains(folder)
        case .file(let file, let attributes):
            if case .attribute = change, !attributes { false } else { change.file == file }
        }
    }
}

/// Everything that a traced process did, in the order in which the calls returned.
struct DiskTrace {
    var events: [DiskChange] = []
    /// The path of each object below the store's folder, as it was called last.
    var paths: [DiskObject: String] = [0: "."]
    /// Why the trace doesn't tell everything, if it doesn't: a mapped file, a call that is not understood.
    var gaps: [String] = []

    /// The event in a few words.
    func describe(_ index: Int) -> String {
        func path(_ object: DiskObject) -> String { paths[object] ?? "file \(object)" }
        return switch events[index] {
        case .write(let file, let offset, let bytes): "write \(bytes.count) bytes at \(offset) of \(path(file))"
        case .resize(let file, let length): "set length \(length) of \(path(file))"
        case .zero(let file, let offset, let count, _): "zero \(count) bytes at \(offset) of \(path(file))"
        case .attribute(let file, let name, let bytes): "\(bytes == nil ? "remove" : "set") \(name) of \(path(file))"
        case .create(let folder, let name, _, let isFolder):
            "create \(isFolder ? "folder " : "")\(path(folder))/\(name)"
        case .link(let folder, let name, let file): "link \(path(folder))/\(name) to \(path(file))"
        case .rename(let from, let name, let to, let newName): "rename \(path(from))/\(name) to \(path(to))/\(newName)"
        case .remove(let folder, let name): "remove \(path(folder))/\(name)"
        case .mark(let mark): "-- \(mark.text.prefix(60))"
        case .sync(.everything, _): "sync everything"
        case .sync(.event(let event), _): "sync of event \(event)"
        case .sync(.folder(let folder), _): "fsync folder \(path(folder))"
        case .sync(.file(let file, let attributes), _): "\(attributes ? "fsync" : "fdatasync") \(path(file))"
        }
    }
}
