#if SQLite
import KVProtocols

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// What the backend does with its files beside SQLite.
enum SQLiteFiles {
    /// Creates the database's file, which SQLite would create readable for everyone. Its side files get the same mode.
    static func create(_ file: String) throws(StorageError) {
        let descriptor = open(file, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor < 0 else {
            close(descriptor)
            return
        }
        throw failure(errno, "the database can't be created", path: file)
    }

    /// What a caller of the contract is told of a call of the system that failed.
    static func failure(_ number: Int32, _ doing: String, path: String) -> StorageError {
        let cause = String(cString: strerror(number))
        switch number {
        case EROFS, EACCES, EPERM:
            return StorageError(
                .readOnly, "\(doing): the folder can't be written; check its owner, its mode and the mount",
                cause: cause,
                path: path)
        case ENOSPC, EDQUOT:
            return StorageError(
                .full, "\(doing): the disk is full; free some space and start again", cause: cause, path: path)
        case ELOOP:
            return StorageError(
                .foreign, "\(doing): it is a symbolic link; put the file itself there", cause: cause, path: path)
        default:
            return StorageError(.io, doing, cause: cause, path: path)
        }
    }

    /// Makes the names of the files in the folder durable, and that its log is empty: of an older one that a failed sync left
    /// in part, a beginning might come back. SQLite syncs the folder too, and doesn't tell when it fails.
    static func sync(_ folder: String) throws(StorageError) {
        try sync("\(folder)/\(SQLiteSchema.fileName)-wal", O_RDWR)
        try sync(folder, O_RDONLY | O_DIRECTORY)
    }

    private static func sync(_ path: String, _ flags: Int32) throws(StorageError) {
        let descriptor = open(path, flags | O_NOFOLLOW | O_CLOEXEC)
        defer { if descriptor >= 0 { close(descriptor) } }
        guard descriptor >= 0, fsync(descriptor) == 0 else {
            throw failure(errno, "what is in the folder can't be synced", path: path)
        }
    }

    /// The space that the file takes on the disk; 0 when it is missing.
    static func size(of file: String) -> UInt64 {
        var status = stat()
        return stat(file, &status) == 0 ? UInt64(status.st_blocks) * 512 : 0
    }

    /// Bytes that this user may still write on the disk under `folder`.
    static func free(at folder: String) throws(StorageError) -> UInt64 {
        var disk = statvfs()
        guard statvfs(folder, &disk) == 0 else {
            throw failure(errno, "statistics can't be read", path: folder)
        }
        return UInt64(disk.f_bavail) * UInt64(disk.f_frsize)
    }

    /// Removes the database and its side files, as far as there are any.
    static func remove(_ file: String) throws(StorageError) {
        for suffix in [""] + SQLiteSchema.sideFileSuffixes where unlink(file + suffix) != 0 && errno != ENOENT {
            throw failure(errno, "the database can't be removed", path: file + suffix)
        }
    }
}
#endif
