import Foundation
public import KVProtocols
import KVReplication
public import KVStorage
public import KVTransport
public import Logging
public import NIOCore

/// A node: a backend, a replication policy and its peers, composed. Offers its keys through `NodeService`.
///
/// Life: `init` opens the data (blocking; minutes after a crash of a large file store), `run` works until the task is
/// cancelled, then stops cleanly: operations answered, the overlay in the backend, the journal empty.
public final class Node: Sendable {
    let settings: NodeSettings
    let engine: EngineLoop
    let network: PeerNetwork
    let controller: any ControllerLink
    let logger: Logger

    /// Opens the data folder's storage and starts the engine. The folder must belong to this node and cluster.
    /// - Parameters:
    ///   - folder: locked for this process; released by `run` at its end.
    ///   - loop: where the engine and the peer links work. HTTP connections on the same loop are served without a change
    ///     of thread.
    ///   - makeNetwork: is given this node's identity and what to call with each peer event; its group is `loop`.
    /// - Throws: `StorageError` (`.foreign` when the folder holds another node's data), or what `makeNetwork` throws.
    public init(
        settings: NodeSettings, folder: DataFolder, backend: any StorageBackend,
        storageSettings: NodeStorage.Settings, controller: any ControllerLink, loop: any EventLoop, logger: Logger,
        makeNetwork: (NodeIdentity, @escaping @Sendable (PeerEvent) -> Void) throws -> PeerNetwork
    ) throws {
        let engine = EngineLoop(loop: loop)
        let storage = try NodeStorage(
            folder: folder, backend: backend, partitions: settings.partitions, settings: storageSettings,
            notify: { engine.put(.storage($0)) })
        let identity: NodeIdentity
        let map: ClusterMap?
        do {
            identity = try Self.identity(in: storage, name: settings.name)
            map = try storage.savedMap(partitions: settings.partitions)
            storage.saveNode(Engine.identityName, try Array(JSONEncoder().encode(identity)))
            storage.commit()
        } catch {
            try storage.stop()
            throw error
        }
        let network = try makeNetwork(identity) { engine.put(.peer($0)) }
        self.settings = settings
        self.controller = controller
        self.logger = logger
        self.network = network
        self.engine = engine
        if let map { network.update(peers: Self.peers(of: map, besides: identity.node)) }
        engine.start {
            Engine(
                settings: settings, storage: storage, identity: identity, map: map, links: network, logger: logger)
        }
    }

    /// The folder's identity with its boot counter raised, or a new one without a number.
    private static func identity(in storage: NodeStorage, name: String) throws -> NodeIdentity {
        guard let bytes = try storage.node(Engine.identityName) else {
            return NodeIdentity(
                cluster: 0, node: NodeID(0), name: name, incarnation: UInt64.random(in: 1...UInt64.max), boot: 1)
        }
        var identity = try decode(NodeIdentity.self, bytes, "node's identity")
        guard identity.name == name else {
            throw StorageError(
                .foreign,
                "the data folder belongs to node '\(identity.name)', not to '\(name)'; give each node its own folder, "
                    + "or start this one under its old name")
        }
        identity.boot += 1
        return identity
    }

    private static func decode<Value: Decodable>(_ type: Value.Type, _ bytes: [UInt8], _ what: String) throws -> Value {
        do {
            return try JSONDecoder().decode(type, from: Data(bytes))
        } catch {
            throw StorageError(
                .damaged, "the stored \(what) can't be read; restore the data folder or start with an empty one",
                cause: "\(error)")
        }
    }

    static func peers(of map: ClusterMap, besides node: NodeID) -> [PeerAddress] {
        map.nodes.filter { $0.id != node }.compactMap { PeerAddress($0) }
    }

    /// Works until the surrounding task is cancelled, then stops cleanly.
    /// - Throws: when the peers' port can't be had, or the clean stop failed (what was acknowledged is in the journal).
    public func run() async throws {
        // Nobody may hear of this boot before it is on the disk: it tells a rolled-back folder.
        guard await engine.durable() else {
            let error = await engine.stop()
            if Task.isCancelled {
                if let error { throw error }
                return
            }
            throw StorageError(.poisoned, "the journal can't be written; see the log for the cause")
        }
        await introduce()
        do {
            _ = try await network.start()
        } catch {
            _ = await engine.stop()
            throw error
        }
        await heartbeats()
        await network.shutdown()
        if let error = await engine.stop() { throw error }
        logger.notice("the node stopped, its data is in the backend")
    }
}
