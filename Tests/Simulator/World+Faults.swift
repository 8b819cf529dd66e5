import KVProtocols
import KVReplication

/// Bad weather, and its end.
extension World {
    func fault() {
        guard !isCalm else { return }
        queue.schedule(.fault, at: now + random.around(profile.faultInterval))
        let kind = profile.faults[random.pick(weights: profile.faults.map(\.1))].0
        let node = victim()
        switch kind {
        case .crash: crashSome(node)
        case .pause:
            let end = now + random.around(random.pick([30_000, 400_000, 1_800_000]))
            // What it slept through was put off to the end of the longer sleep.
            nodes[index(node)].pausedUntil = max(end, nodes[index(node)].pausedUntil)
            note("\(node) sleeps")
        case .resign:
            note("\(node) is told to resign")
            step(node, .resign)
        case .isolate, .oneWay, .split, .ring, .bridge: partition(kind, node)
        case .clog: clog()
        case .wrongHint:
            let peer = random.pick(profile.nodes)
            guard peer != node else { return }
            let boot = nodes[index(node)].boot
            queue.schedule(.hint(node, boot: boot, peer: peer, isBack: false), at: now)
            queue.schedule(.hint(node, boot: boot, peer: peer, isBack: true), at: now + random.below(1_000_000))
        case .heal: heal()
        case .slowDisk: nodes[index(node)].slowDiskUntil = now + random.below(2_000_000)
        case .fullDisk:
            fillDisk(node)
        case .failedSync: failSync(node)
        case .damage: damage(node)
        case .replaceDisk: replaceDisk(node)
        case .clockJump: nodes[index(node)].wallOffset = 1_000_000 + random.below(6_000 as UInt64)
        case .leap: nodes[index(node)].clockStart += random.pick([5, 200, 900, 5_000])
        case .reconfigure: reconfigure()
        case .join, .drain, .leave, .controllerCrash: disturbController(kind, node)
        }
        if let place = Fault.allCases.firstIndex(of: kind) { report.figures.faults[place] += 1 }
    }

    /// Whom a fault hits: more often than not the one that leads, for there it matters most.
    private func victim() -> NodeID {
        let node = random.pick(profile.nodes)
        guard options.weather != .classic, random.chance(0.5) else { return node }
        return profile.nodes.first { self.node($0).isLeading } ?? node
    }

    private func crashSome(_ node: NodeID) {
        guard nodes[index(node)].process != nil else { return }
        crash(node)
        if random.chance(0.2) {
            for other in profile.nodes where random.chance(0.5) { crash(other) }
        }
        for other in profile.nodes where nodes[index(other)].process == nil {
            hintOthers(about: other, isBack: false)
            let down: UInt64 = random.pick([20_000, 300_000, 2_500_000])
            queue.schedule(.restart(other), at: now + random.around(down))
        }
    }

    // MARK: - Network

    private func partition(_ kind: Fault, _ node: NodeID) {
        switch kind {
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
        case .ring:
            // Each reaches the next one only, and is reached by the one before.
            let order = random.shuffled(profile.nodes)
            for (place, from) in order.enumerated() {
                for to in order where to != order[(place + 1) % order.count] { block(from, to) }
            }
        default:
            // Two halves with one node in both.
            let order = random.shuffled(profile.nodes)
            for (place, left) in order.enumerated() where place < order.count / 2 {
                for right in order.dropFirst(order.count / 2 + 1) {
                    block(left, right)
                    block(right, left)
                }
            }
        }
    }

    private func block(_ from: NodeID, _ to: NodeID) {
        guard from != to else { return }
        note("nothing gets from \(from) to \(to)")
        blocked.insert(link(from, to))
        hint(to, about: from, isBack: false, probability: 0.5)
        hint(from, about: to, isBack: false, probability: 0.5)
        queue.schedule(.heal, at: now + random.around(random.pick([100_000, 1_500_000])))
    }

    /// Some links hold back what they are given, and let it go one link after the other.
    private func clog() {
        let node = random.pick(profile.nodes)
        for other in random.shuffled(profile.nodes) where other != node && random.chance(0.7) {
            let until = now + random.around(random.pick([50_000, 500_000, 2_000_000]))
            note("the links between \(node) and \(other) are clogged until \(until / 1_000)")
            if random.chance(0.8) { clogged[link(node, other)] = until }
            if random.chance(0.8) { clogged[link(other, node)] = until }
        }
    }

    func heal() {
        guard !blocked.isEmpty else { return }
        note("the network heals")
        blocked = []
        for node in profile.nodes { hintOthers(about: node, isBack: true) }
    }

    func hintOthers(about node: NodeID, isBack: Bool) {
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
}
