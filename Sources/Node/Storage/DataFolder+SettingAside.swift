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
    /// A crash leaves the folder as it was or half moved; then the next `DataFolder(path:backendType:)` moves the rest.
    /// Renames only: cost O(entries at the top of the folder). Durable when it returns.
    /// - Returns: the path to which everything was moved.
    /// - Throws: `.inUse` when a process has the folder open, `.foreign` when it holds no data, `.readOnly`, `.full`, `.io`.
    @discardableResult
    public static func setAside(_ path: String) throws(StorageError) -> String {
        try setAside(path, SystemDisk())
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

    static func setAside(_ path: String, _ disk: any StorageDisk) throws(StorageError) -> String {
        let hidden = "\(path)/.kv"
        let lock = try disk.lock("\(hidden)/lock")
        defer { lock.release() }
        if try !disk.names(in: hidden).contains(asideName) {
            guard let type = try occupant(of: path, disk) else {
                throw StorageError(.foreign, "the folder holds no data of a node", path: path)
            }
            try writeText(try freeName(path, type: type, disk), hidden, asideName, disk)
        }
        let name = try readText("\(hidden)/\(asideName)", disk)
        try finishSettingAside(path, disk)
        return "\(path)/\(name)"
    }

    /// Moves what is still to be moved, if anything is. The folder's lock is held.
    static func finishSettingAside(_ path: String, _ disk: any StorageDisk) throws(StorageError) {
        let hidden = "\(path)/.kv"
        guard try disk.names(in: hidden).contains(asideName) else { return }
        let name = try readText("\(hidden)/\(asideName)", disk)
        guard name.hasPrefix(oldPrefix), !name.contains("/") else {
            throw StorageError(.damaged, "the note of what is set aside can't be read", path: "\(hidden)/\(asideName)")
        }
        let old = "\(path)/\(name)"
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
        // Types of plugins have a colon, which is no good in paths.
        let first = oldPrefix + type.replacing(":", with: "-")
        for number in 1...maximumOldFolders {
            let name = number == 1 ? first : "\(first)-\(number)"
            if !names.contains(name) { return name }
        }
        throw StorageError(.invalid, "too much was set aside in this folder; remove what is not needed", path: path)
    }
}
