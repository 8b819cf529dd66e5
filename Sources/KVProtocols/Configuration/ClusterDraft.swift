internal import KVProtocols

/// The whole configuration while it is checked: what is `nil` was reported.
struct ClusterDraft {
    private(set) var name: Located<String>?
    private(set) var partitions: Located<Int>?
    private(set) var policy: ReplicationPolicy?
    /// Where to report that the policy doesn't fit the number of nodes.
    private(set) var replicas: Located<Int>?
    private(set) var heartbeat: Located<Int>?
    private(set) var failAfter: Located<Int>?
    private(set) var replaceAfter: Located<Int>?
    private(set) var bootstrapWait: Located<Int>?
    private(set) var allowInsecureNetwork: Located<Bool>?
    private(set) var allowVolatileStorage: Located<Bool>?
    private(set) var hosts: [String]?
    private(set) var controller: ServerDraft?
    private(set) var nodes: [NodeDraft] = []
    private(set) var nodeCount: Int?

    static let rootKeys = ["$schema", "cluster", "controller", "nodes"]
    static let clusterKeys = [
        "name", "partitions", "replication", "heartbeat_ms", "fail_after_ms", "replace_after_ms", "bootstrap_wait_ms",
        "allow_insecure_network", "allow_volatile_storage", "hosts",
    ]
    static let replicationKeys = ["replicas", "write_quorum", "read_quorum"]

    static let maximumHosts = 256
    /// More than this design is for; bounds the work of comparing nodes with each other.
    static let maximumNodes = 256

    init(_ root: JSONNode, factories: [BackendFactory], _ problems: inout ProblemLog) {
        guard let root = Fields(root, path: "$", known: ClusterDraft.rootKeys, log: &problems) else { return }
        let nodeList = ClusterDraft.nodeList(root, &problems)
        nodeCount = nodeList?.count
        readCluster(root, &problems)
        let keys = ServerDraft.keys
        if let fields = root.object("controller", known: keys, required: true, &problems) {
            controller = ServerDraft(fields, factories: factories, &problems)
        }
        for (index, node) in (nodeList ?? []).enumerated() {
            guard let fields = Fields(node, path: "$.nodes[\(index)]", known: NodeDraft.keys, log: &problems) else {
                continue
            }
            nodes.append(NodeDraft(fields, factories: factories, &problems))
        }
    }

    /// `nil` when a part was reported.
    var value: ClusterConfiguration? {
        guard let name, let partitions, let policy, let heartbeat, let failAfter, let replaceAfter, let bootstrapWait,
            let allowInsecureNetwork, let allowVolatileStorage, let hosts, let controller,
            let listen = controller.listen, let advertise = controller.advertise, let publicURL = controller.publicURL,
            let backend = controller.backend.value, let log = controller.log
        else { return nil }
        let nodes = nodes.compactMap(\.value)
        guard nodes.count == nodeCount else { return nil }
        return ClusterConfiguration(
            name: name.value, partitions: partitions.value, policy: policy, heartbeat: .milliseconds(heartbeat.value),
            failAfter: .milliseconds(failAfter.value), replaceAfter: .milliseconds(replaceAfter.value),
            bootstrapWait: .milliseconds(bootstrapWait.value), allowInsecureNetwork: allowInsecureNetwork.value,
            allowVolatileStorage: allowVolatileStorage.value, hosts: hosts,
            controller: ControllerConfiguration(
                listen: listen.value, advertise: advertise.value, publicURL: publicURL.value, backend: backend, log: log
            ),
            nodes: nodes)
    }

    private static func nodeList(_ root: Fields, _ problems: inout ProblemLog) -> [JSONNode]? {
        guard let node = root.required("nodes", &problems) else { return nil }
        guard case .array(let list) = node.value else {
            problems.report("$.nodes", "expected a list, found \(node.kind)", at: node.origin)
            return nil
        }
        guard 1...maximumNodes ~= list.count else {
            problems.report("$.nodes", "\(list.count) nodes; use 1 to \(maximumNodes)", at: node.origin)
            return nil
        }
        return list
    }

    private mutating func readCluster(_ root: Fields, _ problems: inout ProblemLog) {
        let keys = ClusterDraft.clusterKeys
        guard let fields = root.object("cluster", known: keys, required: true, &problems) else { return }
        name = ClusterDraft.name(fields, &problems)
        partitions = fields.integer("partitions", in: 1...Slot.count, default: 64, &problems)
        if let count = partitions, count.value & (count.value - 1) != 0 {
            problems.report(count, "\(count.value) is not a power of two from 1 to \(Slot.count), such as 64")
            partitions = nil
        }
        readReplication(fields, &problems)
        heartbeat = fields.integer("heartbeat_ms", in: 10...60_000, default: 500, &problems)
        failAfter = fields.integer("fail_after_ms", in: 21...600_000, default: 3000, &problems)
        replaceAfter = fields.integer("replace_after_ms", in: 0...86_400_000, default: 5000, &problems)
        bootstrapWait = fields.integer("bootstrap_wait_ms", in: 0...600_000, default: 10_000, &problems)
        allowInsecureNetwork = fields.boolean("allow_insecure_network", default: false, &problems)
        allowVolatileStorage = fields.boolean("allow_volatile_storage", default: false, &problems)
        hosts = ClusterDraft.hosts(fields, &problems)
    }

    /// Three replicas, or one for each node if there are fewer, and majorities, where nothing else is given.
    private mutating func readReplication(_ cluster: Fields, _ problems: inout ProblemLog) {
        let keys = ClusterDraft.replicationKeys
        guard let fields = cluster.object("replication", known: keys, &problems) else { return }
        // It is the policy that judges the numbers, with messages that name all three.
        let anyNumber = Int.min...Int.max
        let usual = min(ReplicationPolicy.standard.replicas, nodeCount ?? .max)
        let replicas = fields.integer("replicas", in: anyNumber, default: usual, &problems)
        let majority = (replicas?.value ?? usual) / 2 + 1
        let write = fields.integer("write_quorum", in: anyNumber, default: majority, &problems)
        let read = fields.integer("read_quorum", in: anyNumber, default: majority, &problems)
        self.replicas = replicas
        guard let replicas, let write, let read else { return }
        do throws(PolicyError) {
            policy = try ReplicationPolicy(replicas: replicas.value, write: write.value, read: read.value)
        } catch {
            switch error {
            case .replicas: problems.report(replicas, error.description)
            case .write: problems.report(write, error.description)
            case .read, .disjoint: problems.report(read, error.description)
            }
        }
    }

    /// Host names, none when absent; `nil` when something was reported.
    private static func hosts(_ fields: Fields, _ problems: inout ProblemLog) -> [String]? {
        guard let node = fields.node("hosts") else { return [] }
        let path = fields.path(of: "hosts")
        guard case .array(let list) = node.value else {
            problems.report(path, "expected a list, found \(node.kind)", at: node.origin)
            return nil
        }
        guard list.count <= maximumHosts else {
            problems.report(path, "\(list.count) names; use at most \(maximumHosts)", at: node.origin)
            return nil
        }
        var hosts: [String] = []
        for (index, element) in list.enumerated() {
            guard case .string(let text) = element.value, NetworkAddress.isHostName(text.lowercased()) else {
                problems.report(
                    "\(path)[\(index)]", "expected a host name without a port, such as kv.example.com",
                    at: element.origin)
                continue
            }
            hosts.append(text.lowercased())
        }
        return hosts.count == list.count ? hosts : nil
    }

    /// A required `name`: one label of a host name, so that it serves as the name of a container or machine too.
    static func name(_ fields: Fields, _ problems: inout ProblemLog) -> Located<String>? {
        guard fields.required("name", &problems) != nil else { return nil }
        let expected = "1 to 63 characters of a-z 0-9 -, with a letter or digit at both ends"
        return fields.parsed("name", expected: expected, &problems) { text in
            let isPlain = text.utf8.allSatisfy { byte in
                UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte
                    || byte == UInt8(ascii: "-")
            }
            return isPlain && 1...63 ~= text.utf8.count && text.first != "-" && text.last != "-" ? text : nil
        }
    }
}
