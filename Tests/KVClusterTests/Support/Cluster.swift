import Foundation
import Synchronization
import Testing

/// A controller and nodes as processes of this machine, in a folder of their own.
final class Cluster: Sendable {
    let settings: ClusterSettings
    let addresses: ClusterSettings.Addresses
    let executable: String
    let folder: String
    private let processes = Mutex<[String: TestProcess]>([:])

    var configuration: String { "\(folder)/cluster.json" }
    var nodes: [String] { settings.nodes }
    var controller: HTTP { HTTP(port: addresses.controller) }

    private init(_ settings: ClusterSettings, folder: String) throws {
        self.settings = settings
        self.folder = folder
        addresses = settings.addresses()
        executable = try Executable.path()
        try settings.json(addresses).write(toFile: configuration, atomically: true, encoding: .utf8)
    }

    /// Gives `body` a cluster and ends all its processes afterwards, also when `body` throws.
    /// - Parameter starting: whether the cluster is healthy when `body` begins; otherwise nothing runs yet.
    static func with(
        _ settings: ClusterSettings = ClusterSettings(), starting: Bool = true,
        _ body: (Cluster) async throws -> Void
    ) async throws {
        await ClusterSlots.shared.take()
        do {
            let folder = try TestFolder()
            defer { folder.remove() }
            let cluster = try Cluster(settings, folder: folder.path)
            do {
                if starting { try await cluster.start() }
                try await body(cluster)
            } catch {
                Issue.record("what the processes said last:\n\(cluster.lastWords)")
                await cluster.destroyAll()
                throw error
            }
            await cluster.destroyAll()
        } catch {
            await ClusterSlots.shared.giveBack()
            throw error
        }
        await ClusterSlots.shared.giveBack()
    }

    // MARK: Processes

    /// Starts everything and waits until it is healthy.
    func start() async throws {
        try start("controller")
        for node in nodes { try start(node) }
        try await healthy()
    }

    /// Starts one process: `controller`, or a node by its name.
    func start(_ name: String) throws {
        let arguments = name == "controller" ? ["controller"] : ["node", "--name", name]
        let process = try TestProcess(
            executable, arguments + ["--config", configuration, "--stop-on-end-of-input"], log: "\(folder)/\(name)",
            folder: folder)
        processes.withLock { $0[name] = process }
    }

    /// Kills one process as a crash would, and waits until it is gone.
    func kill(_ name: String) async { await process(name)?.destroy() }

    /// Kills all processes at the same moment.
    func destroyAll() async {
        let all = processes.withLock { Array($0.values) }
        for process in all { process.signal(SIGKILL) }
        for process in all { _ = await process.ending }
    }

    /// Stops one process cleanly.
    /// - Returns: its exit status.
    func stop(_ name: String) async -> Int32? { await process(name)?.stop() }

    func process(_ name: String) -> TestProcess? { processes.withLock { $0[name] } }

    /// What a process wrote to its standard error so far.
    func log(_ name: String) -> String { process(name)?.errors ?? "" }

    private var lastWords: String {
        processes.withLock { $0 }.sorted { $0.key < $1.key }.map { name, process in
            let lines = process.errors.split(separator: "\n").suffix(12).joined(separator: "\n  ")
            return "\(name)\(process.isRunning ? "" : " (ended)"):\n  \(lines)"
        }.joined(separator: "\n")
    }

    // MARK: Asking

    /// The HTTP server of a node, by its name.
    func node(_ name: String) -> HTTP {
        HTTP(port: addresses.listen[nodes.firstIndex(of: name) ?? 0])
    }

    /// The HTTP servers of all nodes, or of those that are not in `without`.
    func servers(without: Set<String> = []) -> [HTTP] {
        nodes.filter { !without.contains($0) }.map { node($0) }
    }

    /// Waits until all partitions have all replicas and a leader that knows every key, with so many nodes up.
    func healthy(nodes count: Int? = nil, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let count = count ?? nodes.count
        try await eventually("\(count) healthy nodes", within: .seconds(120), sourceLocation: sourceLocation) {
            let health = try await controller.get("/health").json
            return health["workers_count"].integer == count
                && health["partitions"]["ok"].integer == settings.partitions
        }
        // The controller's view is as old as the last heartbeats: each node must serve, too.
        for server in servers(without: Set(nodes.filter { process($0)?.isRunning == false })) {
            try await eventually("a node is ready", sourceLocation: sourceLocation) {
                try await server.get("/readyz").status == 200
            }
        }
    }

    /// Names of the nodes that hold `key`, the preferred leader first.
    func members(of key: String) async throws -> [String] {
        try await controller.get("/map?key=\(key)").json["replicas"].strings
    }

    /// Kinds of all events about `node`, oldest first.
    func events(about node: String) async throws -> [String] {
        try await controller.get("/events?limit=1000").json["events"].list
            .filter { $0["node"].string == node }.compactMap { $0["kind"].string }
    }

    /// Whether all members of the key's partition hold the same record, or nothing at all.
    func agrees(_ key: String, by server: HTTP? = nil) async throws -> Bool {
        let answer = try await (server ?? controller).get("/replicas?key=\(key)")
        if answer.status == 404, answer.json["code"].string == "not_found" { return true }
        let replicas = answer.json["replicas"].list
        return answer.status == 200 && replicas.count == 3 && replicas.allSatisfy { $0["agrees"].boolean == true }
    }

    /// Gives a node another backend in the configuration file; it takes effect when the node is started again.
    func setBackend(of node: String, type: String, path: String) throws {
        let text = try String(contentsOfFile: configuration, encoding: .utf8)
        let name = try #require(text.range(of: #""name": "\#(node)""#))
        let backend = try #require(text.range(of: #""backend": {"#, range: name.upperBound..<text.endIndex))
        let end = try #require(text.range(of: "}", range: backend.upperBound..<text.endIndex))
        let changed =
            text[..<backend.upperBound] + #""type": "\#(type)", "path": "\#(path)""# + text[end.lowerBound...]
        try changed.write(toFile: configuration, atomically: true, encoding: .utf8)
    }

    /// Runs `kv` with these arguments, against this cluster.
    func command(_ arguments: String..., input: String = "") async throws -> CommandResult {
        var environment = Executable.environment
        environment["KV_URL"] = "http://127.0.0.1:\(addresses.controller)"
        return try await run(
            executable, arguments, input: input, log: "\(folder)/command", folder: folder, environment: environment)
    }

    /// Runs `kv` as a server that is expected to end by itself.
    func failing(_ arguments: String...) async throws -> CommandResult {
        try await run(executable, arguments, log: "\(folder)/command", folder: folder, within: .seconds(30))
    }
}
