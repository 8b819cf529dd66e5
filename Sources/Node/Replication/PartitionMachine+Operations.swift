import KVProtocols

/// Rules 3 to 6 as seen by a client's operation: when it may be decided, and what it is answered.
extension PartitionMachine {
    mutating func submit<Store: ReplicaStore>(
        _ id: UInt64, _ operation: Operation, wall: UInt64, now: UInt64, store: inout Store, output: inout Output
    ) {
        if let refusal = refusal(of: operation) {
            output.replies.append(Output.Reply(id: id, outcome: .refused(refusal)))
            return
        }
        switch operation {
        case .put(let key, let value, let expiresAt, .none):
            propose(
                key, value: value, expiresAt: expiresAt, operation: id, now: now, store: &store, output: &output)
        case .delete(let key, .none):
            propose(key, value: nil, expiresAt: 0, operation: id, now: now, store: &store, output: &output)
        case .barrier:
            // What the store shows while not every key is known may have been replaced long ago, on other members.
            guard leadership?.isComplete == true else {
                output.replies.append(Output.Reply(id: id, outcome: .refused(.electing)))
                return
            }
            let waiting = Leadership.Waiting(
                id: id, operation: operation, wall: wall, round: roundToCome(),
                upTo: (leadership?.nextSequence ?? 1) - 1)
            leadership?.barriers.append(waiting)
            leadership?.waitingCount += 1
        case .get, .put, .delete, .increment:
            var waiting = Leadership.Waiting(id: id, operation: operation, wall: wall)
            if case .get = operation { waiting.round = roundToCome() }
            leadership?.waitingCount += 1
            proceed(waiting, now: now, store: &store, output: &output)
        }
    }

    private func refusal(of operation: Operation) -> Refusal? {
        guard leadership != nil else {
            return candidacy?.phase == .preparing ? .electing : .notLeader(leader: leader)
        }
        if leadership?.closing != nil { return .electing }
        if let refusal = quorumRefusal(isWrite: operation.isWrite) { return refusal }
        let waiting = (leadership?.waitingCount ?? 0) + (leadership?.unchosen ?? 0)
        return waiting >= settings.maximumWaiting ? .overloaded : nil
    }

    private func quorumRefusal(isWrite: Bool) -> Refusal? {
        let reachable = lost.isEmpty ? electorate.everyone : reachable
        if isWrite, !electorate.isWriteQuorum(reachable) {
            return .noQuorum(reachable: electorate.count(reachable), required: electorate.writeQuorum)
        }
        guard electorate.isReadQuorum(reachable) else {
            return .noQuorum(reachable: electorate.count(reachable), required: electorate.readQuorum)
        }
        return nil
    }

    /// A lost peer may leave too few to answer anything that waits: say so at once. What was proposed stays unknown
    /// until its time is over, for the peer may come back.
    mutating func refuseWithoutQuorum(output: inout Output) {
        guard let refusal = quorumRefusal(isWrite: false), let leadership else { return }
        for waiting in leadership.allWaiting {
            output.replies.append(Output.Reply(id: waiting.id, outcome: .refused(refusal)))
        }
        self.leadership?.parked = [:]
        self.leadership?.confirming = []
        self.leadership?.confirmingHead = 0
        self.leadership?.barriers = []
        self.leadership?.waitingCount = 0
    }

    // MARK: - One operation

    /// Takes a waiting operation as far as it can go: decides it, or lets it wait for its key or a confirmation.
    mutating func proceed<Store: ReplicaStore>(
        _ waiting: Leadership.Waiting, now: UInt64, store: inout Store, output: inout Output
    ) {
        guard let key = waiting.operation.key else { return }
        guard isKnown(key) else {
            park(waiting, key)
            query(key, now: now, store: &store, output: &output)
            return
        }
        if case .get = waiting.operation {
            guard leadership?.newestInFlight[key] == nil else { return park(waiting, key) }
            guard isConfirmed(waiting) else { return awaitConfirmation(waiting) }
        }
        guard case .found(let current) = latest(key, store: store) else {
            park(waiting, key)
            damaged(key, now: now, store: &store, output: &output)
            return
        }
        switch decide(waiting.operation, current: current, wall: waiting.wall) {
        case .write(let value, let expiresAt, let number):
            if let refusal = leadership?.closing != nil ? .electing : quorumRefusal(isWrite: true) {
                finish(waiting, .refused(refusal), output: &output)
                return
            }
            leadership?.waitingCount -= 1
            propose(
                key, value: value, expiresAt: expiresAt, operation: waiting.id, number: number, now: now,
                store: &store, output: &output)
        case .answer(let outcome):
            // A failed comparison shows the value as a read does: it needs the same confirmation.
            var waiting = waiting
            if waiting.round == nil { waiting.round = roundToCome() }
            guard leadership?.newestInFlight[key] == nil else { return park(waiting, key) }
            guard isConfirmed(waiting) else { return awaitConfirmation(waiting) }
            guard !buryIfExpired(waiting, key, current, now: now, store: &store, output: &output) else { return }
            finish(waiting, outcome, output: &output)
        }
    }

    private enum Decision {
        case write([UInt8]?, expiresAt: UInt64, number: Int64?)
        case answer(Outcome)
    }

    /// Judges a conditional write against the key's newest proposed record.
    private func decide(_ operation: Operation, current: Record?, wall: UInt64) -> Decision {
        let live = current.flatMap { isLive($0, wall: wall) ? $0 : nil }
        switch operation {
        case .put(_, let value, let expiresAt, let condition):
            guard holds(condition, live) else { return .answer(.conditionFailed(current: live?.version)) }
            return .write(value, expiresAt: expiresAt, number: nil)
        case .delete(_, let condition):
            guard holds(condition, live) else { return .answer(.conditionFailed(current: live?.version)) }
            return live == nil ? .answer(.absent) : .write(nil, expiresAt: 0, number: nil)
        case .increment(_, let amount):
            guard let live else { return .write(Array(String(amount).utf8), expiresAt: 0, number: amount) }
            guard let value = live.value, let number = Int64(String(decoding: value, as: UTF8.self)),
                case let (sum, overflow) = number.addingReportingOverflow(amount), !overflow
            else { return .answer(.notANumber(current: live.version)) }
            return .write(Array(String(sum).utf8), expiresAt: live.expiresAt, number: sum)
        case .get:
            return .answer(live.map(Outcome.value) ?? .absent)
        case .barrier:
            return .answer(.passed)
        }
    }

    private func holds(_ condition: Condition, _ live: Record?) -> Bool {
        switch condition {
        case .none: true
        case .present: live != nil
        case .absent: live == nil
        case .version(let versions): live.map { versions.contains($0.version) } ?? false
        }
    }

    private func isLive(_ record: Record, wall: UInt64) -> Bool {
        !record.isTombstone && (record.expiresAt == 0 || record.expiresAt > wall)
    }

    /// Expiry is a write: once said to have no value, a key must stay so whatever another leader's clock shows. True when
    /// the answer has to wait for that write.
    private mutating func buryIfExpired<Store: ReplicaStore>(
        _ waiting: Leadership.Waiting, _ key: Key, _ current: Record?, now: UInt64, store: inout Store,
        output: inout Output
    ) -> Bool {
        guard let current, !current.isTombstone, !isLive(current, wall: waiting.wall) else { return false }
        if leadership?.closing != nil || quorumRefusal(isWrite: true) != nil {
            finish(waiting, .refused(.electing), output: &output)
        } else {
            park(waiting, key)
            propose(key, value: nil, expiresAt: 0, now: now, store: &store, output: &output)
        }
        return true
    }

    /// The newest proposed record of a key that is known.
    private func latest<Store: ReplicaStore>(_ key: Key, store: Store) -> Found<Record?> {
        switch store.record(of: key) {
        case .found(let record): .found(record)
        case .absent: .found(nil)
        case .damaged: .damaged
        case .unreadable: .unreadable
        }
    }

    mutating func finish(_ waiting: Leadership.Waiting, _ outcome: Outcome, output: inout Output) {
        leadership?.waitingCount -= 1
        output.replies.append(Output.Reply(id: waiting.id, outcome: outcome))
    }

    private mutating func park(_ waiting: Leadership.Waiting, _ key: Key) {
        leadership?.parked[key, default: []].append(waiting)
    }

    /// Lets what waited for this key go on.
    mutating func wake<Store: ReplicaStore>(
        _ key: Key, now: UInt64, store: inout Store, output: inout Output
    ) {
        guard leadership?.parked.isEmpty == false,
            let parked = leadership?.parked.removeValue(forKey: key)
        else { return }
        for waiting in parked { proceed(waiting, now: now, store: &store, output: &output) }
    }

    mutating func cancel(_ id: UInt64, output: inout Output) {
        if let acks = leadership?.abandonFlight(of: id) {
            let outcome = Outcome.unknown(acked: electorate.count(acks), required: electorate.writeQuorum)
            output.replies.append(Output.Reply(id: id, outcome: outcome))
        } else if leadership?.remove(id) == true {
            output.replies.append(Output.Reply(id: id, outcome: .refused(.timeout)))
        }
    }
}

extension Leadership {
    /// Lets go of the operation whose proposal is not chosen yet, and returns who has stored that; `nil` when there is none.
    fileprivate mutating func abandonFlight(of id: UInt64) -> Electorate.Set? {
        for position in head..<flights.count where flights[position].operation == id && !flights[position].isChosen {
            flights[position].operation = nil
            return flights[position].acks
        }
        return nil
    }

    /// Lets go of an operation that waits; `false` when none of this number does.
    fileprivate mutating func remove(_ id: UInt64) -> Bool {
        if let index = confirming[confirmingHead...].firstIndex(where: { $0.id == id }) {
            confirming.remove(at: index)
        } else if let index = barriers.firstIndex(where: { $0.id == id }) {
            barriers.remove(at: index)
        } else if let key = parked.first(where: { $0.value.contains { $0.id == id } })?.key {
            parked[key]?.removeAll { $0.id == id }
            if parked[key]?.isEmpty == true {
                parked[key] = nil
                forgetQuery(key)
            }
        } else {
            return false
        }
        waitingCount -= 1
        return true
    }

    /// Nobody waits for the key any more: a member that can't answer would have it asked for ever.
    private mutating func forgetQuery(_ key: Key) {
        guard !damaged.contains(key), sync?.unsettled.contains(key) != true else { return }
        queries[key] = nil
    }
}
