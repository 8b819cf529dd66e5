internal import KVProtocols

/// The file system as this room uses it, and nothing more: one node's data folder with the journal in it. A protocol so
/// that tests can run the same code over a disk that loses unsynced writes, tears them, fills up, and fails at any chosen
/// call.
///
/// Paths are plain strings; a folder's own name lives in the folder above. **Durability:** content is durable after the
/// file's `sync`, a name that came, changed or went after `syncFolder` of the folder that holds it, and neither says
/// anything of the other. A `rename` is atomic: after a crash the file has the old name or the new one.
protocol StorageDisk: Sendable {
    /// Makes one folder (mode 0700); not durable before `syncFolder` of the one above.
    func makeFolder(_ path: String) throws(StorageError) -> FolderCreation
    /// The permission bits of a folder; `nil` when something else has the name. Follows links.
    func permissions(ofFolder path: String) throws(StorageError) -> UInt32?
    /// Every name in the folder, in no order.
    func names(in folder: String) throws(StorageError) -> [String]
    func open(_ path: String) throws(StorageError) -> any StorageFile
    /// A new file of this length, its space reserved. Leaves nothing behind when it throws.
    func create(_ path: String, length: Int) throws(StorageError) -> any StorageFile
    /// Replaces a file that has the new name.
    func rename(_ path: String, to new: String) throws(StorageError)
    func remove(_ path: String) throws(StorageError)
    /// Makes creations, renames and removals in the folder durable.
    func syncFolder(_ path: String) throws(StorageError)
    /// Keeps other processes out for as long as the lock is held.
    /// - Throws: `.inUse` when one has it.
    func lock(_ path: String) throws(StorageError) -> any StorageLock
}

/// What `StorageDisk.makeFolder` did.
enum FolderCreation {
    case made
    /// Something has the name already.
    case existed
    /// There is no folder above to make it in.
    case missesParent
}

/// An open file.
protocol StorageFile: AnyObject, Sendable {
    var length: Int { get }
    /// Returns the number of bytes read, less than asked for only at the end of the file.
    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(StorageError) -> Int
    /// Writes the parts behind one another; durable only after `sync`.
    func write(_ parts: [UnsafeRawBufferPointer], at offset: Int) throws(StorageError)
    /// Makes what was written durable. After it threw, nothing is known about any unsynced byte.
    func sync() throws(StorageError)
    func close()
}

extension StorageFile {
    func write(_ bytes: [UInt8], at offset: Int) throws(StorageError) {
        // Not every closure-taking call of the library passes a typed error through.
        let result = bytes.withUnsafeBytes { part in
            Result { () throws(StorageError) in try write([part], at: offset) }
        }
        try result.get()
    }
}

/// The right to use a folder.
protocol StorageLock: AnyObject, Sendable {
    /// Lets another process have it. Harmless when called again.
    func release()
}

/// The folder in which the journal keeps its segments.
struct JournalFolder: Sendable {
    let disk: any StorageDisk
    let path: String

    func names() throws(StorageError) -> [String] { try disk.names(in: path) }

    func open(_ name: String) throws(StorageError) -> any StorageFile { try disk.open("\(path)/\(name)") }

    func create(_ name: String, length: Int) throws(StorageError) -> any StorageFile {
        try disk.create("\(path)/\(name)", length: length)
    }

    func rename(_ name: String, to new: String) throws(StorageError) {
        try disk.rename("\(path)/\(name)", to: "\(path)/\(new)")
    }

    func remove(_ name: String) throws(StorageError) { try disk.remove("\(path)/\(name)") }

    func sync() throws(StorageError) { try disk.syncFolder(path) }
}
