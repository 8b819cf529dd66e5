import KVProtocols
import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Threads that read at the same time.
enum BenchThreads {
    private final class Work<Value: Sendable>: Sendable {
        let body: @Sendable () throws(StorageError) -> Value
        let result = Mutex<Result<Value, StorageError>?>(nil)

        init(_ body: @escaping @Sendable () throws(StorageError) -> Value) { self.body = body }

        func run() {
            let value = Result { () throws(StorageError) in try body() }
            result.withLock { $0 = value }
        }
    }

    /// Runs `body` on `count` threads, with their numbers from 0, and waits for all; a single one is this thread.
    /// - Throws: the first error in the order of the threads.
    static func run<Value: Sendable>(
        _ count: Int, _ body: @escaping @Sendable (Int) throws(StorageError) -> Value
    ) throws(StorageError) -> [Value] {
        if count == 1 { return [try body(0)] }
        let works = (0..<count).map { number in Work { () throws(StorageError) in try body(number) } }
        var threads: [pthread_t] = []
        var failure: Int32 = 0
        for work in works {
            let box = Unmanaged.passRetained(Box { work.run() })
            #if canImport(Glibc)
            var thread = pthread_t()
            #else
            var thread: pthread_t?
            #endif
            failure = pthread_create(&thread, nil, BenchThreads.start, box.toOpaque())
            guard failure == 0 else {
                box.release()
                break
            }
            #if canImport(Glibc)
            threads.append(thread)
            #else
            if let thread { threads.append(thread) }
            #endif
        }
        for thread in threads { pthread_join(thread, nil) }
        guard failure == 0 else {
            throw StorageError(
                .io, "a thread for reading can't be started; use fewer writers",
                cause: String(cString: strerror(failure)))
        }
        var values: [Value] = []
        for work in works {
            if let result = work.result.withLock({ $0 }) { values.append(try result.get()) }
        }
        return values
    }

    private final class Box: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    #if canImport(Glibc)
    private static let start: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { pointer in
        if let pointer { Unmanaged<Box>.fromOpaque(pointer).takeRetainedValue().body() }
        return nil
    }
    #else
    private static let start: @convention(c) (UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? = { pointer in
        Unmanaged<Box>.fromOpaque(pointer).takeRetainedValue().body()
        return nil
    }
    #endif
}
