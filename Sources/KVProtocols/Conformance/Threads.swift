import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Real threads for blocking calls, which the pool of Swift's concurrency must not run.
enum Threads {
    private final class Work: Sendable {
        let body: @Sendable () throws -> Void
        let failure = Mutex<(any Error)?>(nil)

        init(_ body: @escaping @Sendable () throws -> Void) { self.body = body }

        func run() {
            do { try body() } catch { failure.withLock { $0 = error } }
        }
    }

    /// Runs each closure on a thread of its own and waits for all.
    /// - Throws: the first error in the order of the closures.
    static func run(_ bodies: [@Sendable () throws -> Void]) throws {
        let works = bodies.map(Work.init)
        var threads: [pthread_t] = []
        for work in works {
            #if canImport(Glibc)
            var thread = pthread_t()
            #else
            var thread: pthread_t?
            #endif
            let pointer = Unmanaged.passRetained(work).toOpaque()
            let code = pthread_create(&thread, nil, Threads.start, pointer)
            guard code == 0 else {
                Unmanaged<Work>.fromOpaque(pointer).release()
                throw ConformanceFailure("a thread can't be started: error \(code)")
            }
            #if canImport(Glibc)
            threads.append(thread)
            #else
            if let thread { threads.append(thread) }
            #endif
        }
        for thread in threads { pthread_join(thread, nil) }
        for work in works {
            if let failure = work.failure.withLock({ $0 }) { throw failure }
        }
    }

    #if canImport(Glibc)
    private static let start: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { pointer in
        if let pointer { Unmanaged<Work>.fromOpaque(pointer).takeRetainedValue().run() }
        return nil
    }
    #else
    private static let start: @convention(c) (UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? = { pointer in
        Unmanaged<Work>.fromOpaque(pointer).takeRetainedValue().run()
        return nil
    }
    #endif
}
