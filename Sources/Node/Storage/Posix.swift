#if canImport(Glibc)
internal import Glibc
#else
internal import Darwin
#endif
internal import KVProtocols

/// What this room asks of the operating system, with its errors in the project's words.
enum Posix {
    /// The error that `errno` (or `number`) describes. `doing` completes "could not ...".
    static func error(_ doing: String, path: String, number: Int32 = errno) -> StorageError {
        let code: StorageError.Code
        let advice: String
        switch number {
        case ENOSPC, EDQUOT:
            code = .full
            advice = "the disk is full; free some space, the work goes on by itself"
        case EROFS, EACCES, EPERM:
            code = .readOnly
            advice = "the folder can't be written; check its owner, its mode and the mount"
        default:
            code = .io
            advice = "the operating system refused"
        }
        return StorageError(code, "could not \(doing): \(advice)", cause: name(of: number), path: path)
    }

    /// Repeats a call for as long as a signal interrupts it.
    static func retrying(_ call: () -> Int) -> Int {
        while true {
            let result = call()
            if result != -1 || errno != EINTR { return result }
        }
    }

    /// Opens a file without following a link at its end.
    static func open(_ path: String, _ flags: Int32, _ doing: String) throws(StorageError) -> Int32 {
        let descriptor = retrying { Int(posixOpen(path, flags | O_CLOEXEC | O_NOFOLLOW, 0o600)) }
        guard descriptor >= 0 else { throw error(doing, path: path) }
        return Int32(descriptor)
    }

    /// An error here can't be acted on: whatever had to be durable was synced before.
    static func close(_ descriptor: Int32) -> Int32 {
        #if canImport(Glibc)
        return Glibc.close(descriptor)
        #else
        return Darwin.close(descriptor)
        #endif
    }

    /// Makes the entries of a folder durable: new, renamed and removed names.
    static func syncFolder(_ path: String) throws(StorageError) {
        let descriptor = try open(path, O_RDONLY | O_DIRECTORY, "open the folder")
        defer { _ = close(descriptor) }
        guard fsync(descriptor) == 0 else { throw error("sync the folder", path: path) }
    }

    /// Makes the content of a file durable.
    static func syncContent(_ descriptor: Int32) -> Int32 {
        #if canImport(Glibc)
        return fdatasync(descriptor)
        #else
        return fcntl(descriptor, F_FULLFSYNC)
        #endif
    }

    /// Reserves space for a file, so that running out of it shows here and not in the middle of a frame.
    /// Returns 0 or the number of the error.
    static func allocate(_ descriptor: Int32, length: Int) -> Int32 {
        #if canImport(Glibc)
        return posix_fallocate(descriptor, 0, off_t(length))
        #else
        return ftruncate(descriptor, off_t(length)) == 0 ? 0 : errno
        #endif
    }

    /// Fills as much of `buffer` as the file has from `offset` on; returns the number of bytes read.
    static func read(
        _ descriptor: Int32, at offset: Int, into buffer: UnsafeMutableRawBufferPointer, path: String
    ) throws(StorageError) -> Int {
        guard let base = buffer.baseAddress else { return 0 }
        var done = 0
        while done < buffer.count {
            let count = retrying { pread(descriptor, base + done, buffer.count - done, off_t(offset + done)) }
            guard count >= 0 else { throw error("read the file", path: path) }
            if count == 0 { break }
            done += count
        }
        return done
    }

    private static func posixOpen(_ path: String, _ flags: Int32, _ mode: mode_t) -> Int32 {
        #if canImport(Glibc)
        return Glibc.open(path, flags, mode)
        #else
        return Darwin.open(path, flags, mode)
        #endif
    }

    private static func name(of number: Int32) -> String {
        switch number {
        case ENOSPC: "ENOSPC"
        case EDQUOT: "EDQUOT"
        case EROFS: "EROFS"
        case EACCES: "EACCES"
        case EPERM: "EPERM"
        case EIO: "EIO"
        case ENOENT: "ENOENT"
        case ENOTDIR: "ENOTDIR"
        case EMFILE: "EMFILE"
        default: "errno \(number): \(String(cString: strerror(number)))"
        }
    }
}

/// `number` as 16 hexadecimal digits.
func hexadecimal(_ number: UInt64) -> String {
    let digits = String(number, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
}
