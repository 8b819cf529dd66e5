import Foundation
import KVController
import KVFileBackend
import KVMemoryBackend
import KVProtocols
import KVReplication
import KVStorage
import KVTransport
import Logging
import NIOCore
import NIOPosix

@testable import KVNode

/// A whole cluster in one process: a real controller, real nodes with journals on disk and real peer links on
/// loopback; only HTTP is left out.
final class TestCluster: Sendable {
    struct Member: Sendable {
        let name: String
        let node: Node
        let task: Task<Void, any Error>
    }

    static let partitions = 8

    let folder: URL
    let controller: Controller
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
    private let controllerTask: Task<Void, Never>
    private let ports: [Int]
    let policy: ReplicationPolicy
    private let scrubBytesPerSecond: Int

    init(
        nodes: Int = 4, policy: ReplicationPolicy = .standard, failAfter: Int = 1_000, replaceAfter: Int = 500,
        scrubBytesPerSecond: Int = 0
    ) throws {
        self.scrubBytesPerSecond = scrubBytesPerSecond
        folder = FileManager.default.temporaryDirectory.appending(path: "kv-node-tests-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        self.policy = policy
        let backend = try MemoryBackend.factory.open(
            BackendContext(
                path: folder.path, partitions: Self.partitions, options: ["allow_volatile": .boolean(true)]))
        let names = (1...nodes).map { "worker\($0)" }
        controller = try Controller(
            settings: ControllerSettings(
                cluster: "test", partitions: Self.partitions, policy: policy, nodes: names,
                heartbeatMilliseconds: 50, failAfterMilliseconds: failAfter, replaceAfterMilliseconds: replaceAfter,
                bootstrapWaitMilliseconds: 60_000),
            backend: backend, logger: Logger(label: "controller") { _ in SwiftLogNoOpLogHandler() })
        ports = try Self.freePorts(nodes)
        let controller = controller
        controllerTask = Task { await controller.run() }
    }

    func start(_ index: Int) throws -> Member {
        let name = "worker\(index + 1)"
        let path = folder.appending(path: name).path
        let dataFolder = try DataFolder(path: path, backendType: "file")
        let backend = try FileBackend.factory.open(BackendContext(path: path, partitions: Self.partitions))
        var machine = MachineSettings()
        machine.beacon = 50
        machine.electionTimeout = 400
        let settings = NodeSettings(
            name: name, clusterName: "test", policy: policy, partitions: Self.partitions,
            address: "127.0.0.1:\(20_000 + index)", peerAddress: "127.0.0.1:\(ports[index])", zone: "",
            backend: "file", heartbeatMilliseconds: 50, version: "test", machine: machine)
        let loop = group.next()
        let port = ports[index]
        let logger = Logger(label: name) { _ in SwiftLogNoOpLogHandler() }
        let node = try Node(
            settings: settings, folder: dataFolder, backend: backend,
            storageSettings: NodeStorage.Settings(
                seed: settings.digestSeed, segmentBytes: 1 << 20, scrubBytesPerSecond: scrubBytesPerSecond,
                scrubPassMilliseconds: 100),
            controller: DirectLink(controller: controller), loop: loop, logger: logger
        ) { identity, onEvent in
            PeerNetwork(
                identity: identity, listen: ("127.0.0.1", port), group: loop, settings: PeerNetworkSettings(),
                logger: logger, onEvent: onEvent)
        }
        return Member(name: name, node: node, task: Task { try await node.run() })
    }

    func startAll() throws -> [Member] {
        try ports.indices.map { try start($0) }
    }

    func stop(_ member: Member) async throws {
        member.task.cancel()
        try await member.task.value
    }

    /// Stops everything and removes the data.
    func end(_ members: [Member]) async throws {
        for member in members { try await stop(member) }
        controllerTask.cancel()
        await controllerTask.value
        try await group.shutdownGracefully()
        try FileManager.default.removeItem(at: folder)
    }

    private static func freePorts(_ count: Int) throws -> [Int] {
        let group = MultiThreadedEventLoopGroup.singleton
        let channels = try (0..<count).map { _ in
            try ServerBootstrap(group: group).bind(host: "127.0.0.1", port: 0).wait()
        }
        let ports = channels.compactMap { $0.localAddress?.port }
        for channel in channels { try channel.close().wait() }
        return ports
    }
}

/// Heartbeats without HTTP.
struct DirectLink: ControllerLink {
    let controller: Controller

    func heartbeat(_ heartbeat: Heartbeat) async throws -> HeartbeatReply {
        try await controller.heartbeat(heartbeat)
    }
}

/// Polls until the condition holds; gives up after a time that no healthy machine needs.
func eventually(_ what: String, seconds: Double = 30, _ condition: () async throws -> Bool) async throws {
    let deadline = ContinuousClock.now + .seconds(seconds)
    while ContinuousClock.now < deadline {
        if try await condition() { return }
        try await Task.sleep(for: .milliseconds(10))
    }
    throw TestFailure(what: what)
}

struct TestFailure: Error, CustomStringConvertible {
    let what: String
    var description: String { "never came true: \(what)" }
}
