import KVProtocols

/// Rule 4: nothing is shown before R members of each set still accept this leader's ballot, asked after the question.
extension PartitionMachine {
    /// The round that is sent next: one that starts after everything that arrived up to now.
    mutating func roundToCome() -> UInt64 {
        leadership?.wantsConfirm = true
        return (leadership?.round ?? 0) + 1
    }

    func isConfirmed(_ waiting: Leadership.Waiting) -> Bool {
        guard let round = waiting.round, let confirmed = leadership?.confirmedRound else { return false }
        return confirmed >= round
    }

    mutating func awaitConfirmation(_ waiting: Leadership.Waiting) {
        leadership?.confirming.append(waiting)
    }

    /// One message to each member covers every operation that waits for a confirmation.
    mutating func sendConfirmIfWanted(now: UInt64, output: inout Output) {
        guard leadership?.wantsConfirm == true, let round = leadership?.round else { return }
        leadership?.wantsConfirm = false
        leadership?.round = round + 1
        leadership?.beaconAt = now
        if let index = electorate.index(of: me) { leadership?.confirmed[index] = round + 1 }
        sendToOthers(.confirm(round: round + 1), output: &output)
        if electorate.isReadQuorum(electorate.bit(of: me)) {
            // Its own promise is quorum enough, and was durable before it led: a full disk must not keep it from reading.
            output.now.append(Outgoing(to: me, header: header, message: .confirmed(round: round + 1)))
        }
    }

    mutating func confirmed<Store: ReplicaStore>(
        _ round: UInt64, by index: Int, now: UInt64, store: inout Store, output: inout Output
    ) {
        guard let sent = leadership?.round, round <= sent, let before = leadership?.confirmed[index] else { return }
        if round > before { leadership?.confirmed[index] = round }
        guard let confirmed = leadership?.confirmed, let reached = leadership?.confirmedRound, round > reached else {
            return
        }
        var set: Electorate.Set = 0
        for (index, value) in confirmed.enumerated() where value >= round { set |= 1 << Electorate.Set(index) }
        guard electorate.isReadQuorum(set) else { return }
        leadership?.confirmedRound = round
        leadership?.confirmedAt = now
        releaseConfirmed(upTo: round, now: now, store: &store, output: &output)
        releaseBarriers(now: now, store: &store, output: &output)
    }

    private mutating func releaseConfirmed<Store: ReplicaStore>(
        upTo round: UInt64, now: UInt64, store: inout Store, output: inout Output
    ) {
        while let leadershipHead = leadership?.confirmingHead, let count = leadership?.confirming.count,
            leadershipHead < count, let waiting = leadership?.confirming[leadershipHead],
            waiting.round ?? 0 <= round
        {
            leadership?.confirmingHead += 1
            proceed(waiting, now: now, store: &store, output: &output)
        }
        if let head = leadership?.confirmingHead, let count = leadership?.confirming.count {
            if head == count {
                leadership?.confirming.removeAll(keepingCapacity: true)
                leadership?.confirmingHead = 0
            } else if head >= 1_024 {
                leadership?.confirming.removeFirst(head)
                leadership?.confirmingHead = 0
            }
        }
    }

    mutating func releaseBarriers<Store: ReplicaStore>(
        now: UInt64, store: inout Store, output: inout Output
    ) {
        guard leadership?.isComplete == true, leadership?.barriers.isEmpty == false, let leadership else { return }
        let oldest =
            leadership.unchosen == 0
            ? leadership.nextSequence
            : leadership.firstSequence
                + UInt64(
                    leadership.flights[leadership.head...].firstIndex { !$0.isChosen } ?? leadership.flights.count)
        var left: [Leadership.Waiting] = []
        for waiting in leadership.barriers {
            if isConfirmed(waiting), waiting.upTo < oldest {
                finish(waiting, .passed, output: &output)
            } else {
                left.append(waiting)
            }
        }
        self.leadership?.barriers = left
    }
}
