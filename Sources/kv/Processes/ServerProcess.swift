import KVConfiguration
import KVProtocols
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import UnixSignals

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// What is the same for both kinds of server: event loops, signals, the order of stopping.
enum ServerProcess {
    /// Event loops for HTTP. More don't help: the work is elsewhere.
    static let httpThreads = 2

    /// Runs `core` and `http` until SIGTERM, SIGINT or, if told so, the end of standard input; then stops `http` first,
    /// so that the requests in progress are answered, and `core` after it.
    static func run(
        core: @escaping @Sendable () async throws -> Void, http: any Service, logger: Logger, stopOnEndOfInput: Bool
    ) async throws {
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .error)
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [.init(service: CoreService(work: core)), .init(service: http)],
                gracefulShutdownSignals: [.sigterm, .sigint], logger: quiet))
        if stopOnEndOfInput {
            try watchStandardInput { Task { await group.triggerGracefulShutdown() } }
        }
        try await group.run()
    }

    /// The part behind HTTP: works until its task is cancelled.
    private struct CoreService: Service {
        let work: @Sendable () async throws -> Void

        func run() async throws {
            try await cancelWhenGracefulShutdown { try await work() }
        }
    }

    /// Gives `body` event loops, and ends them whatever becomes of it.
    static func withLoops(_ threads: Int, _ body: (MultiThreadedEventLoopGroup) async throws -> Void) async throws {
        let loops = MultiThreadedEventLoopGroup(numberOfThreads: threads)
        do {
            try await body(loops)
        } catch {
            // The first error is the one to tell.
            do { try await loops.shutdownGracefully() } catch {}
            throw error
        }
        try await loops.shutdownGracefully()
    }

    /// Calls `atEnd` when the other end of standard input is closed, which also happens when the parent dies.
    private static func watchStandardInput(_ atEnd: @escaping @Sendable () -> Void) throws(CommandFailure) {
        try BlockingThread.start(name: "kv-stdin") {
            var byte: UInt8 = 0
            while true {
                let count = read(STDIN_FILENO, &byte, 1)
                if count > 0 || (count < 0 && errno == EINTR) { continue }
                break
            }
            atEnd()
        }
    }

    /// - Throws: `.unsupported` when the backend forgets everything at the end of the process and nobody allowed that.
    static func requireDurable(
        _ backend: any StorageBackend, type: String, in configuration: ClusterConfiguration
    ) throws(StorageError) {
        guard !backend.capabilities.durable, !configuration.allowVolatileStorage else { return }
        throw StorageError(
            .unsupported,
            "the backend \"\(type)\" forgets everything when the process ends; choose another, or set "
                + "cluster.allow_volatile_storage for a test")
    }
}

extension Duration {
    /// Whole milliseconds, never negative.
    var milliseconds: Int {
        max(0, Int(components.seconds) * 1_000 + Int(components.attoseconds / 1_000_000_000_000_000))
    }
}
