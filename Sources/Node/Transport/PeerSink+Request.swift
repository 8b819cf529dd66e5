internal import KVProtocols
internal import KVReplication

/// The layout of questions and answers between shells: tag u8, id u64, then the parts of the case.
extension PeerSink {
    mutating func put(_ id: UInt64, _ request: PeerRequest) {
        switch request {
        case .operation(let partition, let operation, let timeoutMilliseconds):
            put(PeerTag.requestOperation.rawValue)
            put(id)
            put(partition.rawValue)
            put(timeoutMilliseconds)
            put(operation)
        case .list(let partitions, let prefix, let after, let limit, let values):
            put(PeerTag.requestList.rawValue)
            put(id)
            put(partitions)
            put(count: prefix.count)
            put(prefix)
            put(after)
            put(limit)
            put(values)
        case .replica(let partition, let key):
            put(PeerTag.requestReplica.rawValue)
            put(id)
            put(partition.rawValue)
            put(key)
        }
    }

    mutating func put(_ id: UInt64, _ reply: PeerReply) {
        switch reply {
        case .outcome(let outcome):
            put(PeerTag.replyOutcome.rawValue)
            put(id)
            put(outcome)
        case .list(let entries, let reach, let unable):
            put(PeerTag.replyList.rawValue)
            put(id)
            put(reach)
            put(unable)
            put(count: entries.count)
            for entry in entries {
                put(entry.key)
                put(entry.record)
            }
        case .replica(let answer):
            put(PeerTag.replyReplica.rawValue)
            put(id)
            put(answer)
        }
    }

    private mutating func put(_ partitions: [PartitionID]) {
        put(count: partitions.count)
        for partition in partitions { put(partition.rawValue) }
    }

    private mutating func put(_ answer: ReplicaAnswer) {
        switch answer {
        case .holds(let record, let isLeader):
            put(PeerReplicaTag.holds.rawValue)
            put(isLeader)
            put(record)
        case .missing(let isLeader):
            put(PeerReplicaTag.missing.rawValue)
            put(isLeader)
        case .damaged(let isLeader):
            put(PeerReplicaTag.damaged.rawValue)
            put(isLeader)
        }
    }

    private mutating func put(_ operation: Operation) {
        switch operation {
        case .get(let key):
            put(PeerOperationTag.get.rawValue)
            put(key)
        case .put(let key, let value, let expiresAt, let condition):
            put(PeerOperationTag.put.rawValue)
            put(key)
            put(count: value.count)
            put(value)
            put(expiresAt)
            put(condition)
        case .delete(let key, let condition):
            put(PeerOperationTag.delete.rawValue)
            put(key)
            put(condition)
        case .increment(let key, let amount):
            put(PeerOperationTag.increment.rawValue)
            put(key)
            put(amount)
        case .barrier: put(PeerOperationTag.barrier.rawValue)
        }
    }

    private mutating func put(_ condition: Condition) {
        switch condition {
        case .none: put(PeerConditionTag.none.rawValue)
        case .present: put(PeerConditionTag.present.rawValue)
        case .absent: put(PeerConditionTag.absent.rawValue)
        case .version(let versions):
            put(PeerConditionTag.version.rawValue)
            put(count: versions.count)
            for version in versions { put(version) }
        }
    }

    private mutating func put(_ outcome: Outcome) {
        switch outcome {
        case .value(let record):
            put(PeerOutcomeTag.value.rawValue)
            put(record)
        case .absent: put(PeerOutcomeTag.absent.rawValue)
        case .passed: put(PeerOutcomeTag.passed.rawValue)
        case .written(let version, let acks, let required, let value):
            put(PeerOutcomeTag.written.rawValue)
            put(version)
            put(Int64(acks))
            put(Int64(required))
            put(value != nil)
            if let value { put(value) }
        case .conditionFailed(let current):
            put(PeerOutcomeTag.conditionFailed.rawValue)
            put(current != nil)
            if let current { put(current) }
        case .notANumber(let current):
            put(PeerOutcomeTag.notANumber.rawValue)
            put(current)
        case .refused(let refusal):
            put(PeerOutcomeTag.refused.rawValue)
            put(refusal)
        case .unknown(let acked, let required):
            put(PeerOutcomeTag.unknown.rawValue)
            put(Int64(acked))
            put(Int64(required))
        }
    }

    private mutating func put(_ refusal: Refusal) {
        switch refusal {
        case .notLeader(let leader):
            put(PeerRefusalTag.notLeader.rawValue)
            put(leader != nil)
            if let leader { put(leader.rawValue) }
        case .electing: put(PeerRefusalTag.electing.rawValue)
        case .noQuorum(let reachable, let required):
            put(PeerRefusalTag.noQuorum.rawValue)
            put(Int64(reachable))
            put(Int64(required))
        case .overloaded: put(PeerRefusalTag.overloaded.rawValue)
        case .timeout: put(PeerRefusalTag.timeout.rawValue)
        case .failed: put(PeerRefusalTag.failed.rawValue)
        case .full: put(PeerRefusalTag.full.rawValue)
        }
    }
}
