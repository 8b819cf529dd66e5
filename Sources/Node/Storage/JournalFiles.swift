#if canImport(Glibc)
internal import Glibc
#else
internal import Darwin
#endif
internal import KVProtocols

/// The folder in which the journal keeps its segments. A protocol so that tests can lose unsynced writes, tear them,
/// fill the disk and fail a sync at any chosen call.
protocol JournalFiles: Sendable {
    /// Every name in the folder, in no order.
    func names() throws(StorageError) -> [String]
    func open(_ name: String) throws(StorageError) -> any JournalFile
    /// A new file with its space reserved. Leaves nothing behind when it throws.
    func create(_ name: String, length: Int) throws(StorageError) -> any JournalFile
    func rename(_ name: String, to new: String) throws(StorageError)
    func remove(_ name: String) throws(StorageError)
    /// Makes creations, renames and removals durable.
    func sync() throws(StorageError)
}

/// One file of the journal.
protocol JournalFile: AnyObject, Sendable {
    var length: Int { get }
    /// Returns the number of bytes read, less than asked for only at the end of the file.
    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(StorageError) -> Int
    /// Writes the parts behind one another; durable only after `sync`.
    func write(_ parts: [UnsafeRawBufferPointer], at offset: Int) throws(StorageError)
    /// Makes what was written durable. After it threw, nothing is known about any unsynced byte.
    func sync() throws(StorageError)
    func close()
}

extension JournalFile {
    func write(_ bytes: [UInt8], at offset: Int) throws(StorageError) {
        // Not every closure-taking call of the library passes a typed error through.
        let result = bytes.withUnsafeBytes { part in
            Result { () throws(StorageError) in try write([part], at: offset) }
        }
        try result.get()
    }
}

/// The real folder.
struct SystemJournalFiles: JournalFiles {
    let path: String

    func names() throws(StorageError) -> [String] {
        guard let folder = opendir(path) else { throw Posix.error("list the journal", path: path) }
        defer { closedir(folder) }
        var names: [String] = []
        errno = 0
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { names.append(name) }
            errno = 0
        }
        guard errno == 0 else { throw Posix.error("list the journal", path: path) }
        return names
    }

    func open(_ name: String) throws(StorageError) -> any JournalFile {
        let full = "\(path)/\(name)"
        let descriptor = try Posix.open(full, O_RDWR, "open a journal segment")
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            let error = Posix.error("inspect a journal segment", path: full)
            _ = Posix.close(descriptor)
            throw error
        }
        return SystemJournalFile(descriptor, length: Int(status.st_size), path: full)
    }

    func create(_ name: String, length: Int) throws(StorageError) -> any JournalFile {
        let full = "\(path)/\(name)"
        let descriptor = try Posix.open(full, O_RDWR | O_CREAT | O_EXCL, "create a journal segment")
        let result = Posix.allocate(descriptor, length: length)
        guard result == 0 else {
            _ = Posix.close(descriptor)
            _ = unlink(full)
            throw Posix.error("reserve space for a journal segment", path: full, number: result)
        }
        return SystemJournalFile(descriptor, length: length, path: full)
    }

    func rename(_ name: String, to new: String) throws(StorageError) {
        #if canImport(Glibc)
        let result = Glibc.rename("\(path)/\(name)", "\(path)/\(new)")
        #else
        let result = Darwin.rename("\(path)/\(name)", "\(path)/\(new)")
        #endif
        guard result == 0 else { throw Posix.error("rename a journal segment", path: "\(path)/\(name)") }
    }

    func remove(_ name: String) throws(StorageError) {
        guard unlink("\(path)/\(name)") == 0 else {
            throw Posix.error("remove a journal segment", path: "\(path)/\(name)")
        }
    }

    func sync() throws(StorageError) {
        try Posix.syncFolder(path)
    }
}

/// `@unchecked Sendable`: used by one thread at a time, the one that opens the journal and afterwards the journal's own.
private final class SystemJournalFile: JournalFile, @unchecked Sendable {
    let length: Int
    private let path: String
    private var descriptor: Int32
    private var vectors: [iovec] = []

    init(_ descriptor: Int32, length: Int, path: String) {
        self.descriptor = descriptor
        self.length = length
        self.path = path
    }

    deinit { close() }

    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(StorageError) -> Int {
        try Posix.read(descriptor, at: offset, into: buffer, path: path)
    }

    func write(_ parts: [UnsafeRawBufferPointer], at offset: Int) throws(StorageError) {
        vectors.removeAll(keepingCapacity: true)
        for part in parts where !part.isEmpty {
            vectors.append(iovec(iov_base: UnsafeMutableRawPointer(mutating: part.baseAddress), iov_len: part.count))
        }
        var position = offset
        var first = 0
        while first < vectors.count {
            let written = Posix.retrying {
                vectors.withUnsafeBufferPointer { all in
                    pwritev(descriptor, all.baseAddress.map { $0 + first }, Int32(all.count - first), off_t(position))
                }
            }
            guard written > 0 else { throw Posix.error("write the journal", path: path) }
            position += written
            first = skip(written, from: first)
        }
    }

    func sync() throws(StorageError) {
        guard Posix.syncContent(descriptor) == 0 else { throw Posix.error("sync the journal", path: path) }
    }

    func close() {
        guard descriptor >= 0 else { return }
        _ = Posix.close(descriptor)
        descriptor = -1
    }

    /// A short write: drops the vectors that are done and shortens the one that is half done.
    private func skip(_ written: Int, from first: Int) -> Int {
        var left = written
        var index = first
        while index < vectors.count, left >= vectors[index].iov_len {
            left -= vectors[index].iov_len
            index += 1
        }
        if left > 0 {
            vectors[index].iov_base = vectors[index].iov_base.map { $0 + left }
            vectors[index].iov_len -= left
        }
        return index
    }
}
