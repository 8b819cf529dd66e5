import KVProtocols

/// Rule 8: taking over configurations, and leaving the lead in good order.
extension PartitionMachine {
    /// A configuration told by the cluster map or a peer. A leader first lets its own writes end, so that a planned
    /// change makes no outcome unknown; a message that needs the newer configuration at once goes another way.
    ///
    /// A member with a live leader sees to it that this one knows, and goes on in the configuration that both have until the
    /// leader asks it to promise in the new one: without its members' answers the leader's writes could not end.
    mutating func consider<Store: ReplicaStore>(
        _ configuration: Configuration, now: UInt64, store: inout Store, output: inout Output
    ) {
        guard configuration.epoch > state.configuration.epoch else { return }
        if leadership != nil {
            close(.configuration(configuration), now: now, store: &store, output: &output)
        } else if configuration.epoch == state.configuration.epoch + 1, isMember, let leader,
            hasLiveLeader(besides: me, now: now)
        {
            guard announced == nil else { return }
            announced = (configuration, until: now + settings.drain + 2 * settings.beacon)
            send(.install(configuration), to: leader, output: &output)
        } else {
            adoptIfNewer(configuration, now: now, store: &store, output: &output)
        }
    }

    /// A leader that was lost, or has not brought the configuration in time, is not waited for any more.
    mutating func adoptAnnounced<Store: ReplicaStore>(now: UInt64, store: inout Store, output: inout Output) {
        guard let announced, leadership != nil || now >= announced.until || !hasLiveLeader(besides: me, now: now)
        else { return }
        self.announced = nil
        if leadership == nil {
            adoptIfNewer(announced.configuration, now: now, store: &store, output: &output)
        } else {
            consider(announced.configuration, now: now, store: &store, output: &output)
        }
    }

    mutating func adoptIfNewer<Store: ReplicaStore>(
        _ configuration: Configuration, now: UInt64, store: inout Store, output: inout Output
    ) {
        let old = state.configuration
        guard configuration.epoch > old.epoch else { return }
        if let announced, announced.configuration.epoch <= configuration.epoch { self.announced = nil }
        let led = leadership != nil
        // The others wait for this node to bring it, which a leader that leaves will not.
        if led, !configuration.contains(me) { sendToOthers(.install(configuration), output: &output) }
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
