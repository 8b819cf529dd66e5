import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Real threads for blocking calls, which the pool of Swift's concurrency must not run.
package enum Threads {
    /// A thread can't be started.
    package struct Failure: Error {
        /// The error number.
        package let code: Int32
    }

    /// Where a thread leaves what came of its work.
    private final class Slot<Value: Sendable, Problem: Error>: Sendable {
        let result = Mutex<Result<Value, Problem>?>(nil)
    }

    private final class Work: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    /// Runs each closure on a thread of its own and waits for all.
    /// - Throws: the first error in the order of the closures.
    static func run(_ bodies: [@Sendable () throws -> Void]) throws {
        do {
            for result in try results(bodies.count, { try bodies[$0]() }) { try result.get() }
        } catch let failure as Failure {
            throw ConformanceFailure("a thread can't be started: \(String(cString: strerror(failure.code)))")
        }
    }

    /// Runs `body` on `count` threads, with their numbers from 0, and waits for all that were started.
    /// - Returns: what came of each, in their order.
    package static func results<Value: Sendable, Problem: Error>(
        _ count: Int, _ body: @escaping @Sendable (Int) throws(Problem) -> Value
    ) throws(Failure) -> [Result<Value, Problem>] {
        let slots = (0..<count).map { _ in Slot<Value, Problem>() }
        var threads: [pthread_t] = []
        var code: Int32 = 0
        for (number, slot) in slots.enumerated() {
            let work = Work {
                let result = Result { () throws(Problem) in try body(number) }
                slot.result.withLock { $0 = result }
            }
            #if canImport(Glibc)
            var thread = pthread_t()
            #else
            var thread: pthread_t?
            #endif
            let pointer = Unmanaged.passRetained(work)
            code = pthread_create(&thread, nil, Threads.start, pointer.toOpaque())
            guard code == 0 else {
                pointer.release()
                break
            }
            #if canImport(Glibc)
            threads.append(thread)
            #else
            if let thread { threads.append(thread) }
            #endif
        }
        for thread in threads { pthread_join(thread, nil) }
        guard code == 0 else { throw Failure(code: code) }
        return slots.compactMap { slot in slot.result.withLock { $0 } }
    }

    #if canImport(Glibc)
    private static let start: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { pointer in
        if let pointer { Unmanaged<Work>.fromOpaque(pointer).takeRetainedValue().body() }
        return nil
    }
    #else
    private static let start: @convention(c) (UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? = { pointer in
        Unmanaged<Work>.fromOpaque(pointer).takeRetainedValue().body()
        return nil
    }
    #endif
}
