import KVProtocols

#if os(Linux)
import CFileSystem
#endif

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// An open directory. All files are reached through its descriptor and one plain name, never through a path, and never
/// through a symbolic link. Closed when the last user lets go, so that a reader never meets a recycled descriptor.
final class Folder: Sendable {
    let path: String
    private let descriptor: Int32

    /// Opens a directory; its last component must not be a link.
    init(opening path: String) throws(StorageError) {
        self.path = path
        descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .system(errno, "the folder can't be opened", path: path) }
    }

    /// Opens a directory in `parent`, or creates it with mode 0700.
    init(_ name: String, in parent: Folder) throws(StorageError) {
        path = "\(parent.path)/\(name)"
        if mkdirat(parent.descriptor, name, 0o700) != 0, errno != EEXIST {
            throw .system(errno, "a folder can't be created", path: path)
        }
        descriptor = openat(parent.descriptor, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0 else { throw .system(errno, "a folder can't be opened", path: path) }
    }

    deinit { close(descriptor) }

    /// Opens a file for reading; `nil` when there is none.
    /// - Throws: `.damaged` when something else than a file has the name.
    func file(_ name: UnsafePointer<CChar>) throws(StorageError) -> OpenFile? {
        // O_NONBLOCK: opening a named pipe must not wait.
        let flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC
        #if os(Linux)
        // The first read after a write would note its time, which waits for a commit of the file system's journal.
        var file = openat(descriptor, name, flags | Int32(KV_O_NOATIME))
        if file < 0, errno == EPERM { file = openat(descriptor, name, flags) }
        #else
        let file = openat(descriptor, name, flags)
        #endif
        if file >= 0 { return OpenFile(descriptor: file, path: path) }
        let code = errno
        if code == ENOENT { return nil }
        if code == ELOOP {
            throw StorageError(
                .damaged, "a symbolic link stands in the place of a record, and is not followed; remove it",
                path: "\(path)/\(String(cString: name))")
        }
        throw .system(code, "a file can't be opened", path: "\(path)/\(String(cString: name))")
    }

    /// Creates a file with mode 0600 for writing; there must be none.
    func newFile(_ name: UnsafePointer<CChar>) throws(StorageError) -> OpenFile {
        let file = openat(descriptor, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard file >= 0 else {
            throw .system(errno, "a file can't be created", path: "\(path)/\(String(cString: name))")
        }
        return OpenFile(descriptor: file, path: path)
    }

    /// Moves a file into `target`, replacing the one there.
    func move(_ name: UnsafePointer<CChar>, to target: Folder, as newName: UnsafePointer<CChar>) throws(StorageError) {
        guard renameat(descriptor, name, target.descriptor, newName) != 0 else { return }
        let code = errno
        if code == EISDIR || code == ENOTEMPTY || code == EEXIST {
            throw StorageError(
                .foreign, "a folder stands where the file of a key belongs; move it away",
                cause: String(cString: strerror(code)), path: "\(target.path)/\(String(cString: newName))")
        }
        throw .system(code, "a file can't be renamed", path: "\(target.path)/\(String(cString: newName))")
    }

    /// Removes a file.
    /// - Returns: whether there was one.
    @discardableResult
    func remove(_ name: UnsafePointer<CChar>) throws(StorageError) -> Bool {
        if unlinkat(descriptor, name, 0) == 0 { return true }
        if errno == ENOENT { return false }
        throw .system(errno, "a file can't be removed", path: "\(path)/\(String(cString: name))")
    }

    /// Removes an empty directory.
    func removeFolder(_ name: String) throws(StorageError) {
        if unlinkat(descriptor, name, AT_REMOVEDIR) == 0 || errno == ENOENT { return }
        throw .system(errno, "a folder can't be removed", path: "\(path)/\(name)")
    }

    /// Makes what was created, renamed and removed in this directory durable.
    /// - Returns: the error number; 0 for success.
    func sync() -> Int32 { OpenFile.sync(descriptor) }

    /// Makes everything durable that was written to the file system of this folder, by anybody: one commit of its journal
    /// and one flush of the disk, where syncing file by file takes one each. Errors of the disk since this folder was
    /// opened, or since the last call, are reported.
    /// - Returns: the error number; 0 for success; `nil` where the system has no call that reports errors reliably.
    func syncFileSystem() -> Int32? {
        #if os(Linux)
        guard Folder.syncReportsErrors else { return nil }
        while syncfs(descriptor) != 0 {
            if errno != EINTR { return errno }
        }
        return 0
        #else
        return nil
        #endif
    }

    #if os(Linux)
    /// syncfs(2): Linux before 5.8 keeps errors of single files to itself.
    private static let syncReportsErrors: Bool = {
        var system = utsname()
        guard uname(&system) == 0 else { return false }
        let release = withUnsafeBytes(of: &system.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        let numbers = release.split { !$0.isNumber }.prefix(2).compactMap { Int($0) }
        return numbers.count == 2 && (numbers[0], numbers[1]) >= (5, 8)
    }()
    #endif

    /// The space that a file takes on the disk; 0 when it is missing.
    func size(of name: String) -> UInt64 {
        var status = stat()
        return fstatat(descriptor, name, &status, AT_SYMLINK_NOFOLLOW) == 0 ? UInt64(status.st_blocks) * 512 : 0
    }

    func exists(_ name: String) -> Bool {
        var status = stat()
        return fstatat(descriptor, name, &status, AT_SYMLINK_NOFOLLOW) == 0
    }

    /// Bytes that this user may still write on the disk.
    func free() throws(StorageError) -> UInt64 {
        var disk = statvfs()
        guard fstatvfs(descriptor, &disk) == 0 else { throw .system(errno, "statistics can't be read", path: path) }
        return UInt64(disk.f_bavail) * UInt64(disk.f_frsize)
    }

    /// Calls `body` with the name of every regular file and whether its name is text; other entries only count.
    /// - Returns: the number of entries that are not regular files or not text, without hidden ones.
    func forEachFile(_ body: (String) throws(StorageError) -> Void) throws(StorageError) -> Int {
        // A descriptor of its own: reading a directory moves the position that descriptors made by dup share.
        let own = openat(descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard own >= 0 else { throw .system(errno, "the folder can't be listed", path: path) }
        guard let stream = fdopendir(own) else {
            let code = errno
            close(own)
            throw .system(code, "the folder can't be listed", path: path)
        }
        defer { closedir(stream) }
        var others = 0
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                if errno != 0 { throw .system(errno, "the folder can't be listed", path: path) }
                return others
            }
            let isFile = entry.pointee.d_type == DT_REG || entry.pointee.d_type == DT_UNKNOWN
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(validating: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name == "." || name == ".." { continue }
            guard isFile, let name, entry.pointee.d_type == DT_REG || isRegular(name) else {
                if name?.utf8.first != UInt8(ascii: ".") { others += 1 }
                continue
            }
            try body(name)
        }
    }

    private func isRegular(_ name: String) -> Bool {
        var status = stat()
        return fstatat(descriptor, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && status.st_mode & S_IFMT == S_IFREG
    }
}
