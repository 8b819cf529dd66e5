import KVProtocols
import KVReplication

/// What happens to disks.
extension World {
    /// A sync fails: nothing that waits for it is ever said, the process does nothing any more, and is started again
    /// after a while. Part of what it wrote may be on the disk all the same.
    func failSync(_ node: NodeID) {
        let place = index(node)
        guard nodes[place].process != nil, !nodes[place].isFailed else { return }
        note("\(node)'s sync fails")
        nodes[place].isFailed = true
        nodes[place].held = []
        for id in pending.keys.sorted() where pending[id]?.node == node { pending[id] = nil }
        let delay = random.around(random.pick([20_000, 500_000, 5_000_000]))
        queue.schedule(.restart(node), at: now + delay)
    }

    func fillDisk(_ node: NodeID) {
        let place = index(node)
        let isStuck = random.chance(0.5)
        note("\(node)'s disk is full\(isStuck ? " to the brim" : "")")
        nodes[place].fullUntil = max(now + random.below(2_000_000), nodes[place].fullUntil)
        if isStuck { nodes[place].stuckUntil = nodes[place].fullUntil }
        tellOfFullDisk(node)
    }

    func tellOfFullDisk(_ node: NodeID) {
        let boot = nodes[index(node)].boot
        queue.schedule(.disk(node, boot: boot, isFull: true), at: now)
        queue.schedule(.disk(node, boot: boot, isFull: false), at: nodes[index(node)].fullUntil)
    }

    /// One record of one node at a time: more would be a loss that no replication survives.
    func damage(_ node: NodeID) {
        guard lostNode == nil else { return }
        if let damagedNode, nodes[index(damagedNode)].store.isDamaged || damagedNode != node { return }
        let key = random.pick(profile.keys)
        let damage = random.pick([SimulatedStore.Damage.value, .version, .whole])
        guard nodes[index(node)].store.spoil(key, damage) else { return }
        damagedNode = node
        note("\(node)'s record of \(key) is damaged (\(damage))")
        guard random.chance(0.5) else { return }
        let boot = nodes[index(node)].boot
        queue.schedule(.scrub(node, boot: boot), at: now + random.below(random.pick([1, 500_000, 3_000_000])))
    }

    /// The node reads everything in quiet times, and tells its machine what fails verification.
    func scrub(_ node: NodeID) {
        for key in nodes[index(node)].store.scrub() {
            note("\(node)'s scrub finds the record of \(key) damaged")
            step(node, .damaged(key))
        }
    }

    /// The node's disk is empty, rolled back or another's. Its number, by which its promises and copies counted, is not
    /// used again: the controller gives it a new one, and it starts with whatever is on the disk.
    func replaceDisk(_ node: NodeID) {
        guard canLose(node) else { return }
        let place = index(node)
        crash(node)
        var image = SimulatedStore.Image(
            state: PartitionState(configuration: .none, promised: .zero, purgeEpoch: 0))
        let number = NodeID(UInt32(nodes.count + 1))
        switch random.below(3) {
        case 0: note("\(node)'s disk is empty: it comes back as \(number)")
        case 1:
            image = nodes[place].backup ?? nodes[place].store.disk
            note("\(node)'s disk is rolled back: it comes back as \(number)")
        default:
            let other = random.pick(profile.nodes)
            image = self.node(other).store.disk
            note("\(node) has got a copy of \(other)'s disk: it comes back as \(number)")
        }
        nodes[place].isGone = true
        lostNode = node
        if damagedNode == node { damagedNode = nil }
        profile.nodes.removeAll { $0 == node }
        profile.nodes.append(number)
        addNode(number, image.state)
        nodes[index(number)].store.replace(by: image)
        controller.replace(node, by: number, now: now)
        for peer in profile.nodes where peer != number {
            queue.schedule(.hint(peer, boot: self.node(peer).boot, peer: node, isBack: false), at: now)
        }
        queue.schedule(.restart(number), at: now + random.around(300_000))
    }

    /// A copy may be lost when every chosen record is on another disk that is whole, and the members that are left can
    /// be a quorum of each kind.
    private func canLose(_ node: NodeID) -> Bool {
        if let lostNode, published.contains(lostNode) { return false }
        lostNode = nil
        guard profile.nodes.contains(node), !self.node(node).isGone else { return false }
        guard published.contains(node) else {
            // It may be one that was moved away a moment ago, and whose copy still counts for those that don't know.
            return false
        }
        let count = published.members.count
        let policy = profile.policy
        guard !published.isJoint, max(policy.writeQuorum(of: count), policy.readQuorum(of: count)) < count,
            policy.writeQuorum(of: count) >= 2
        else { return false }
        // What is damaged counts as lost already.
        if let damagedNode, damagedNode != node, self.node(damagedNode).store.isDamaged { return false }
        let leader = published.members.first { self.node($0).isLeading }
        guard let leader, let machine = self.node(leader).process?.machine, machine.state.configuration == published,
            machine.isSynced
        else { return false }
        return published.members.allSatisfy { self.node($0).store.state.configuration == published }
    }
}
