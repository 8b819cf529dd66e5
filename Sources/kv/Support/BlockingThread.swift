#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Threads for calls that block, which must not hold up the cooperative pool.
enum BlockingThread {
    private final class Body: Sendable {
        let work: @Sendable () -> Void
        init(_ work: @escaping @Sendable () -> Void) { self.work = work }
    }

    /// Runs `work` on a thread of its own, detached.
    /// - Parameter name: what it does, for the message when the system has no thread left.
    /// - Throws: `CommandFailure` when it has none; `work` is then dropped.
    static func start(name: String, _ work: @escaping @Sendable () -> Void) throws(CommandFailure) {
        let body = Unmanaged.passRetained(Body(work))
        #if canImport(Glibc)
        var thread = pthread_t()
        #else
        var thread: pthread_t?
        #endif
        let result = pthread_create(&thread, nil, BlockingThread.run, body.toOpaque())
        guard result == 0 else {
            body.release()
            throw CommandFailure(.error, "no thread for \(name): \(String(cString: strerror(result)))")
        }
        #if canImport(Glibc)
        pthread_detach(thread)
        #else
        if let thread { pthread_detach(thread) }
        #endif
    }

    #if canImport(Glibc)
    private static let run: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { pointer in
        if let pointer { Unmanaged<Body>.fromOpaque(pointer).takeRetainedValue().work() }
        return nil
    }
    #else
    private static let run: @convention(c) (UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? = { pointer in
        Unmanaged<Body>.fromOpaque(pointer).takeRetainedValue().work()
        return nil
    }
    #endif
}
