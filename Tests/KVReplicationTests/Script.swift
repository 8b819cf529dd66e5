import KVProtocols
import KVReplication
import KVSimulator

/// A few machines and a bag of messages under the test's hand: nothing moves unless the test says so.
final class Script {
    struct Parcel {
        let from: NodeID
        let outgoing: Outgoing
    }

    var machines: [NodeID: PartitionMachine] = [:]
    var stores: [NodeID: SimulatedStore] = [:]
    var bag: [Parcel] = []
    var answers: [UInt64: Outcome] = [:]
    var now: UInt64 = 1_000
    var wall: UInt64 = 1_000_000
    /// Parcels that are lost.
    var loses: (Parcel) -> Bool = { _ in false }
    /// Nodes whose disk does not finish: what waits for it is kept.
    var stuckDisks: Set<NodeID> = []
    private(set) var held: [NodeID: [Outgoing]] = [:]
    private var nextOperation: UInt64 = 0
    let policy: ReplicationPolicy
    let settings: MachineSettings

    init(
        nodes: Int = 3, members: [UInt32] = [1, 2, 3], policy: ReplicationPolicy = .standard,
        settings: MachineSettings = MachineSettings()
    ) {
        self.policy = policy
        self.settings = settings
        for number in 1...UInt32(nodes) {
            let configuration: Configuration =
                members.contains(number) ? Configuration(initial: members.map { NodeID($0) }) : .none
            stores[NodeID(number)] = SimulatedStore(
                state: PartitionState(configuration: configuration, promised: .zero, purgeEpoch: 0))
            start(NodeID(number))
        }
    }

    var nodes: [NodeID] { machines.keys.sorted() }
    var leader: NodeID? { nodes.filter { machines[$0]?.isLeading == true }.first }

    func start(_ node: NodeID) {
        guard let store = stores[node] else { return }
        machines[node] = PartitionMachine(
            node: node, policy: policy, settings: settings, seed: UInt64(node.rawValue), now: now, store: store)
    }

    func crash(_ node: NodeID) {
        machines[node] = nil
        held[node] = nil
        bag.removeAll { $0.from == node && $0.outgoing.to == node }
        stores[node]?.crash(keeping: 0)
    }

    func step(_ node: NodeID, _ input: Input) {
        guard var store = stores[node], machines[node] != nil else { return }
        var output = Output()
        machines[node]?.step(input, now: now, store: &store, output: &output)
        let isStuck = stuckDisks.contains(node)
        if !isStuck { store.syncAll() }
        stores[node] = store
        for outgoing in output.now { bag.append(Parcel(from: node, outgoing: outgoing)) }
        if isStuck {
            held[node, default: []] += output.afterPersist
        } else {
            for outgoing in output.afterPersist { bag.append(Parcel(from: node, outgoing: outgoing)) }
        }
        for reply in output.replies { answers[reply.id] = reply.outcome }
    }

    /// The node's disk goes on: what it held may leave.
    func free(_ node: NodeID) {
        stuckDisks.remove(node)
        stores[node]?.syncAll()
        for outgoing in held.removeValue(forKey: node) ?? [] { bag.append(Parcel(from: node, outgoing: outgoing)) }
    }

    func deliver(_ parcel: Parcel) {
        step(parcel.outgoing.to, .message(from: parcel.from, parcel.outgoing.header, parcel.outgoing.message))
        step(parcel.outgoing.to, .turnEnd)
    }

    /// Delivers everything, and what follows from it, until nothing is on its way.
    func settle() {
        var left = 100_000
        while !bag.isEmpty, left > 0 {
            left -= 1
            let parcel = bag.removeFirst()
            if !loses(parcel) { deliver(parcel) }
        }
    }

    func run(milliseconds: UInt64) {
        let end = now + milliseconds
        while now < end {
            now += 20
            for node in nodes { step(node, .tick) }
            settle()
        }
    }

    func elect(_ node: UInt32 = 1) {
        run(milliseconds: 3_000)
        precondition(leader == NodeID(node), "node \(node) was to lead, not \(String(describing: leader))")
    }

    /// Asks the node, without delivering anything.
    func ask(_ operation: Operation, at node: NodeID) -> UInt64 {
        nextOperation += 1
        step(node, .operation(id: nextOperation, operation, wallMilliseconds: wall))
        step(node, .turnEnd)
        return nextOperation
    }

    /// Asks the leader and lets everything settle.
    @discardableResult
    func ask(_ operation: Operation) -> Outcome? {
        guard let leader else { return nil }
        let id = ask(operation, at: leader)
        settle()
        return answers[id]
    }

    func record(_ key: Key, on node: UInt32) -> Record? { stores[NodeID(node)]?.record(of: key).value }
    func configure(_ configuration: Configuration, on numbers: [UInt32]) {
        for number in numbers { step(NodeID(number), .configuration(configuration)) }
    }

    /// Lets the node become leader at once, if enough of those that hear it let it, whatever others believe.
    func handOver(to number: UInt32) {
        guard let state = machines[NodeID(number)]?.state else { return }
        let header = Header(epoch: state.configuration.epoch, ballot: state.promised, purgeEpoch: state.purgeEpoch)
        step(NodeID(number), .message(from: state.promised.node, header, .handOver))
        settle()
    }

    /// Cuts the node off, both ways.
    func isolate(_ number: UInt32) {
        loses = {
            $0.from == NodeID(number) && $0.outgoing.to != NodeID(number)
                || $0.outgoing.to == NodeID(number) && $0.from != NodeID(number)
        }
    }
}

extension Operation {
    static func put(_ key: Key, _ text: String, _ condition: Condition = .none) -> Operation {
        .put(key, value: Array(text.utf8), expiresAt: 0, condition)
    }
}

extension Outcome {
    var text: String? {
        if case .value(let record) = self { record.value.map { String(decoding: $0, as: UTF8.self) } } else { nil }
    }
    var version: Version? {
        switch self {
        case .written(let version, _, _, _): version
        case .value(let record): record.version
        default: nil
        }
    }
    var number: Int64? { if case .written(_, _, _, let number) = self { number } else { nil } }
    var isRefused: Bool { if case .refused = self { true } else { false } }
    var isUnknown: Bool { if case .unknown = self { true } else { false } }
}

let x = Key(unchecked: Array("x".utf8))
let y = Key(unchecked: Array("y".utf8))
