internal import KVProtocols
internal import KVReplication

extension PeerReader {
    mutating func request(_ tag: PeerTag) throws(PeerCodecError) -> PeerMessage {
        let id = try number(UInt64.self)
        switch tag {
        case .requestOperation:
            let partition = PartitionID(try number(UInt16.self))
            let timeout = try number(UInt32.self)
            return .request(id: id, .operation(partition, try operation(), timeoutMilliseconds: timeout))
        case .requestList:
            let partitions = try partitions()
            let prefix = try bytes(try count(of: 1))
            let after = try optionalKey()
            let limit = try number(UInt32.self)
            return .request(
                id: id, .list(partitions, prefix: prefix, after: after, limit: limit, values: try flag()))
        case .requestReplica:
            let partition = PartitionID(try number(UInt16.self))
            return .request(id: id, .replica(partition, try key()))
        default: throw .unknownTag(.message, tag.rawValue)
        }
    }

    mutating func reply(_ tag: PeerTag) throws(PeerCodecError) -> PeerMessage {
        let id = try number(UInt64.self)
        switch tag {
        case .replyOutcome: return .reply(id: id, .outcome(try outcome()))
        case .replyList: return .reply(id: id, try list())
        case .replyReplica: return .reply(id: id, .replica(try replicaAnswer()))
        default: throw .unknownTag(.message, tag.rawValue)
        }
    }

    /// The records are not verified: without values their checksums can't match.
    private mutating func list() throws(PeerCodecError) -> PeerReply {
        let reach = try optionalKey()
        let unable = try partitions()
        let count = try count(of: 3 + RecordHeader.length)
        var entries: [KeyRecord] = []
        entries.reserveCapacity(count)
        for _ in 0..<count { entries.append(KeyRecord(key: try key(), record: try record())) }
        return .list(entries, reach: reach, unable: unable)
    }

    private mutating func replicaAnswer() throws(PeerCodecError) -> ReplicaAnswer {
        let raw = try number(UInt8.self)
        guard let tag = PeerReplicaTag(rawValue: raw) else { throw .unknownTag(.replica, raw) }
        let isLeader = try flag()
        switch tag {
        case .holds: return .holds(try record(), isLeader: isLeader)
        case .missing: return .missing(isLeader: isLeader)
        case .damaged: return .damaged(isLeader: isLeader)
        }
    }

    private mutating func operation() throws(PeerCodecError) -> Operation {
        let raw = try number(UInt8.self)
        guard let tag = PeerOperationTag(rawValue: raw) else { throw .unknownTag(.operation, raw) }
        switch tag {
        case .get: return .get(try key())
        case .put:
            let key = try key()
            let value = try bytes(try count(of: 1))
            let expiresAt = try number(UInt64.self)
            return .put(key, value: value, expiresAt: expiresAt, try condition())
        case .delete: return .delete(try key(), try condition())
        case .increment: return .increment(try key(), by: try number(Int64.self))
        case .barrier: return .barrier
        }
    }

    private mutating func condition() throws(PeerCodecError) -> Condition {
        let raw = try number(UInt8.self)
        guard let tag = PeerConditionTag(rawValue: raw) else { throw .unknownTag(.condition, raw) }
        switch tag {
        case .none: return .none
        case .present: return .present
        case .absent: return .absent
        case .version:
            let count = try count(of: 20)
            var versions: [Version] = []
            versions.reserveCapacity(count)
            for _ in 0..<count { versions.append(try version()) }
            return .version(versions)
        }
    }

    private mutating func outcome() throws(PeerCodecError) -> Outcome {
        let raw = try number(UInt8.self)
        guard let tag = PeerOutcomeTag(rawValue: raw) else { throw .unknownTag(.outcome, raw) }
        switch tag {
        case .value: return .value(try record())
        case .absent: return .absent
        case .passed: return .passed
        case .written:
            let version = try version()
            let acks = try integer()
            let required = try integer()
            let value = try flag() ? try number(Int64.self) : nil
            return .written(version, acks: acks, required: required, value: value)
        case .conditionFailed: return .conditionFailed(current: try flag() ? try version() : nil)
        case .notANumber: return .notANumber(current: try version())
        case .refused: return .refused(try refusal())
        case .unknown: return .unknown(acked: try integer(), required: try integer())
        }
    }

    private mutating func refusal() throws(PeerCodecError) -> Refusal {
        let raw = try number(UInt8.self)
        guard let tag = PeerRefusalTag(rawValue: raw) else { throw .unknownTag(.refusal, raw) }
        switch tag {
        case .notLeader: return .notLeader(leader: try flag() ? NodeID(try number(UInt32.self)) : nil)
        case .electing: return .electing
        case .noQuorum: return .noQuorum(reachable: try integer(), required: try integer())
        case .overloaded: return .overloaded
        case .timeout: return .timeout
        case .failed: return .failed
        case .full: return .full
        }
    }

    private mutating func integer() throws(PeerCodecError) -> Int {
        Int(truncatingIfNeeded: try number(Int64.self))
    }
}
