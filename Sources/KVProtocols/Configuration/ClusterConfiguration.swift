public import KVProtocols

/// A whole cluster as one JSON file describes it, checked and complete: every default is filled in, every value is
/// within its limits and fits the others. Each process picks its part by name. Immutable; made by `load`.
public struct ClusterConfiguration: Hashable, Sendable {
    /// 1 to 63 characters of `a-z0-9-`.
    public let name: String
    /// A power of two from 1 to 16384; fixed when the cluster is created. 64 unless configured.
    public let partitions: Int
    /// Three replicas, or as many as there are nodes if fewer, with majorities as quorums unless configured.
    public let policy: ReplicationPolicy
    /// How often a node reports to the controller. 500 ms unless configured.
    public let heartbeat: Duration
    /// A node that was silent for so long is down. More than twice `heartbeat`; 3 s unless configured.
    public let failAfter: Duration
    /// A node that was down for so long gets substitutes. 5 s unless configured.
    public let replaceAfter: Duration
    /// How long the controller of a new cluster waits for all nodes before it makes the first map from those that are
    /// there, if they are enough for the policy. 10 s unless configured.
    public let bootstrapWait: Duration
    /// Whether servers may listen where other machines can reach them, although nothing is encrypted or authenticated.
    public let allowInsecureNetwork: Bool
    /// Whether nodes may use a backend whose `capabilities.durable` is `false`. Whoever opens a backend checks it: an
    /// acknowledged write is then lost when enough processes end.
    public let allowVolatileStorage: Bool
    /// Names under which clients reach the servers of this cluster, beside those in its addresses: a proxy's, say. Host
    /// names without a port, in lower case; none unless configured.
    public let hosts: [String]
    public let controller: ControllerConfiguration
    /// At least one, in the order of the file; no two have the same name.
    public let nodes: [NodeConfiguration]

    /// The names that requests may have in `Host`: `hosts`, and those of every address and URL. O(nodes).
    public var acceptedHosts: [String] {
        let addresses =
            [controller.listen, controller.advertise] + nodes.flatMap { [$0.listen, $0.advertise] }
        let urls = [controller.publicURL] + nodes.map(\.publicURL)
        return hosts + addresses.map(\.host) + urls.compactMap(NetworkAddress.host(ofURL:))
    }

    /// O(nodes).
    public func node(named name: String) -> NodeConfiguration? { nodes.first { $0.name == name } }
}

/// The controller's part.
public struct ControllerConfiguration: Hashable, Sendable {
    /// Where its HTTP server listens.
    public let listen: NetworkAddress
    /// Where nodes reach it. `listen` unless configured.
    public let advertise: NetworkAddress
    /// Where browsers reach it, without a slash at the end. `http://` and `advertise` unless configured.
    public let publicURL: String
    /// Where it keeps the cluster map and the events.
    public let backend: BackendConfiguration
    public let log: LogConfiguration
}

/// One node's part.
public struct NodeConfiguration: Hashable, Sendable {
    /// 1 to 63 characters of `a-z0-9-`.
    public let name: String
    /// Where its HTTP server listens.
    public let listen: NetworkAddress
    /// Where it listens for its peers.
    public let peerListen: NetworkAddress
    /// Where the controller and other nodes reach its HTTP server. `listen` unless configured.
    public let advertise: NetworkAddress
    /// Where peers reach it. `peerListen` unless configured.
    public let peerAdvertise: NetworkAddress
    /// Where browsers and clients reach it, without a slash at the end. `http://` and `advertise` unless configured.
    public let publicURL: String
    /// Replicas are kept in different zones where there are enough. Empty: a zone of its own.
    public let zone: String
    /// Its share of replicas and leaders compared with other nodes, 1 to 10,000. 100 unless configured.
    public let weight: Int
    public let backend: BackendConfiguration
    public let limits: LimitsConfiguration
    public let log: LogConfiguration
}

/// Which storage engine, and where.
public struct BackendConfiguration: Hashable, Sendable {
    /// The `type` of one of the factories that `load` was given.
    public let type: String
    /// The data folder. A relative path is relative to the working directory of the process, not to the file.
    public let path: String
    /// The shared library of a type that comes out of one: a bare name, or a path, which if relative is relative to the
    /// working directory. `nil` for other types.
    public let library: String?
    /// Only names that the factory knows, and `library` if there is one: what a backend is opened with. What the
    /// values mean is the engine's business.
    public let options: [String: OptionValue]

    init(type: String, path: String, library: String? = nil, options: [String: OptionValue]) {
        self.type = type
        self.path = path
        self.library = library
        var options = options
        if let library { options[BackendFactory.libraryOption] = .string(library) }
        self.options = options
    }
}

/// What one node bounds.
public struct LimitsConfiguration: Hashable, Sendable {
    /// The longest value that a client may write, in bytes. 1 MiB unless configured, at most 64 MiB.
    public let maxValueBytes: Int
    /// The longest body of a request, in bytes: room for a value of `maxValueBytes` as base64 in JSON.
    /// Twice `maxValueBytes` and 1 MiB more unless configured.
    public let maxBodyBytes: Int
    /// How many bytes of records may wait in memory for the backend; beyond it writers wait. 64 MiB unless configured.
    public let overlayBytes: Int
    /// The size of one preallocated file of the journal. 16 MiB unless configured.
    public let journalSegmentBytes: Int
    /// How many requests may be in progress at once; more are refused with status 503. 4096 unless configured.
    public let maxInflight: Int
    /// How much the scrub reads of the backend, in bytes per second, where a record counts 8 KiB more than it has. 4 MiB
    /// unless configured; 0: no scrub.
    public let scrubBytesPerSecond: Int
    /// Free bytes of the disk under the data folder below which clients' writes other than deletes are refused where this
    /// node leads, so that deletes and repairs have room. 128 MiB unless configured; 0: none.
    public let diskReserveBytes: Int
}

/// What a process logs, and how.
public struct LogConfiguration: Hashable, Sendable {
    /// The lowest level that is written. Notice unless configured.
    public let level: Level
    /// Text unless configured.
    public let format: Format

    public enum Level: String, Hashable, Sendable, CaseIterable {
        case trace, debug, info, notice, warning, error, critical
    }

    public enum Format: String, Hashable, Sendable, CaseIterable {
        /// Lines for a person.
        case text
        /// One JSON object a line, for a machine.
        case json
    }
}
