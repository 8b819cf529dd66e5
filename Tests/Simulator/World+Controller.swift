import KVProtocols
import KVReplication

/// Moves: at random, or as the real planner wants them.
extension World {
    func reconfigure() {
        let size = random.chance(0.15) ? max(1, profile.policy.replicas - 1) : profile.policy.replicas
        let target = Array(random.shuffled(profile.nodes).prefix(size))
        guard !published.isJoint || random.chance(0.3), let next = published.moving(to: target), isPossible(next)
        else { return }
        publish(next)
    }

    /// Whether quorums can be reached without the nodes whose disks are lost.
    private func isPossible(_ configuration: Configuration) -> Bool {
        guard lostNode != nil else { return true }
        let live = configuration.everyone.filter { !node($0).isGone }
        let policy = profile.policy
        return configuration.isQuorum(live) { max(policy.writeQuorum(of: $0), policy.readQuorum(of: $0)) }
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
        if isCalm { replaceLost() }
        for node in profile.nodes {
            guard let machine = nodes[index(node)].process?.machine, isCalm || random.chance(0.7) else { continue }
            let configuration = machine.state.configuration
            let delay: UInt64 = isCalm ? 500 : random.below(300_000)
            let isControlled = options.weather == .controller
            if machine.isLeading || isControlled {
                let report = SimulatedController.Report(
                    configuration: configuration, ballot: machine.leadingBallot, isSynced: machine.isSynced,
                    lagging: machine.lagging, isHealthy: !self.node(node).isFailed)
                queue.schedule(.heartbeat(from: node, report), at: now + delay)
            }
            if !isControlled, configuration.epoch < published.epoch {
                queue.schedule(.install(node, published), at: now + 2 * delay)
            }
        }
    }

    /// In calm a lost member is given a substitute, by whoever moves at random otherwise.
    private func replaceLost() {
        guard options.weather != .controller, let lostNode, published.members.contains(lostNode) else { return }
        let spare = profile.nodes.filter { !published.contains($0) } + published.everyone
        let substitute = spare.first { !published.members.contains($0) && !node($0).isGone }
        let target = published.members.compactMap { $0 == lostNode ? substitute : $0 }
        if let next = published.moving(to: target), isPossible(next) { publish(next) }
    }

    func heard(from node: NodeID, _ report: SimulatedController.Report) {
        guard options.weather == .controller else {
            let epoch = report.configuration.epoch
            guard report.isSynced, published.isJoint, published.epoch == epoch else { return }
            return publish(published.finishingMove())
        }
        guard controller.isUp else { return }
        controller.heard(from: node, report, now: now)
        if controller.isRolledBack {
            // A person notices, and puts the newest disk back.
            note("the controller knows less than \(node)")
            queue.schedule(.controllerRestart(map: published), at: now + 1_000_000)
            controller.isUp = false
        } else if report.configuration.epoch < controller.map.epoch {
            queue.schedule(.install(node, controller.map), at: now + 1_000 + random.below(50_000))
        }
    }

    // MARK: - The real planner

    func plan() {
        queue.schedule(.plan, at: now + 250_000)
        guard controller.isUp, let next = controller.plan(now: now) else { return }
        // With an older disk, and before any node has said so, it may only wait: one epoch must not name two
        // configurations.
        guard next.epoch == published.epoch + 1 else { return }
        controller.map = next
        publish(next)
    }

    func restartController(_ map: Configuration) {
        note("the controller starts with \(Words.text(map))")
        controller.restart(map: map, nodes: profile.nodes, now: now)
    }

    /// Joins, drains, leaves, and the controller's own crashes.
    func disturbController(_ kind: Fault, _ node: NodeID) {
        switch kind {
        case .join:
            guard profile.nodes.count < profile.policy.replicas + 3 else { return }
            let number = NodeID(UInt32(nodes.count + 1))
            note("\(number) joins")
            addNode(number, PartitionState(configuration: .none, promised: .zero, purgeEpoch: 0))
            profile.nodes.append(number)
            controller.watch(number, now: now)
            start(number)
        case .drain:
            if controller.draining.contains(node) {
                note("\(node) drains no longer")
                controller.draining.removeAll { $0 == node }
            } else if profile.nodes.count - controller.draining.count > profile.policy.replicas {
                note("\(node) drains")
                controller.draining.append(node)
            }
        case .leave:
            guard controller.draining.contains(node), !published.contains(node),
                published.members.allSatisfy({ self.node($0).store.state.configuration == published })
            else { return }
            note("\(node) leaves")
            crash(node)
            nodes[index(node)].isGone = true
            profile.nodes.removeAll { $0 == node }
            controller.forget(node)
        default:
            guard controller.isUp else { return }
            controller.isUp = false
            note("the controller crashes")
            let isRolledBack = random.chance(0.2)
            let map = isRolledBack ? controllerBackup ?? controller.map : controller.map
            controllerBackup = controller.map
            queue.schedule(.controllerRestart(map: map), at: now + random.around(1_500_000))
        }
    }
}
