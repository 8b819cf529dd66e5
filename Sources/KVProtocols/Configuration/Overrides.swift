/// Values from flags and the environment, which go before those of the file. A flag goes before a variable.
///
/// Only what belongs to one process can be overridden. Settings that all processes of a cluster must share, such as
/// quorums and timeouts, come from the file alone: a process that differs from the others would be a trap.
public struct Overrides: Hashable, Sendable {
    /// What can be overridden.
    public enum Setting: String, Hashable, Sendable, CaseIterable {
        case controllerListen = "KV_CONTROLLER_LISTEN"
        case controllerAdvertise = "KV_CONTROLLER_ADVERTISE"
        case controllerPublicURL = "KV_CONTROLLER_PUBLIC_URL"
        case controllerBackendType = "KV_CONTROLLER_BACKEND_TYPE"
        case controllerData = "KV_CONTROLLER_DATA"
        case nodeListen = "KV_NODE_LISTEN"
        case nodePeerListen = "KV_NODE_PEER_LISTEN"
        case nodeAdvertise = "KV_NODE_ADVERTISE"
        case nodePeerAdvertise = "KV_NODE_PEER_ADVERTISE"
        case nodePublicURL = "KV_NODE_PUBLIC_URL"
        case nodeZone = "KV_NODE_ZONE"
        case nodeBackendType = "KV_NODE_BACKEND_TYPE"
        case nodeData = "KV_NODE_DATA"
        case logLevel = "KV_LOG_LEVEL"
        case logFormat = "KV_LOG_FORMAT"
        case allowInsecureNetwork = "KV_ALLOW_INSECURE_NETWORK"

        /// The environment variable that sets it.
        public var variable: String { rawValue }
    }

    /// The configuration file, from `KV_CONFIG`; the caller reads it.
    public var file: String?
    /// The node that the `node...` settings are for, from `KV_NODE_NAME` or a flag. A cluster of one node needs none.
    public var node: String?
    /// What was wrong with the environment; `ClusterConfiguration.load` reports it with everything else.
    let problems: [ConfigurationProblem]
    private var values: [Setting: Value] = [:]

    private struct Value: Hashable, Sendable {
        var text: String
        var origin: Origin
    }

    /// Overrides nothing.
    public init() {
        problems = []
    }

    /// Takes the variables whose names start with `KV_`. Unknown ones are problems that `load` reports, except those
    /// in `alsoKnown` and those that Kubernetes sets in every container when a service is called `kv`.
    public init(environment: [String: String], alsoKnown: [String] = []) {
        var log = ProblemLog()
        let known = Setting.allCases.map(\.variable) + ["KV_CONFIG", "KV_NODE_NAME"] + alsoKnown
        for (variable, text) in environment.sorted(by: { $0.key < $1.key }) where variable.hasPrefix("KV_") {
            if let setting = Setting(rawValue: variable) {
                values[setting] = Value(text: text, origin: .override(variable))
            } else if variable == "KV_CONFIG" {
                file = text
            } else if variable == "KV_NODE_NAME" {
                node = text
            } else if !alsoKnown.contains(variable), !Overrides.isSetByKubernetes(variable) {
                log.report("", "unknown variable; \(suggestion(for: variable, among: known))", at: .override(variable))
            }
        }
        problems = log.problems
    }

    /// Sets a value from a flag, which goes before the environment.
    /// - Parameter flag: the flag as a person writes it, for messages: `--listen`.
    public mutating func set(_ setting: Setting, to text: String, flag: String) {
        values[setting] = Value(text: text, origin: .override(flag))
    }

    private static func isSetByKubernetes(_ variable: String) -> Bool {
        variable == "KV_PORT" || variable.hasPrefix("KV_PORT_") || variable.hasPrefix("KV_SERVICE_")
    }
}

// MARK: Applying

extension Overrides {
    /// Puts the values into the text's tree, so that they are checked like those that they replace.
    func apply(to root: inout JSONNode, _ problems: inout ProblemLog) {
        let index = nodeIndex(in: root, &problems)
        for setting in Setting.allCases {
            guard let value = values[setting] else { continue }
            let node = JSONNode(value: setting.value(of: value.text), origin: value.origin)
            switch setting.place {
            case .root(let path):
                root.set(path[...], to: node)
            case .node(let path):
                if let index { root.changeNodes(only: index) { $0.set(path[...], to: node) } }
            case .processes(let path):
                if root.member("controller") != nil { root.set((["controller"] + path)[...], to: node) }
                root.changeNodes { $0.set(path[...], to: node) }
            }
        }
    }

    /// Where in `nodes` the settings of a node go; `nil`, with a report if there are such settings, when it is unclear.
    private func nodeIndex(in root: JSONNode, _ problems: inout ProblemLog) -> Int? {
        guard case .array(let nodes) = root.member("nodes")?.value else { return nil }
        let names = nodes.map { node -> String? in
            if case .string(let name) = node.member("name")?.value { name } else { nil }
        }
        if let node {
            if let index = names.firstIndex(of: node) { return index }
            let known = names.compactMap { $0 }
            problems.report(
                "$.nodes", "no node is named \(quoted(node)); \(suggestion(for: node, among: known))",
                at: root.member("nodes")?.origin)
            return nil
        }
        if nodes.count == 1 { return 0 }
        for setting in Setting.allCases {
            guard case .node = setting.place, let origin = values[setting]?.origin else { continue }
            problems.report("", "is for one node; say which one with --name or KV_NODE_NAME", at: origin)
        }
        return nil
    }
}

extension JSONNode {
    /// Changes the elements of `nodes`, or one of them.
    fileprivate mutating func changeNodes(only index: Int? = nil, _ change: (inout JSONNode) -> Void) {
        guard var list = member("nodes"), case .array(var nodes) = list.value else { return }
        for position in nodes.indices where index == nil || index == position { change(&nodes[position]) }
        list.value = .array(nodes)
        set(["nodes"], to: list)
    }
}

extension Overrides.Setting {
    fileprivate enum Place {
        case root([String])
        /// In the node that `Overrides.node` names.
        case node([String])
        /// In the controller and in every node.
        case processes([String])
    }

    fileprivate var place: Place {
        switch self {
        case .controllerListen: .root(["controller", "listen"])
        case .controllerAdvertise: .root(["controller", "advertise"])
        case .controllerPublicURL: .root(["controller", "public_url"])
        case .controllerBackendType: .root(["controller", "backend", "type"])
        case .controllerData: .root(["controller", "backend", "path"])
        case .nodeListen: .node(["listen"])
        case .nodePeerListen: .node(["peer_listen"])
        case .nodeAdvertise: .node(["advertise"])
        case .nodePeerAdvertise: .node(["peer_advertise"])
        case .nodePublicURL: .node(["public_url"])
        case .nodeZone: .node(["zone"])
        case .nodeBackendType: .node(["backend", "type"])
        case .nodeData: .node(["backend", "path"])
        case .logLevel: .processes(["log", "level"])
        case .logFormat: .processes(["log", "format"])
        case .allowInsecureNetwork: .root(["cluster", "allow_insecure_network"])
        }
    }

    fileprivate func value(of text: String) -> JSONNode.Value {
        guard self == .allowInsecureNetwork else { return .string(text) }
        switch text.lowercased() {
        case "true", "1", "yes": return .boolean(true)
        case "false", "0", "no": return .boolean(false)
        default: return .string(text)
        }
    }
}
