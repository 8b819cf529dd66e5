#if canImport(Glibc)
internal import Glibc
#else
internal import Darwin
#endif
package import KVProtocols

/// One thread of the operating system, for calls that block: the journal's and the flusher's. Never one of Swift's
/// cooperative pool, which a waiting `fdatasync` would starve.
///
/// `@unchecked Sendable`: `handle` is set before the initialiser returns and cleared by `join`, which one thread calls.
package final class WorkerThread: @unchecked Sendable {
    private var handle: pthread_t?

    private final class Body {
        let run: @Sendable () -> Void

        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// Starts `run`.
    package init(_ run: @escaping @Sendable () -> Void) throws(StorageError) {
        let body = Unmanaged.passRetained(Body(run))
        #if canImport(Glibc)
        var thread = pthread_t()
        #else
        var thread: pthread_t?
        #endif
        let result = pthread_create(
            &thread, nil,
            { argument in
                #if canImport(Glibc)
                guard let argument else { return nil }
                #endif
                Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, body.toOpaque())
        guard result == 0 else {
            body.release()
            throw Posix.error("start a thread", path: "", number: result)
        }
        handle = thread
    }

    /// Returns once the thread has ended; harmless when called again.
    package func join() {
        guard let handle else { return }
        pthread_join(handle, nil)
        self.handle = nil
    }
}
