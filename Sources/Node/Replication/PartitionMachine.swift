public import KVProtocols

/// The replication protocol of one partition on one node: DESIGN section 4, rule by rule, as a pure state machine.
///
/// Everything durable is in the store; losing the machine loses only roles and waiting operations. Time, randomness and
/// completions are inputs, so the same inputs give the same outputs. Not safe for concurrent use: one thread steps it.
public struct PartitionMachine: Sendable {
    public let me: NodeID
    let policy: ReplicationPolicy
    let settings: MachineSettings

    /// What the store holds, kept here too because every message is judged by it.
    public internal(set) var state: PartitionState
    /// Who is believed to lead, this node included; for routing, never for safety.
    public internal(set) var leader: NodeID?
    var electorate: Electorate
    /// A newer configuration that the leader is left to bring, until then.
    var announced: (configuration: Configuration, until: UInt64)?
    var candidacy: Candidacy?
    var leadership: Leadership?

    var random: SplitMix64
    /// When a live leader was last heard.
    var heardAt: UInt64
    /// When to canvass if no leader is heard before.
    var electionAt: UInt64
    /// The highest ballot counter anybody mentioned.
    var highestSeen: UInt64
    /// Peers whose connection closed, ascending.
    var lost: [NodeID] = []
    var lastWishAt: UInt64
    var mayBeginRepair = true
    /// What this node is given to store may have to wait for long.
    var diskIsFull = false
    /// Until then this node keeps a lead that it would rather give away.
    var keepsLeadUntil: UInt64 = 0
    /// Numbers the questions of recalls and walks.
    var lastWalkRound: UInt64 = 0
    /// Numbers the questions about single keys.
    var lastQueryRound: UInt64 = 0
    var recent: RecentChanges

    /// - Parameter seed: differs per node and partition, so that back-offs differ.
    public init<Store: ReplicaStore>(
        node: NodeID, policy: ReplicationPolicy, settings: MachineSettings, seed: UInt64, now: UInt64, store: Store
    ) {
        me = node
        self.policy = policy
        self.settings = settings
        state = store.state
        electorate = Electorate(store.state.configuration, policy: policy)
        random = SplitMix64(seed: seed)
        heardAt = now
        electionAt = now
        highestSeen = store.state.promised.counter
        lastWishAt = now
        recent = RecentChanges(
            capacity: settings.recentChanges,
            last: store.lastChanges(limit: max(settings.recentChanges, RecentChanges.lastCount)))
        scheduleElection(now: now, first: true)
    }

    /// Takes one input through the rules. `now` is a monotonic clock in milliseconds. Cost: O(1) and a few look-ups in
    /// the store, except for `.tick` (bounded by what waits) and pages of a walk (bounded by the page).
    public mutating func step<Store: ReplicaStore>(
        _ input: Input, now: UInt64, store: inout Store, output: inout Output
    ) {
        switch input {
        case .message(let from, let header, let message):
            receive(message, header, from: from, now: now, store: &store, output: &output)
        case .operation(let id, let operation, let wall):
            submit(id, operation, wall: wall, now: now, store: &store, output: &output)
        case .cancel(let id):
            cancel(id, output: &output)
        case .configuration(let configuration):
            consider(configuration, now: now, store: &store, output: &output)
        case .peerLost(let node):
            peerLost(node, now: now, store: &store, output: &output)
        case .peerBack(let node):
            peerBack(node, now: now)
        case .damaged(let key):
            foundDamaged(key, now: now, store: &store, output: &output)
        case .disk(let isFull):
            diskIsFull = isFull
        case .repair(let isAllowed):
            mayBeginRepair = isAllowed
        case .tick:
            tick(now: now, store: &store, output: &output)
        case .turnEnd:
            sendConfirmIfWanted(now: now, output: &output)
        case .resign:
            resign(now: now, output: &output)
        }
    }

    // MARK: - What others may ask

    public var isLeading: Bool { leadership != nil }
    public var isMember: Bool { state.configuration.contains(me) }

    /// The ballot under which this machine leads; `nil` when it does not.
    public var leadingBallot: Ballot? { leadership?.ballot }

    /// Whether this leader knows every key, and every key is chosen in every member set in force.
    public var isSynced: Bool { leadership?.isComplete ?? false }

    /// Whether this leader brings a member up to date that has answered since then.
    public func isRepairing(since time: UInt64) -> Bool { leadership?.repair.map { $0.workedAt >= time } ?? false }

    // MARK: - Shared by the rules

    var header: Header {
        Header(
            epoch: state.configuration.epoch, ballot: leadership?.ballot ?? candidacy?.ballot ?? state.promised,
            purgeEpoch: state.purgeEpoch)
    }

    /// The members that can be reached, this node included.
    var reachable: Electorate.Set {
        var set = electorate.everyone
        for node in lost { set &= ~electorate.bit(of: node) }
        return set
    }

    func send(_ message: Message, to node: NodeID, output: inout Output) {
        output.now.append(Outgoing(to: node, header: header, message: message))
    }

    /// To every member that can be reached, except this node.
    func sendToOthers(_ message: Message, output: inout Output) {
        let header = header
        for node in electorate.nodes where node != me && !lost.contains(node) {
            output.now.append(Outgoing(to: node, header: header, message: message))
        }
    }

    func sendToOthers(of set: Electorate.Set, _ message: Message, output: inout Output) {
        let header = header
        for (index, node) in electorate.nodes.enumerated()
        where set & (1 << Electorate.Set(index)) != 0 && node != me && !lost.contains(node) {
            output.now.append(Outgoing(to: node, header: header, message: message))
        }
    }

    /// Ends leading or standing for election. What was proposed and not chosen is unknown, the rest refused.
    mutating func stepDown(output: inout Output) {
        candidacy = nil
        guard let leadership else { return }
        self.leadership = nil
        if leader == me { leader = nil }
        output.statusChanged = true
        leadership.endAll(refusal: .notLeader(leader: leader), electorate: electorate, output: &output)
    }

    /// Leaves the lead to others, and says so: they need not wait for silence.
    mutating func resign(now: UInt64, output: inout Output) {
        if leadership != nil { sendToOthers(.resigned, output: &output) }
        stepDown(output: &output)
        electionAt = now + settings.electionTimeout + random.below(settings.electionTimeout)
    }

    mutating func peerLost<Store: ReplicaStore>(
        _ node: NodeID, now: UInt64, store: inout Store, output: inout Output
    ) {
        guard node != me, !lost.contains(node) else { return }
        lost.append(node)
        lost.sort()
        guard electorate.index(of: node) != nil else { return }
        if leadership != nil {
            refuseWithoutQuorum(output: &output)
            restartSync(without: node, now: now, store: &store, output: &output)
        } else if leader == node {
            leader = nil
            output.statusChanged = true
            scheduleElection(now: now, first: true)
            adoptAnnounced(now: now, store: &store, output: &output)
        }
    }

    mutating func peerBack(_ node: NodeID, now: UInt64) {
        lost.removeAll { $0 == node }
        leadership?.retransmitSoon()
    }
}
