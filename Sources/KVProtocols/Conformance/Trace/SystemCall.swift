#if os(Linux)
import CTrace

/// What a system call does to files; the rest is `other`.
enum CallKind: Int32 {
    case other = 0
    case open, openat, openat2, creat
    case write, pwrite, writev, pwritev, pwritev2
    case read, pread, readv, preadv, getdents
    case truncate, ftruncate, fallocate
    case fsync, fdatasync, syncfs, sync
    case rename, renameat, renameat2
    case unlink, unlinkat, rmdir, mkdir, mkdirat
    case link, linkat, symlink, symlinkat
    case setxattr, fsetxattr, removexattr, fremovexattr
    case copyFileRange, sendfile, splice, mmap, ioctl
    case ioUringSetup, ioSetup
}

/// A system call of a traced thread.
struct SystemCall {
    let thread: pid_t
    let kind: CallKind
    let arguments: [UInt64]

    func descriptor(_ index: Int) -> Int32 { Int32(truncatingIfNeeded: arguments[index]) }
    func integer(_ index: Int) -> Int { Int(truncatingIfNeeded: arguments[index]) }
}

/// What shall become of a system call that begins.
enum Intervention: Equatable {
    case none
    /// It doesn't happen and returns this error number.
    case fail(Int32)
    /// It happens and returns this error number.
    case failBehind(Int32)
    /// It writes at most so many bytes.
    case shorten(Int)
    /// The whole process ends before it, or right behind it.
    case kill, killBehind
    /// The thread stands still until nothing is held any more.
    case hold
}

/// Who looks at the system calls of a traced process. Called on the tracer's thread.
protocol TraceObserver: AnyObject {
    func willEnter(_ call: SystemCall) -> Intervention
    /// - Parameter result: as the kernel returned it: negative error numbers.
    func didLeave(_ call: SystemCall, result: Int64)
    /// Whether threads that are held stay so; asked after each call.
    var holds: Bool { get }
}

extension TraceObserver {
    var holds: Bool { false }
}
#endif
