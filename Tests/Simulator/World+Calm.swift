import KVProtocols
import KVReplication

/// The second part of a run: nothing fails any more, and all must become well.
extension World {
    func becomeCalm() {
        note("CALM")
        isCalm = true
        blocked = []
        clogged = [:]
        profile.sync = 200
        runFor(nodes.map { $0.pausedUntil > now ? $0.pausedUntil - now : 0 }.max() ?? 0)
        for node in profile.nodes {
            nodes[index(node)].slowDiskUntil = 0
            nodes[index(node)].fullUntil = 0
            nodes[index(node)].stuckUntil = 0
            queue.schedule(.disk(node, boot: nodes[index(node)].boot, isFull: false), at: now)
            if nodes[index(node)].isFailed { crash(node) }
            if nodes[index(node)].process == nil { start(node) }
            for peer in profile.nodes where peer != node { step(node, .peerBack(peer)) }
            scrub(node)
        }
        if !controller.isUp || controller.map != published { restartController(published) }
        let began = now
        let deadline = now + options.calmBound * 1_000
        var complaint: (Violation.Property, String)?
        repeat {
            runFor(500_000)
            complaint = whatIsStuck().map { (.liveness, $0) } ?? whatDiffers().map { (.convergence, $0) }
        } while complaint != nil && now < deadline && report.violations.isEmpty
        guard report.violations.isEmpty else { return }
        if let (property, text) = complaint {
            return violation(property, "after \(options.calmBound) ms of calm: \(text)")
        }
        report.figures.healing = (now - began) / 1_000
        readEverything()
    }

    private func runFor(_ span: UInt64) {
        let end = now + span
        while let next = queue.nextTime, next <= end, report.violations.isEmpty, let (time, event) = queue.popFirst() {
            now = time
            handle(event)
        }
        now = max(now, end)
    }

    /// `nil` when there is a leader whom all know and who has nothing left to do.
    private func whatIsStuck() -> String? {
        guard !published.isJoint else { return "the move of \(Words.text(published)) is not over" }
        let leaders = profile.nodes.filter { nodes[index($0)].isLeading }
        guard leaders.count == 1, let leader = leaders.first, let machine = nodes[index(leader)].process?.machine else {
            return "leaders: \(leaders)"
        }
        guard machine.state.configuration == published else {
            return "the leader \(leader) knows only \(Words.text(machine.state.configuration))"
        }
        guard machine.isSynced else { return "the leader \(leader) is not in sync" }
        guard machine.lagging.isEmpty else { return "members lag: \(machine.lagging)" }
        guard leader == published.members.first else {
            return "\(leader) leads, not the preferred \(published.members.first?.description ?? "none")"
        }
        guard pending.isEmpty else { return "operations wait: \(pending.keys.sorted())" }
        for node in published.members where nodes[index(node)].process?.machine.leader != leader {
            return "\(node) does not know the leader"
        }
        let drained = controller.draining.filter { published.contains($0) }
        return drained.isEmpty ? nil : "\(drained) still hold data, although they drain"
    }

    /// `nil` when all members hold the same, and nobody else anything.
    private func whatDiffers() -> String? {
        guard let leader = published.members.first else { return nil }
        let reference = nodes[index(leader)].store
        for node in profile.nodes {
            let store = nodes[index(node)].store
            if !published.contains(node) {
                guard store.visible.slots.isEmpty else { return "\(node) is no member, but keeps data" }
                continue
            }
            guard store.visible == store.disk else { return "\(node) is not durable" }
            guard !store.isDamaged else { return "\(node) is damaged and not repaired" }
            guard store.digest == store.recomputedDigest else { return "\(node)'s digest is wrong" }
            guard Self.versions(store) == Self.versions(reference) else {
                return "\(node) holds other records than the leader \(leader)"
            }
        }
        return nil
    }

    private static func versions(_ store: SimulatedStore) -> [Key: Version] {
        store.visible.slots.mapValues(\.record.version)
    }

    /// Every key is read, written, read, in calm: all must be answered, by the same leader.
    private func readEverything() {
        guard let leader = published.members.first, let ballot = nodes[index(leader)].process?.leadingBallot else {
            return
        }
        var asked: [UInt64] = []
        for key in profile.keys { asked.append(invoke(.get(key), at: leader)) }
        runFor(2_000_000)
        for key in profile.keys { asked.append(invoke(.increment(key, by: 1), at: leader)) }
        asked.append(invoke(.barrier, at: leader))
        runFor(2_000_000)
        for key in profile.keys { asked.append(invoke(.get(key), at: leader)) }
        runFor(3_000_000)
        for id in asked {
            switch calls[Int(id) - 1].outcome {
            case nil: violation(.liveness, "#\(id) was not answered in calm")
            case .refused(.overloaded): break
            case .refused(let why): violation(.liveness, "#\(id) was refused in calm: \(why)")
            case .unknown: violation(.liveness, "#\(id) ended unknown in calm")
            default: break
            }
        }
        if nodes[index(leader)].process?.leadingBallot != ballot { violation(.liveness, "the leader changed in calm") }
    }

    /// The history's verdict. Long histories are judged by their versions only.
    func judge() {
        let verdict = HistoryVerdict(calls, searchLimit: 120)
        for found in verdict.violations { violation(found.property, found.text) }
        report.figures.undecided += verdict.undecided
    }
}
