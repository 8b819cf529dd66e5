import KVConformance
import KVProtocols

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Threads that read at the same time.
enum BenchThreads {
    /// Runs `body` on `count` threads, with their numbers from 0, and waits for all; a single one is this thread.
    /// - Throws: the first error in the order of the threads.
    static func run<Value: Sendable>(
        _ count: Int, _ body: @escaping @Sendable (Int) throws(StorageError) -> Value
    ) throws(StorageError) -> [Value] {
        if count == 1 { return [try body(0)] }
        let results: [Result<Value, StorageError>]
        do throws(Threads.Failure) {
            results = try Threads.results(count, body)
        } catch {
            throw StorageError(
                .io, "a thread for reading can't be started; use fewer writers",
                cause: String(cString: strerror(error.code)))
        }
        var values: [Value] = []
        for result in results { values.append(try result.get()) }
        return values
    }
}
