public import KVProtocols

/// A folder whose backend was exchanged in the configuration: what it holds is set aside, nothing is deleted.
extension DataFolder {
    /// In `.kv` while a folder's content is being set aside: the name of the folder that it goes to.
    static let asideName = "set-aside"
    private static let oldPrefix = ".kv-old-"
    private static let maximumOldFolders = 1_000

    /// The type of the backend whose data the folder holds; `nil` for a folder without data, or without one.
    /// - Throws: `.damaged` and `.foreign` when its marker can't be understood, `.io`.
    public static func occupant(of path: String) throws(StorageError) -> String? {
        try occupant(of: path, SystemDisk())
    }

    /// Moves everything that the folder holds, its journal and identity included, into a folder `.kv-old-TYPE` in it, so that
    /// a node can begin there with nothing. What was moved is a data folder of its own: a node opens it under the old type.
    ///
    /// A crash leaves the folder as it was or half moved; then the next `setAside` or `DataFolder(path:backendType:)` moves
    /// the rest, and `isBeingSetAside` says so until then.
    /// Renames only: cost O(entries at the top of the folder). Durable when it returns.
    /// - Returns: the path to which everything was moved.
    /// - Throws: `.inUse` when a process has the folder open, `.foreign` when it holds no data or was converted, `.readOnly`,
    ///   `.full`, `.io`.
    @discardableResult
    public static func setAside(_ path: String) throws(StorageError) -> String {
        try setAside(path, SystemDisk())
    }

    /// Keeps other processes out of a folder with data, for what comes before `setAside`, and says early what that would
    /// refuse. Release it before `setAside`, which looks again.
    /// - Throws: `.inUse` when a process has the folder open, `.foreign` when it was converted, `.readOnly`, `.io`.
    public static func claim(_ path: String) throws(StorageError) -> FolderClaim {
        let disk = SystemDisk()
        let lock = try disk.lock("\(path)/.kv/lock")
        do throws(StorageError) {
            try refuseConverted(path, disk)
        } catch {
            lock.release()
            throw error
        }
        return FolderClaim(lock)
    }

    /// Whether a `setAside` of the folder was begun and interrupted. `false` for a folder that isn't there.
    ///
    /// Part of the data may have been moved, so no node goes on with it, not under the old type either: the next
    /// `DataFolder(path:backendType:)` moves the rest whatever its type, and begins with nothing. Whoever must not begin
    /// like that unless others have the data asks here first, also when `occupant` is the type that is configured, or
    /// `nil`. The folder's lock is not taken.
    /// - Throws: `.readOnly`, `.io` when the folder can't be listed: then nobody knows.
    public static func isBeingSetAside(_ path: String) throws(StorageError) -> Bool {
        try isBeingSetAside(path, SystemDisk())
    }

    static func isBeingSetAside(_ path: String, _ disk: any StorageDisk) throws(StorageError) -> Bool {
        do {
            guard try disk.names(in: path).contains(".kv") else { return false }
            return try disk.names(in: "\(path)/.kv").contains(asideName)
        } catch  where ["ENOENT", "ENOTDIR"].contains(error.cause) {
            return false
        }
    }

    static func occupant(of path: String, _ disk: any StorageDisk) throws(StorageError) -> String? {
        let hidden = "\(path)/.kv"
        do {
            guard try disk.names(in: path).contains(".kv"), try disk.names(in: hidden).contains(markerName) else {
                return nil
            }
        } catch  where error.code == .io {
            // No folder: whoever opens it will say why if that is no reason to make one.
            return nil
        }
        return try marker("\(hidden)/\(markerName)", disk).type
    }

    /// For whoever would read data that is half moved.
    static func refuseHalfSetAside(_ path: String, _ disk: any StorageDisk) throws(StorageError) {
        guard try isBeingSetAside(path, disk) else { return }
        let old = try asidePath(path, disk)
        throw StorageError(
            .foreign,
            "setting the folder's data aside was interrupted; start the node under its new backend once, so that it moves the "
                + "rest, then use \(old)", path: path)
    }

    static func setAside(_ path: String, _ disk: any StorageDisk) throws(StorageError) -> String {
        let hidden = "\(path)/.kv"
        let lock = try disk.lock("\(hidden)/lock")
        defer { lock.release() }
        // Its data goes on elsewhere, and what was set aside would open beside it: one member with two memories.
        try refuseConverted(path, disk)
        if try !disk.names(in: hidden).contains(asideName) {
            guard let type = try occupant(of: path, disk) else {
                throw StorageError(.foreign, "the folder holds no data of a node", path: path)
            }
            try writeText(try freeName(path, type: type, disk), hidden, asideName, disk)
        }
        let old = try asidePath(path, disk)
        try finishSettingAside(path, disk)
        return old
    }

    /// Where the note says that everything goes.
    private static func asidePath(_ path: String, _ disk: any StorageDisk) throws(StorageError) -> String {
        let note = "\(path)/.kv/\(asideName)"
        let name = try readText(note, disk)
        guard name.hasPrefix(oldPrefix), !name.contains("/") else {
            throw StorageError(.damaged, "the note of what is set aside can't be read", path: note)
        }
        return "\(path)/\(name)"
    }

    /// Moves what is still to be moved, if anything is. The folder's lock is held.
    static func finishSettingAside(_ path: String, _ disk: any StorageDisk) throws(StorageError) {
        let hidden = "\(path)/.kv"
        guard try disk.names(in: hidden).contains(asideName) else { return }
        let old = try asidePath(path, disk)
        if try disk.names(in: hidden).contains(convertingName) {
            // The conversion that brought this data is over but for its note, by which another call would give the data's
            // identity to what begins here next.
            try disk.remove("\(hidden)/\(convertingName)")
        }
        // Whoever wrote the note of the folder may not have come so far, and nothing moves before it is durable.
        try disk.syncFolder(hidden)
        try makeDurable(old, disk)
        try makeDurable("\(old)/.kv", disk)
        for entry in try disk.names(in: path).sorted() where isContent(entry) {
            try disk.rename("\(path)/\(entry)", to: "\(old)/\(entry)")
        }
        // The marker last: without it what is left here would be nobody's.
        for entry in ["journal", markerName] where try disk.names(in: hidden).contains(entry) {
            for folder in [old, path] { try disk.syncFolder(folder) }
            try disk.rename("\(hidden)/\(entry)", to: "\(old)/.kv/\(entry)")
            for folder in ["\(old)/.kv", hidden] { try disk.syncFolder(folder) }
        }
        try disk.remove("\(hidden)/\(asideName)")
        try disk.syncFolder(hidden)
    }

    /// Whether an entry of a data folder belongs to its backend.
    static func isContent(_ name: String) -> Bool {
        name != ".kv" && name != "lost+found" && !name.hasPrefix(oldPrefix)
    }

    private static func freeName(
        _ path: String, type: String, _ disk: any StorageDisk
    ) throws(StorageError) -> String {
        let names = try disk.names(in: path)
        // A type is a word of `a-z0-9_`, that of every plugin being `plugin`.
        let first = oldPrefix + type
        for number in 1...maximumOldFolders {
            let name = number == 1 ? first : "\(first)-\(number)"
            if !names.contains(name) { return name }
        }
        throw StorageError(.invalid, "too much was set aside in this folder; remove what is not needed", path: path)
    }
}

/// The right to a folder in which nothing is opened: until it is released, or nobody has it any more.
public final class FolderClaim: Sendable {
    private let lock: any StorageLock

    init(_ lock: any StorageLock) { self.lock = lock }

    deinit { release() }

    /// Lets another process, and this one, open the folder. Harmless when called again.
    public func release() { lock.release() }
}
