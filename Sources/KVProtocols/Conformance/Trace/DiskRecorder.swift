#if os(Linux)
import CTrace
import Glibc

/// Turns the system calls of a worker into a `DiskTrace` of the files below one folder.
final class DiskRecorder: TraceObserver {
    private struct Identity: Hashable {
        var device: UInt64
        var inode: UInt64
    }

    private(set) var trace = DiskTrace()
    /// While this is set nothing becomes durable: the process is ended before it learns that it did.
    var ignoresSyncs = false
    /// Files that are mapped for writing and may be lost as a whole.
    private let rebuildable: [String]
    /// The number of a file is used again after it was removed: the newest object counts.
    private var objects: [Identity: DiskObject] = [:]
    private var entries: [DiskObject: [String: DiskObject]] = [0: [:]]
    private var started: [pid_t: Int] = [:]

    init(folder: String, rebuildable: [String]) throws {
        self.rebuildable = rebuildable
        guard let identity = DiskRecorder.identity(folder) else {
            throw ConformanceFailure("the folder \(folder) can't be read")
        }
        objects[identity] = 0
    }

    func willEnter(_ call: SystemCall) -> Intervention {
        started[call.thread] = trace.events.count
        return .none
    }

    // MARK: What is meant

    private static func identity(_ path: String, followingLinks: Bool = true) -> Identity? {
        var status = stat()
        let code = followingLinks ? stat(path, &status) : lstat(path, &status)
        return code == 0 ? Identity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino)) : nil
    }

    /// What the descriptor stands for, if it is below the folder.
    func object(_ call: SystemCall, _ index: Int) -> DiskObject? {
        DiskRecorder.identity(Tracee(thread: call.thread).path(of: call.descriptor(index))).flatMap { objects[$0] }
    }

    /// The folder of a path argument, if it is the store's or below it, and the last component.
    func place(_ call: SystemCall, path index: Int, from base: Int? = nil) -> (folder: DiskObject, name: String)? {
        let tracee = Tracee(thread: call.thread)
        var path = tracee.text(at: call.arguments[index])
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        let slash = path.lastIndex(of: "/")
        let name = slash.map { String(path[path.index(after: $0)...]) } ?? path
        let parent = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let descriptor = base.map { call.descriptor($0) } ?? AT_FDCWD
        guard let identity = DiskRecorder.identity(tracee.path(parent, from: descriptor)) else { return nil }
        return objects[identity].map { ($0, name) }
    }

    /// What a path argument that is not a new name stands for.
    func existing(_ call: SystemCall, path index: Int, from base: Int? = nil) -> DiskObject? {
        place(call, path: index, from: base).flatMap { entries[$0.folder]?[$0.name] }
    }

    func isBelowFolder(_ call: SystemCall, path index: Int, from base: Int? = nil) -> Bool {
        place(call, path: index, from: base) != nil
    }

    func path(_ folder: DiskObject, _ name: String) -> String {
        folder == 0 ? name : "\(trace.paths[folder] ?? "?")/\(name)"
    }

    // MARK: What was done

    func gap(_ reason: String) {
        if !trace.gaps.contains(reason) { trace.gaps.append(reason) }
    }

    func append(_ change: DiskChange) { trace.events.append(change) }

    func appendSync(_ barrier: DiskBarrier, _ call: SystemCall) {
        if ignoresSyncs { return }
        append(.sync(barrier, covers: started[call.thread] ?? trace.events.count))
    }

    /// A file or folder that didn't exist before.
    func appendNew(_ folder: DiskObject, _ name: String, isFolder: Bool, at path: String) {
        guard let identity = DiskRecorder.identity(path, followingLinks: !isFolder) else {
            return gap("a new file was gone before it could be looked at")
        }
        let object = trace.paths.count
        objects[identity] = object
        trace.paths[object] = self.path(folder, name)
        if isFolder { entries[object] = [:] }
        entries[folder]?[name] = object
        append(.create(in: folder, name: name, object, isFolder: isFolder))
    }

    func isFolder(_ object: DiskObject) -> Bool { entries[object] != nil }

    func hasEntry(_ folder: DiskObject, _ name: String) -> Bool { entries[folder]?[name] != nil }

    func appendRename(_ from: (folder: DiskObject, name: String), _ to: (folder: DiskObject, name: String)) {
        let object = entries[from.folder]?.removeValue(forKey: from.name)
        entries[to.folder]?[to.name] = object
        if let object { trace.paths[object] = path(to.folder, to.name) }
        append(.rename(from: from.folder, name: from.name, to: to.folder, newName: to.name))
    }

    func appendRemoval(_ place: (folder: DiskObject, name: String)) {
        entries[place.folder]?[place.name] = nil
        append(.remove(in: place.folder, name: place.name))
    }

    func appendLink(_ place: (folder: DiskObject, name: String), to object: DiskObject) {
        entries[place.folder]?[place.name] = object
        append(.link(in: place.folder, name: place.name, object))
    }

    /// A file whose bytes change without a call.
    func appendMap(of object: DiskObject) {
        let path = trace.paths[object] ?? "?"
        if rebuildable.contains(where: { path.hasSuffix($0) }) { return }
        gap("\(path) is written through a memory map, which no call shows")
    }
}
#endif
