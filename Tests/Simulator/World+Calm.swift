import KVProtocols
import KVReplication

/// The second part of a run: nothing fails any more, and all must become well.
extension World {
    func becomeCalm() {
        note("CALM")
        isCalm = true
        blocked = []
        profile.sync = 200
        runFor(nodes.map { $0.pausedUntil > now ? $0.pausedUntil - now : 0 }.max() ?? 0)
        for node in profile.nodes {
            nodes[index(node)].slowDiskUntil = 0
            nodes[index(node)].store.scrub()
            if nodes[index(node)].machine == nil { start(node) }
            for peer in profile.nodes where peer != node { step(node, .peerBack(peer)) }
        }
        let began = now
        let deadline = now + options.calmBound * 1_000
        var complaint: String?
        repeat {
            runFor(500_000)
            complaint = whatIsWrong()
        } while complaint != nil && now < deadline && report.violations.isEmpty
        guard report.violations.isEmpty else { return }
        if let complaint { return violation("after \(options.calmBound) ms of calm: \(complaint)") }
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

    /// `nil` when all is as it should be.
    private func whatIsWrong() -> String? {
        guard !published.isJoint else { return "the move of \(Words.text(published)) is not over" }
        let leaders = profile.nodes.filter { nodes[index($0)].machine?.isLeading == true }
        guard leaders.count == 1, let leader = leaders.first, let machine = nodes[index(leader)].machine else {
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
        let reference = nodes[index(leader)].store
        for node in profile.nodes {
            let store = nodes[index(node)].store
            guard nodes[index(node)].machine?.leader == leader || !published.contains(node) else {
                return "\(node) does not know the leader"
            }
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
        guard let leader = published.members.first, let ballot = nodes[index(leader)].machine?.leadingBallot else {
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
            case nil: violation("#\(id) was not answered in calm")
            case .refused(.overloaded): break
            case .refused(let why): violation("#\(id) was refused in calm: \(why)")
            case .unknown: violation("#\(id) ended unknown in calm")
            default: break
            }
        }
        if nodes[index(leader)].machine?.leadingBallot != ballot { violation("the leader changed in calm") }
    }

    /// The history's verdict, key by key.
    func judge() {
        for key in profile.keys {
            switch LinearizabilityChecker(calls.filter { $0.operation.key == key }).check() {
            case .linearizable: break
            case .undecided: report.figures.undecided += 1
            case .violated:
                let history = calls.filter { $0.operation.key == key }.map(World.line).joined(separator: "\n  ")
                violation("the history of \(key) has no linear order:\n  \(history)")
            }
        }
    }

    private static func line(_ call: Call) -> String {
        let end = call.returned.map { "\($0 / 1_000)" } ?? "…"
        return "#\(call.id) \(call.invoked / 1_000)–\(end) \(Words.text(call.operation)): "
            + (call.outcome.map(Words.text) ?? "no answer")
    }
}
