#if canImport(Glibc)
internal import Glibc
#else
internal import Darwin
#endif
internal import KVProtocols

/// The machine's own file system.
struct SystemDisk: StorageDisk {
    func makeFolder(_ path: String) throws(StorageError) -> FolderCreation {
        if mkdir(path, 0o700) == 0 { return .made }
        switch errno {
        case EEXIST: return .existed
        case ENOENT: return .missesParent
        default: throw Posix.error("create the folder", path: path)
        }
    }

    func permissions(ofFolder path: String) throws(StorageError) -> UInt32? {
        var status = stat()
        guard stat(path, &status) == 0 else { throw Posix.error("inspect the folder", path: path) }
        return status.st_mode & S_IFMT == S_IFDIR ? UInt32(status.st_mode & 0o777) : nil
    }

    func names(in folder: String) throws(StorageError) -> [String] {
        guard let stream = opendir(folder) else { throw Posix.error("list the folder", path: folder) }
        defer { closedir(stream) }
        var names: [String] = []
        errno = 0
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { names.append(name) }
            errno = 0
        }
        guard errno == 0 else { throw Posix.error("list the folder", path: folder) }
        return names
    }

    func open(_ path: String) throws(StorageError) -> any StorageFile {
        let descriptor = try Posix.open(path, O_RDWR, "open the file")
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            let error = Posix.error("inspect the file", path: path)
            _ = Posix.close(descriptor)
            throw error
        }
        return SystemFile(descriptor, length: Int(status.st_size), path: path)
    }

    func create(_ path: String, length: Int) throws(StorageError) -> any StorageFile {
        let descriptor = try Posix.open(path, O_RDWR | O_CREAT | O_EXCL, "create the file")
        let result = Posix.allocate(descriptor, length: length)
        guard result == 0 else {
            _ = Posix.close(descriptor)
            _ = unlink(path)
            throw Posix.error("reserve space for the file", path: path, number: result)
        }
        return SystemFile(descriptor, length: length, path: path)
    }

    func rename(_ path: String, to new: String) throws(StorageError) {
        #if canImport(Glibc)
        let result = Glibc.rename(path, new)
        #else
        let result = Darwin.rename(path, new)
        #endif
        guard result == 0 else { throw Posix.error("rename the file", path: path) }
    }

    func remove(_ path: String) throws(StorageError) {
        guard unlink(path) == 0 else { throw Posix.error("remove the file", path: path) }
    }

    func syncFolder(_ path: String) throws(StorageError) { try Posix.syncFolder(path) }

    func lock(_ path: String) throws(StorageError) -> any StorageLock { try SystemLock(path) }
}

/// `@unchecked Sendable`: used by one thread at a time, the one that opens the journal and afterwards the journal's own.
private final class SystemFile: StorageFile, @unchecked Sendable {
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
            guard written > 0 else { throw Posix.error("write the file", path: path) }
            position += written
            first = skip(written, from: first)
        }
    }

    func sync() throws(StorageError) {
        guard Posix.syncContent(descriptor) == 0 else { throw Posix.error("sync the file", path: path) }
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

/// A file held with `flock` that contains the holder's process id.
///
/// `@unchecked Sendable`: `descriptor` changes only in `release`, whose calls follow one another: when the storage stops,
/// then from `deinit`, when nobody else has the object. All but the first do nothing.
private final class SystemLock: StorageLock, @unchecked Sendable {
    private var descriptor: Int32

    init(_ path: String) throws(StorageError) {
        descriptor = try Posix.open(path, O_RDWR | O_CREAT, "open the lock")
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let number = errno
            guard number == EWOULDBLOCK else { throw Posix.error("lock the data folder", path: path, number: number) }
            let holder = try SystemLock.holder(descriptor, path: path)
            throw StorageError(
                .inUse, "process \(holder.isEmpty ? "(unknown)" : holder) uses the data folder; stop it first",
                path: path)
        }
        let text = Array("\(getpid())\n".utf8)
        guard ftruncate(descriptor, 0) == 0, pwrite(descriptor, text, text.count, 0) == text.count else {
            throw Posix.error("write the lock", path: path)
        }
    }

    deinit { release() }

    func release() {
        guard descriptor >= 0 else { return }
        // A process that another thread is just starting has a copy of the descriptor, by which the lock would stay.
        _ = flock(descriptor, LOCK_UN)
        _ = Posix.close(descriptor)
        descriptor = -1
    }

    private static func holder(_ descriptor: Int32, path: String) throws(StorageError) -> String {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64, alignment: 1)
        defer { buffer.deallocate() }
        let count = try Posix.read(descriptor, at: 0, into: buffer, path: path)
        return String(decoding: buffer[..<count], as: UTF8.self).filter { $0.isNumber }
    }
}
