internal import KVProtocols
internal import KVReplication

/// The reading side of the layouts in `PeerSink+Message.swift` and `PeerSink+Request.swift`.
extension PeerReader {
    /// The next message; `nil` when it brought a record that does not match its checksum and key, and was skipped.
    mutating func message() throws(PeerCodecError) -> PeerMessage? {
        let raw = try number(UInt8.self)
        let isRepeated = raw & PeerTag.isRepeated != 0
        guard let tag = PeerTag(rawValue: raw & ~PeerTag.isRepeated) else { throw .unknownTag(.message, raw) }
        switch tag {
        case _ where isRepeated: break
        case .requestOperation, .requestList, .requestReplica: return try request(tag)
        case .replyOutcome, .replyList, .replyReplica: return try reply(tag)
        default: break
        }
        let context = try context(isRepeated: isRepeated)
        guard let message = try machineMessage(tag) else { return nil }
        return .machine(context.partition, context.header, message)
    }

    @inline(__always)
    private mutating func context(isRepeated: Bool) throws(PeerCodecError) -> PeerContext {
        if isRepeated {
            guard let said else { throw .malformed(.message) }
            return said
        }
        let part = try take(PeerContext.length)
        let header = Header(
            epoch: part.number(at: 2, UInt64.self), ballot: part.ballot(at: 10),
            purgeEpoch: part.number(at: 22, UInt64.self))
        let context = PeerContext(partition: PartitionID(part.number(at: 0, UInt16.self)), header: header)
        said = context
        return context
    }

    @inline(__always)
    private mutating func machineMessage(_ tag: PeerTag) throws(PeerCodecError) -> Message? {
        switch tag {
        case .accept:
            let key = try key()
            let record = try record()
            return record.isIntact(for: key) ? .accept(key, record) : nil
        case .accepted: return .accepted(sequence: try number(UInt64.self))
        case .confirm: return .confirm(round: try number(UInt64.self))
        case .confirmed: return .confirmed(round: try number(UInt64.self))
        case .copy:
            let key = try key()
            let record = try record()
            return record.isIntact(for: key) ? .copy(key, record) : nil
        case .copied: return .copied(try key(), try version())
        case .query: return .query(round: try number(UInt64.self), try key())
        case .known:
            let round = try number(UInt64.self)
            let key = try key()
            guard try flag() else { return .known(round: round, key, nil) }
            let record = try record()
            return record.isIntact(for: key) ? .known(round: round, key, record) : nil
        default: return try rareMessage(tag)
        }
    }

    private mutating func rareMessage(_ tag: PeerTag) throws(PeerCodecError) -> Message {
        switch tag {
        case .canvass:
            let polite = try flag()
            return .canvass(try configuration(), polite: polite)
        case .supported: return .supported
        case .prepare:
            let polite = try flag()
            return .prepare(try configuration(), polite: polite)
        case .promised: return .promised(try digest())
        case .digest: return .digest(round: try number(UInt64.self))
        case .digested: return .digested(round: try number(UInt64.self), try digest())
        case .walk:
            return .walk(
                round: try number(UInt64.self), buckets: try number(UInt64.self), after: try optionalKey())
        case .walked: return .walked(round: try number(UInt64.self), try walkPage())
        case .recall:
            return .recall(
                round: try number(UInt64.self), buckets: try number(UInt64.self), asPromised: try flag(),
                keys: try keys())
        case .recalled:
            return .recalled(round: try number(UInt64.self), try flag() ? try recollection() : nil)
        case .buried: return .buried(try key(), try version())
        case .burial: return .burial(try key(), try version(), holds: try flag())
        case .purge: return .purge(try key(), try version())
        case .wishToLead: return .wishToLead
        case .handOver: return .handOver
        case .resigned: return .resigned
        case .install: return .install(try configuration())
        case .rejected: return .rejected(try rejection())
        case .accept, .accepted, .confirm, .confirmed, .copy, .copied, .query, .known, .requestOperation,
            .requestList, .requestReplica, .replyOutcome, .replyList, .replyReplica:
            throw .unknownTag(.message, tag.rawValue)
        }
    }

    private mutating func walkPage() throws(PeerCodecError) -> WalkPage {
        let count = try count(of: 12)
        var entries: [WalkPage.Entry] = []
        entries.reserveCapacity(count)
        var ballot: Ballot?
        for _ in 0..<count {
            let key = try key()
            guard let version = try version(after: &ballot) else { throw .malformed(.message) }
            entries.append(WalkPage.Entry(key: key, version: version))
        }
        return WalkPage(entries: entries, next: try optionalKey())
    }

    private mutating func keys() throws(PeerCodecError) -> [Key] {
        let count = try count(of: 3)
        var keys: [Key] = []
        keys.reserveCapacity(count)
        for _ in 0..<count { keys.append(try key()) }
        return keys
    }

    private mutating func recollection() throws(PeerCodecError) -> Recollection {
        let digest = try digest()
        let count = try count(of: 4)
        var entries: [Recollection.Entry] = []
        entries.reserveCapacity(count)
        var ballot: Ballot?
        for _ in 0..<count {
            entries.append(Recollection.Entry(key: try key(), version: try version(after: &ballot)))
        }
        return Recollection(digest: digest, entries: entries)
    }

    private mutating func version(after ballot: inout Ballot?) throws(PeerCodecError) -> Version? {
        let raw = try number(UInt8.self)
        switch PeerVersionTag(rawValue: raw) {
        case .some(.none): return nil
        case .whole: ballot = try self.ballot()
        case .sameBallot: break
        case nil: throw .unknownTag(.version, raw)
        }
        guard let ballot else { throw .malformed(.message) }
        return Version(ballot: ballot, sequence: try number(UInt64.self))
    }

    private mutating func rejection() throws(PeerCodecError) -> Rejection {
        let part = try take(29)
        guard let reason = Rejection.Reason(rawValue: part[0]) else { throw .unknownTag(.rejection, part[0]) }
        return Rejection(
            reason: reason, promised: part.ballot(at: 1), epoch: part.number(at: 13, UInt64.self),
            purgeEpoch: part.number(at: 21, UInt64.self))
    }
}
