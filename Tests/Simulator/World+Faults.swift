import KVProtocols
import KVReplication

/// Bad weather, and its end.
extension World {
    func fault() {
        guard !isCalm else { return }
        queue.schedule(.fault, at: now + random.around(profile.faultInterval))
        let kind = profile.faults[random.pick(weights: profile.faults.map(\.1))].0
        let node = random.pick(profile.nodes)
        switch kind {
        case .crash:
            guard nodes[index(node)].machine != nil else { return }
            crash(node)
            if random.chance(0.2) {
                for other in profile.nodes where random.chance(0.5) { crash(other) }
            }
            for other in profile.nodes where nodes[index(other)].machine == nil {
                hintOthers(about: other, isBack: false)
                let down: UInt64 = random.pick([20_000, 300_000, 2_500_000])
                queue.schedule(.restart(other), at: now + random.around(down))
            }
        case .pause:
            nodes[index(node)].pausedUntil = now + random.around(random.pick([30_000, 400_000, 1_800_000]))
            note("\(node) sleeps")
        case .isolate:
            for other in profile.nodes where other != node {
                block(node, other)
                block(other, node)
            }
        case .oneWay:
            block(node, random.pick(profile.nodes))
        case .split:
            let side = profile.nodes.filter { _ in random.chance(0.5) }
            for left in side {
                for right in profile.nodes where !side.contains(right) {
                    block(left, right)
                    block(right, left)
                }
            }
        case .heal:
            heal()
        case .slowDisk:
            nodes[index(node)].slowDiskUntil = now + random.below(2_000_000)
        case .reconfigure:
            reconfigure()
        case .wrongHint:
            let peer = random.pick(profile.nodes)
            guard peer != node else { return }
            let boot = nodes[index(node)].boot
            queue.schedule(.hint(node, boot: boot, peer: peer, isBack: false), at: now)
            queue.schedule(.hint(node, boot: boot, peer: peer, isBack: true), at: now + random.below(1_000_000))
        case .damage:
            damage(node)
        case .resign:
            note("\(node) is told to resign")
            step(node, .resign)
        case .clockJump:
            nodes[index(node)].wallOffset = 1_000_000 + random.below(6_000 as UInt64)
        }
    }

    private func block(_ from: NodeID, _ to: NodeID) {
        guard from != to else { return }
        note("nothing gets from \(from) to \(to)")
        blocked.insert(index(from) * nodes.count + index(to))
        hint(to, about: from, isBack: false, probability: 0.5)
        hint(from, about: to, isBack: false, probability: 0.5)
        queue.schedule(.heal, at: now + random.around(random.pick([100_000, 1_500_000])))
    }

    func heal() {
        guard !blocked.isEmpty else { return }
        note("the network heals")
        blocked = []
        for node in profile.nodes { hintOthers(about: node, isBack: true) }
    }

    private func hintOthers(about node: NodeID, isBack: Bool) {
        for other in profile.nodes where other != node {
            hint(other, about: node, isBack: isBack, probability: isBack ? 1 : 0.6)
        }
    }

    private func hint(_ node: NodeID, about peer: NodeID, isBack: Bool, probability: Double) {
        guard random.chance(probability) else { return }
        let boot = nodes[index(node)].boot
        let delay = random.below(random.pick([1_000, 200_000]) as UInt64)
        queue.schedule(.hint(node, boot: boot, peer: peer, isBack: isBack), at: now + delay)
        if !isBack {
            // However wrong or late: a connection that works is noticed in the end.
            queue.schedule(
                .hint(node, boot: boot, peer: peer, isBack: true), at: now + delay + random.around(2_000_000))
        }
    }

    /// One record of one node at a time: more would be a loss that no replication survives.
    private func damage(_ node: NodeID) {
        if let damagedNode, nodes[index(damagedNode)].store.isDamaged || damagedNode != node { return }
        let key = random.pick(profile.keys)
        let damage: SimulatedStore.Damage = random.chance(0.5) ? .value : .whole
        guard nodes[index(node)].store.spoil(key, damage) else { return }
        damagedNode = node
        if random.chance(0.3) { nodes[index(node)].store.scrub() }
        report.figures.damages += 1
        note("\(node)'s record of \(key) is damaged (\(damage))")
    }

    // MARK: - Controller

    func reconfigure() {
        let size = random.chance(0.15) ? max(1, profile.policy.replicas - 1) : profile.policy.replicas
        let target = Array(random.shuffled(profile.nodes).prefix(size))
        guard !published.isJoint || random.chance(0.3), let next = published.moving(to: target) else { return }
        publish(next)
    }

    func publish(_ configuration: Configuration) {
        published = configuration
        report.figures.reconfigurations += 1
        hash.add(configuration.epoch)
        note("the controller publishes \(Words.text(configuration))")
        for node in profile.nodes where random.chance(0.6) || isCalm {
            let late: UInt64 = random.chance(0.2) && !isCalm ? random.below(2_000_000) : random.below(5_000)
            queue.schedule(.install(node, configuration), at: now + late)
        }
    }

    /// Every node tells the controller what it leads, and gets the newest configuration back.
    func heartbeats() {
        queue.schedule(.heartbeats, at: now + 500_000)
        for node in profile.nodes {
            guard let machine = nodes[index(node)].machine, isCalm || random.chance(0.7) else { continue }
            let epoch = machine.state.configuration.epoch
            let delay: UInt64 = isCalm ? 500 : random.below(300_000)
            if machine.isLeading {
                queue.schedule(.heartbeat(from: node, epoch: epoch, isSynced: machine.isSynced), at: now + delay)
            }
            if epoch < published.epoch { queue.schedule(.install(node, published), at: now + 2 * delay) }
        }
    }

    func heard(epoch: UInt64, isSynced: Bool) {
        guard isSynced, published.isJoint, published.epoch == epoch else { return }
        publish(published.finishingMove())
    }
}
