import Foundation
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import KVBackendBench
@testable import KVLoad

/// Runs against a server of Redis's protocol that does as it is told.
@Suite(.timeLimit(.minutes(2))) struct RunTests {
    /// Holds all slots and any value; every connection is answered in order.
    private final class Server: Sendable {
        let requests = Atomic<Int>(0)
        let sets = Atomic<Int>(0)
        /// What a request of this number, counted over all connections, is answered with instead; closes when empty.
        let exceptions: [Int: String]
        /// Nothing is answered for so long after the request of this number.
        let stall: (request: Int, seconds: TimeAmount)?

        init(exceptions: [Int: String] = [:], stall: (Int, TimeAmount)? = nil) {
            self.exceptions = exceptions
            self.stall = stall
        }

        static func with<Value>(
            _ server: Server, _ body: (LoadEndpoint) async throws -> Value
        ) async throws -> Value {
            let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
            let channel = try await ServerBootstrap(group: group)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(Handler(server))
                    }
                }
                .bind(host: "127.0.0.1", port: 0).get()
            let result: Result<Value, any Error>
            do {
                result = .success(
                    try await body(LoadEndpoint(host: "127.0.0.1", port: channel.localAddress?.port ?? 0)))
            } catch {
                result = .failure(error)
            }
            try await channel.close()
            try await group.shutdownGracefully()
            return try result.get()
        }
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        private let server: Server

        init(_ server: Server) { self.server = server }

        /// One request arrives at a time: clients wait for answers.
        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let text = String(buffer: unwrapInboundIn(data))
            if text.contains("CLUSTER") {
                let port = context.channel.localAddress?.port ?? 0
                let line = "aa 127.0.0.1:\(port)@1 myself,master - 0 0 1 connected 0-16383\n"
                return write("$\(line.utf8.count)\r\n\(line)\r\n", context)
            }
            let number = server.requests.add(1, ordering: .relaxed).newValue
            if text.contains("SET") { server.sets.add(1, ordering: .relaxed) }
            let usual = text.contains("SET") ? "+OK\r\n" : "$5\r\n12345\r\n"
            let answer = server.exceptions[number] ?? usual
            if answer.isEmpty { return context.close(promise: nil) }
            if let stall = server.stall, number == stall.request {
                // Nobody else is answered either: there is one thread.
                let end = NIODeadline.now() + stall.seconds
                while NIODeadline.now() < end { usleep(1_000) }
            }
            write(answer, context)
        }

        private func write(_ text: String, _ context: ChannelHandlerContext) {
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
        }
    }

    private func plan(_ endpoint: LoadEndpoint, _ mix: String = "get") throws -> LoadPlan {
        var plan = LoadPlan()
        (plan.endpoints, plan.target, plan.mix) = ([endpoint], .redis, try #require(LoadMix.preset(mix)))
        (plan.connections, plan.threads, plan.records, plan.valueBytes) = (8, 2, 300, 5)
        (plan.warmUpSeconds, plan.seconds, plan.timeoutSeconds) = (0, 1, 5)
        return plan
    }

    @Test func `every record is put once, then the mix is counted`() async throws {
        let server = Server()
        let result = try await Server.with(server) { endpoint in
            var plan = try plan(endpoint, "a")
            plan.warmUpSeconds = 1
            return try await LoadRun.perform(plan) { _ in }
        }
        #expect(result.loading?.done == 300)
        let (reads, writes) = (result.tally.latency(.read).count, result.tally.latency(.update).count)
        #expect(result.tally.failed == 0 && reads > 0 && writes > 0)
        #expect(server.sets.load(ordering: .relaxed) > 300 + Int(writes))
        #expect(result.tally.done <= Int(reads + writes) && result.tally.seconds.reduce(0, +) == result.tally.done)
        #expect(result.tally.sent == [Int(reads + writes)])
        let json = try JSONSerialization.jsonObject(with: LoadReport(result).json()) as? [String: Any]
        #expect(json?["done"] as? Int == result.tally.done)
        let report = LoadReport(result)
        #expect(report.text.contains("update") && report.html.contains("<polyline"))
        #expect(report.doubts.isEmpty, "\(report.doubts)")
    }

    @Test func `failures are counted by their names and the load goes on`() async throws {
        let exceptions = [5: "-MOVED 1 x:1\r\n", 6: "$4\r\n1234\r\n", 7: "nonsense\r\n", 8: "", 9: "$-1\r\n"]
        let result = try await Server.with(Server(exceptions: exceptions)) { endpoint in
            var plan = try plan(endpoint)
            (plan.loads, plan.checks) = (false, true)
            return try await LoadRun.perform(plan) { _ in }
        }
        #expect(result.tally.failures["MOVED"] == 1)
        #expect(result.tally.failures["wrong: a value of 4 bytes"] == 1)
        #expect(result.tally.failures["connection closed"] == 1)
        #expect(result.tally.failures.keys.contains { $0.contains("reply begins with the byte") })
        #expect(result.tally.missing == 1 && result.tally.failed == 4)
        #expect(result.tally.done > 20)
        #expect(LoadReport(result).doubts.count >= 5)
    }

    @Test func `wrong answers while warming up end the run`() async throws {
        await #expect(throws: LoadError.self) {
            try await Server.with(Server(exceptions: [310: "$4\r\n1234\r\n"])) { endpoint in
                var plan = try plan(endpoint)
                plan.warmUpSeconds = 1
                _ = try await LoadRun.perform(plan) { _ in }
            }
        }
        await #expect(throws: LoadError.self) {
            _ = try await LoadRun.perform(try plan(LoadEndpoint(host: "127.0.0.1", port: 1))) { _ in }
        }
    }

    /// 400 a second: a stall of half a second hits the operations that came due meanwhile, 200 of them, and each of
    /// those waited as long as it was due before the end of the stall.
    @Test func `what was due while the server stalled waited since it was due`() async throws {
        let result = try await Server.with(Server(stall: (100, .milliseconds(500)))) { endpoint in
            var plan = try plan(endpoint)
            (plan.rate, plan.loads, plan.seconds) = (400, false, 2)
            return try await LoadRun.perform(plan) { _ in }
        }
        let latency = result.tally.latency(.read)
        #expect(result.tally.failed == 0)
        #expect(Int(latency.count) + result.tally.neverSent >= 799 && Int(latency.count) <= 800)
        #expect(latency.longest >= 500_000_000)
        // 160 of 800 waited 100 ms or longer.
        #expect(latency.percentile(0.81) >= 100_000_000)
    }
}
