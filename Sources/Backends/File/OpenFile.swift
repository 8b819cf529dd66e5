import KVProtocols

#if os(Linux)
import CFileSystem
#endif
#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// An open regular file; closed when it goes out of scope.
struct OpenFile: ~Copyable {
    /// The extended attribute with the 38 bytes of the record's header.
    static let headerAttribute = "user.kv.record"
    /// The extended attribute with the key, where the file's name is a hash.
    static let keyAttribute = "user.kv.key"

    private let descriptor: Int32
    /// The path of the folder that it lies in, for errors; whoever knows the name adds it.
    let path: String

    init(descriptor: Int32, path: String) {
        self.descriptor = descriptor
        self.path = path
    }

    deinit { close(descriptor) }

    /// The length in bytes.
    /// - Throws: `.damaged` when it is no regular file.
    func length() throws(StorageError) -> Int {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .system(errno, "a file can't be read", path: path) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw StorageError(.damaged, "something else than a file stands in its place; remove it", path: path)
        }
        return Int(status.st_size)
    }

    /// All of the file, which must have `count` bytes; `nil` when it has fewer, or so far as `limit` bytes tell, more.
    func read(_ count: Int, atMost limit: Int) throws(StorageError) -> [UInt8]? {
        var code: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: limit) { buffer, filled in
            // At least one call: an empty value's file may have grown.
            while filled < max(count, 1) {
                let got = Self.read(
                    descriptor,
                    UnsafeMutableRawBufferPointer(
                        rebasing: UnsafeMutableRawBufferPointer(buffer)[filled..<limit]))
                if got < 0, errno == EINTR { continue }
                if got < 0 { code = errno }
                guard got > 0 else { return }
                filled += got
            }
        }
        guard code == 0 else { throw .system(code, "a file can't be read", path: path) }
        return bytes.count == count ? bytes : nil
    }

    private static func read(_ descriptor: Int32, _ buffer: UnsafeMutableRawBufferPointer) -> Int {
        #if canImport(Glibc)
        Glibc.read(descriptor, buffer.baseAddress, buffer.count)
        #else
        Darwin.read(descriptor, buffer.baseAddress, buffer.count)
        #endif
    }

    /// Appends all of `bytes`.
    func write(_ bytes: [UInt8]) throws(StorageError) {
        var written = 0
        while written < bytes.count {
            let got = bytes.withUnsafeBytes { Self.write(descriptor, UnsafeRawBufferPointer(rebasing: $0[written...])) }
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else { throw .system(errno, "a file can't be written", path: path) }
            written += got
        }
    }

    private static func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        #if canImport(Glibc)
        Glibc.write(descriptor, bytes.baseAddress, bytes.count)
        #else
        Darwin.write(descriptor, bytes.baseAddress, bytes.count)
        #endif
    }

    /// The bytes of an extended attribute of at most `limit` bytes; `nil` when there is none.
    func attribute(_ name: String, limit: Int) throws(StorageError) -> [UInt8]? {
        var code: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: limit) { buffer, filled in
            #if canImport(Glibc)
            let got = fgetxattr(descriptor, name, buffer.baseAddress, limit)
            #else
            let got = fgetxattr(descriptor, name, buffer.baseAddress, limit, 0, 0)
            #endif
            if got >= 0 { filled = got } else { code = errno }
        }
        if code == 0 { return bytes }
        if OpenFile.saysNone(code) { return nil }
        throw .system(code, "an extended attribute can't be read", path: path)
    }

    /// The record's header; `nil` when there is none or it can't be one.
    func header() throws(StorageError) -> RecordHeader? {
        try withUnsafeTemporaryAllocation(
            byteCount: RecordHeader.length, alignment: 8
        ) { buffer throws(StorageError) in
            #if canImport(Glibc)
            let got = fgetxattr(descriptor, OpenFile.headerAttribute, buffer.baseAddress, buffer.count)
            #else
            let got = fgetxattr(descriptor, OpenFile.headerAttribute, buffer.baseAddress, buffer.count, 0, 0)
            #endif
            if got == buffer.count { return RecordHeader(UnsafeRawBufferPointer(buffer)) }
            if got >= 0 || OpenFile.saysNone(errno) { return nil }
            throw .system(errno, "an extended attribute can't be read", path: path)
        }
    }

    /// Whether the error of a look at an attribute means that there is none, or that it is too long to be one of ours.
    private static func saysNone(_ code: Int32) -> Bool {
        #if canImport(Glibc)
        code == ENODATA || code == ERANGE
        #else
        code == ENOATTR || code == ERANGE
        #endif
    }

    func setHeader(_ header: RecordHeader) throws(StorageError) {
        try withUnsafeTemporaryAllocation(
            byteCount: RecordHeader.length, alignment: 8
        ) { buffer throws(StorageError) in
            header.write(to: buffer)
            #if canImport(Glibc)
            let result = fsetxattr(descriptor, OpenFile.headerAttribute, buffer.baseAddress, buffer.count, 0)
            #else
            let result = fsetxattr(descriptor, OpenFile.headerAttribute, buffer.baseAddress, buffer.count, 0, 0)
            #endif
            guard result == 0 else { throw .system(errno, "an extended attribute can't be written", path: path) }
        }
    }

    func setAttribute(_ name: String, _ bytes: [UInt8]) throws(StorageError) {
        #if canImport(Glibc)
        let result = fsetxattr(descriptor, name, bytes, bytes.count, 0)
        #else
        let result = fsetxattr(descriptor, name, bytes, bytes.count, 0, 0)
        #endif
        guard result == 0 else { throw .system(errno, "an extended attribute can't be written", path: path) }
    }

    /// Asks the kernel to start writing, without waiting. When many files are to be synced, the first `sync` then
    /// carries the journal's commit for all of them. Only a hint: `sync` alone decides and reports.
    func startWriting() {
        #if os(Linux)
        _ = sync_file_range(descriptor, 0, 0, UInt32(KV_SYNC_FILE_RANGE_WRITE))
        #endif
    }

    /// Makes content, attributes and length durable.
    /// - Returns: the error number; 0 for success. A failure is never to be retried.
    func sync() -> Int32 { OpenFile.sync(descriptor) }

    /// fsync that reaches the medium.
    static func sync(_ descriptor: Int32) -> Int32 {
        #if canImport(Darwin)
        if fcntl(descriptor, F_FULLFSYNC) == 0 { return 0 }
        #endif
        while fsync(descriptor) != 0 {
            // Interrupted before it did anything: the one failure that says nothing about the data.
            if errno != EINTR { return errno }
        }
        return 0
    }
}

extension StorageError {
    /// What a caller is told about a failed system call.
    static func system(_ code: Int32, _ doing: String, path: String) -> StorageError {
        let cause = String(cString: strerror(code))
        switch code {
        case ENOSPC, EDQUOT:
            return StorageError(
                .full, "\(doing): the disk is full or has no inodes left; free some and go on, nothing is lost",
                cause: cause,
                path: path)
        case EROFS, EACCES, EPERM:
            return StorageError(
                .readOnly, "\(doing): no permission; check the folder's owner, its mode and the mount", cause: cause,
                path: path)
        case EMFILE, ENFILE:
            return StorageError(
                .io, "\(doing): too many open files; raise the limit (ulimit -n)", cause: cause, path: path)
        case ENOTSUP:
            return StorageError(
                .unsupported,
                "\(doing): this file system has no user extended attributes; put the folder on ext4, XFS, "
                    + "Btrfs or APFS, or choose the backend sqlite or lmdb", cause: cause, path: path)
        default:
            return StorageError(.io, doing, cause: cause, path: path)
        }
    }
}
