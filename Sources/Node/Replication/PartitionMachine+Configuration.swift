import KVProtocols

/// Rule 8: taking over configurations, and leaving the lead in good order.
extension PartitionMachine {
    /// A configuration told by the cluster map or a peer. A leader first lets its own writes end, so that a planned
    /// change makes no outcome unknown; a message that needs the newer configuration at once goes another way.
    mutating func consider<Store: ReplicaStore>(
        _ configuration: Configuration, now: UInt64, store: inout Store, output: inout Output
    ) {
        guard configuration.epoch > state.configuration.epoch else { return }
        if leadership != nil {
            close(.configuration(configuration), now: now, store: &store, output: &output)
        } else {
            adoptIfNewer(configuration, now: now, store: &store, output: &output)
        }
    }

    mutating func adoptIfNewer<Store: ReplicaStore>(
        _ configuration: Configuration, now: UInt64, store: inout Store, output: inout Output
    ) {
        let old = state.configuration
        guard configuration.epoch > old.epoch else { return }
        let led = leadership != nil
        stepDown(output: &output)
        if isStale(under: configuration, knowing: old.epoch, digest: store.digest) { wipe(store: &store) }
        state.configuration = configuration
        store.save(state)
        electorate = Electorate(configuration, policy: policy)
        output.statusChanged = true
        leader = nil
        heardAt = now
        if led, isMember {
            prepare(polite: true, now: now, store: &store, output: &output)
        } else {
            scheduleElection(now: now, first: true)
            // Whoever led before is the first to try: it drops nothing that was waiting.
            electionAt += settings.beacon
        }
    }

    /// Whether what this node holds must go: it joins anew, and what it held before it left is older than what was
    /// chosen without it; or it left, and the move away from it is final.
    private func isStale(under configuration: Configuration, knowing epoch: UInt64, digest: PartitionDigest) -> Bool {
        if let joinEpoch = configuration.joinEpoch(of: me), configuration.contains(me) { return joinEpoch > epoch }
        return !configuration.isJoint && digest != PartitionDigest()
    }

    /// Stops proposing; once nothing is in flight, or at the deadline, does what the reason says.
    mutating func close<Store: ReplicaStore>(
        _ reason: Leadership.Closing.Reason, now: UInt64, store: inout Store, output: inout Output
    ) {
        guard let leadership else { return }
        if let closing = leadership.closing {
            // A configuration outranks other reasons, a newer one an older one; the deadline stays.
            guard case .configuration(let newer) = reason else { return }
            if case .configuration(let older) = closing.reason, older.epoch >= newer.epoch { return }
            self.leadership?.closing?.reason = reason
        } else {
            self.leadership?.closing = Leadership.Closing(reason: reason, deadline: now + settings.drain)
        }
        closeIfDrained(now: now, store: &store, output: &output)
    }

    mutating func closeIfDrained<Store: ReplicaStore>(now: UInt64, store: inout Store, output: inout Output) {
        guard let closing = leadership?.closing, leadership?.unchosen == 0 || now >= closing.deadline else { return }
        switch closing.reason {
        case .configuration(let configuration):
            adoptIfNewer(configuration, now: now, store: &store, output: &output)
        case .ballot:
            stepDown(output: &output)
            prepare(polite: true, now: now, store: &store, output: &output)
        case .handOver(let successor):
            send(.handOver, to: successor, output: &output)
            stepDown(output: &output)
            heardAt = now
            electionAt = now + settings.electionTimeout
        }
    }
}
