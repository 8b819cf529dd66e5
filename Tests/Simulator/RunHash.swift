import KVProtocols
import KVReplication

/// A hash of everything that happened in a run, the same in every process: FNV-1a over words.
struct RunHash {
    private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

    mutating func add(_ word: UInt64) {
        value = (value ^ word) &* 0x100_0000_01B3
        value ^= value >> 29
    }

    mutating func add(_ bytes: [UInt8]) {
        add(UInt64(bytes.count))
        for byte in bytes { add(UInt64(byte)) }
    }

    mutating func add(_ node: NodeID) { add(UInt64(node.rawValue)) }

    mutating func add(_ ballot: Ballot) {
        add(ballot.counter)
        add(ballot.node)
    }

    mutating func add(_ version: Version) {
        add(version.ballot)
        add(version.sequence)
    }

    mutating func add(_ header: Header) {
        add(header.epoch)
        add(header.ballot)
        add(header.purgeEpoch)
    }

    mutating func add(_ record: Record?) {
        guard let record else { return add(1) }
        add(record.version)
        add(record.value ?? [0])
        add(record.expiresAt)
    }

    mutating func add(_ digest: PartitionDigest) {
        for bucket in digest.buckets { add(bucket) }
    }

    mutating func add(_ outgoing: Outgoing) {
        add(outgoing.to)
        add(outgoing.header)
        add(outgoing.message)
    }

    mutating func add(_ message: Message) {
        switch message {
        case .canvass(let configuration, let polite): add(1, configuration.epoch, polite ? 1 : 0)
        case .supported: add(2)
        case .prepare(let configuration, let polite): add(3, configuration.epoch, polite ? 1 : 0)
        case .promised(let digest): add(4, digest)
        case .accept(let key, let record): add(5, key, record)
        case .accepted(let sequence): add(6, sequence)
        case .copy(let key, let record): add(7, key, record)
        case .copied(let key, let version): add(8, key, version)
        case .confirm(let round): add(9, round)
        case .confirmed(let round): add(10, round)
        case .query(let round, let key):
            add(11, key.bytes)
            add(round)
        case .known(let round, let key, let record):
            add(12, key, record)
            add(round)
        case .digest(let round): add(13, round)
        case .digested(let round, let digest): add(14 + round << 8, digest)
        case .walk(let round, let buckets, let after):
            add(15, round, buckets)
            add(after?.bytes ?? [])
        case .walked(let round, let page):
            add(16, round, UInt64(page.entries.count))
            for entry in page.entries { add(17, entry.key, entry.version) }
            add(page.next?.bytes ?? [])
        case .buried(let key, let version): add(18, key, version)
        case .burial(let key, let version, let holds): add(holds ? 19 : 20, key, version)
        case .purge(let key, let version): add(21, key, version)
        case .recall(let round, let buckets, let asPromised, let keys):
            add(asPromised ? 27 : 28, round, buckets)
            for key in keys { add(key.bytes) }
        case .recalled(let round, let answer):
            add(answer == nil ? 29 : 30, round)
            if let answer { add(answer.digest) }
            for entry in answer?.entries ?? [] { add(31, entry.key, entry.version ?? .zero) }
        case .wishToLead: add(22)
        case .handOver: add(23)
        case .resigned: add(24)
        case .install(let configuration): add(25, configuration.epoch)
        case .rejected(let rejection):
            add(26, UInt64(rejection.reason.rawValue), rejection.epoch)
            add(rejection.promised)
            add(rejection.purgeEpoch)
        }
    }

    mutating func add(_ outcome: Outcome) {
        switch outcome {
        case .value(let record): add(1, Key(unchecked: []), record)
        case .absent: add(2)
        case .passed: add(3)
        case .written(let version, let acks, let required, let value):
            add(4, UInt64(acks), UInt64(required))
            add(version)
            add(UInt64(bitPattern: value ?? -1))
        case .conditionFailed(let current):
            add(5)
            add(current ?? .zero)
        case .notANumber(let current):
            add(6)
            add(current)
        case .refused(let refusal):
            add(7, code(refusal))
        case .unknown(let acked, let required): add(8, UInt64(acked), UInt64(required))
        }
    }

    private func code(_ refusal: Refusal) -> UInt64 {
        switch refusal {
        case .notLeader(let leader): 1 + UInt64(leader?.rawValue ?? 0) << 8
        case .electing: 2
        case .noQuorum(let reachable, let required): 3 + UInt64(reachable) << 8 + UInt64(required) << 16
        case .overloaded: 4
        case .timeout: 5
        case .full: 6
        case .failed: 7
        }
    }

    private mutating func add(_ first: UInt64, _ second: UInt64, _ third: UInt64 = 0) {
        add(first)
        add(second)
        add(third)
    }

    private mutating func add(_ code: UInt64, _ digest: PartitionDigest) {
        add(code)
        add(digest)
    }

    private mutating func add(_ code: UInt64, _ bytes: [UInt8]) {
        add(code)
        add(bytes)
    }

    private mutating func add(_ code: UInt64, _ key: Key, _ record: Record?) {
        add(code)
        add(key.bytes)
        add(record)
    }

    private mutating func add(_ code: UInt64, _ key: Key, _ version: Version) {
        add(code)
        add(key.bytes)
        add(version)
    }
}
