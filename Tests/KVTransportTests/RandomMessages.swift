import KVProtocols
import KVReplication
import KVTransport

/// SplitMix64: the same messages for the same seed.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
        return word ^ word >> 31
    }
}

/// Messages of every case with random content.
struct RandomMessages {
    static let machineCases = 26
    private var random: SeededGenerator

    init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    /// One message of each case; the variants of what they hold are drawn.
    mutating func everyCase() -> [PeerMessage] {
        (0..<RandomMessages.machineCases).map { .machine(partition(), header(), message($0)) }
            + (0..<7).map { .request(id: word(), request($0)) } + (0..<18).map { .reply(id: word(), reply($0)) }
    }

    mutating func number(below bound: Int) -> Int { Int.random(in: 0..<bound, using: &random) }

    mutating func bytes(_ maximum: Int) -> [UInt8] {
        (0..<number(below: maximum + 1)).map { _ in UInt8.random(in: 0...255, using: &random) }
    }

    mutating func word() -> UInt64 { [0, 1, UInt64.max, random.next()][number(below: 4)] }
    mutating func flag() -> Bool { Bool.random(using: &random) }
    mutating func integer() -> Int { Int(truncatingIfNeeded: word()) }
    mutating func node() -> NodeID { NodeID(UInt32(truncatingIfNeeded: word())) }
    mutating func partition() -> PartitionID { PartitionID(UInt16(truncatingIfNeeded: word())) }
    mutating func ballot() -> Ballot { Ballot(counter: word(), node: node()) }
    mutating func version() -> Version { Version(ballot: ballot(), sequence: word()) }

    mutating func key() -> Key {
        let length = [1, 30, Key.maximumLength][number(below: 3)]
        let letters = (0..<length).map { _ in UInt8.random(in: 1...127, using: &random) }
        return flag() || length < 2 ? Key(unchecked: letters) : Key(unchecked: letters.dropLast(2) + [0xC3, 0xA4])
    }

    mutating func record(_ key: Key) -> Record {
        Record(key: key, version: version(), value: flag() ? bytes(200) : nil, expiresAt: word())
    }

    mutating func header() -> Header { Header(epoch: word(), ballot: ballot(), purgeEpoch: word()) }

    mutating func configuration() -> Configuration {
        let members = (0..<number(below: 5)).map { _ in node() }
        let previous = flag() ? (0..<number(below: 5)).map { _ in node() } : nil
        let joined = Set(members + (previous ?? [])).map { Configuration.Joined(node: $0, epoch: word()) }
        return Configuration(epoch: word(), members: members, previous: previous, joined: joined)
    }

    mutating func digest() -> PartitionDigest {
        PartitionDigest(buckets: (0..<PartitionDigest.bucketCount).map { _ in word() })!
    }

    mutating func message(_ index: Int) -> Message {
        let key = key()
        switch index {
        case 0: return .canvass(configuration(), polite: flag())
        case 1: return .supported
        case 2: return .prepare(configuration(), polite: flag())
        case 3: return .promised(digest())
        case 4: return .accept(key, record(key))
        case 5: return .accepted(sequence: word())
        case 6: return .copy(key, record(key))
        case 7: return .copied(key, version())
        case 8: return .confirm(round: word())
        case 9: return .confirmed(round: word())
        case 10: return .query(round: word(), key)
        case 11: return .known(round: word(), key, flag() ? record(key) : nil)
        case 12: return .digest(round: word())
        case 13: return .digested(round: word(), digest())
        case 14: return .walk(round: word(), buckets: word(), after: flag() ? key : nil)
        case 15:
            let entries = (0..<number(below: 20)).map { _ in WalkPage.Entry(key: self.key(), version: version()) }
            return .walked(round: word(), WalkPage(entries: entries, next: flag() ? key : nil))
        case 16: return .buried(key, version())
        case 17: return .burial(key, version(), holds: flag())
        case 18: return .purge(key, version())
        case 19: return .wishToLead
        case 20: return .handOver
        case 21: return .resigned
        case 22: return .install(configuration())
        case 23:
            let keys = (0..<number(below: 20)).map { _ in self.key() }
            return .recall(round: word(), buckets: word(), asPromised: flag(), keys: keys)
        case 24:
            let entries = (0..<number(below: 20)).map { _ in
                Recollection.Entry(key: self.key(), version: flag() ? version() : nil)
            }
            return .recalled(round: word(), flag() ? Recollection(digest: digest(), entries: entries) : nil)
        default:
            return .rejected(
                Rejection(
                    reason: Rejection.Reason(rawValue: UInt8(number(below: 5)))!, promised: ballot(), epoch: word(),
                    purgeEpoch: word()))
        }
    }

    mutating func condition() -> Condition {
        switch number(below: 4) {
        case 0: .none
        case 1: .present
        case 2: .absent
        default: .version((0..<number(below: 4)).map { _ in version() })
        }
    }

    mutating func request(_ index: Int) -> PeerRequest {
        let timeout = UInt32(truncatingIfNeeded: word())
        let key = key()
        switch index {
        case 0: return .operation(partition(), .get(key), timeoutMilliseconds: timeout)
        case 1:
            return .operation(
                partition(), .put(key, value: bytes(300), expiresAt: word(), condition()),
                timeoutMilliseconds: timeout)
        case 2: return .operation(partition(), .delete(key, condition()), timeoutMilliseconds: timeout)
        case 3:
            return .operation(
                partition(), .increment(key, by: Int64(bitPattern: word())), timeoutMilliseconds: timeout)
        case 4: return .operation(partition(), .barrier, timeoutMilliseconds: timeout)
        case 5:
            return .list(
                (0..<number(below: 64)).map { _ in partition() }, prefix: bytes(20), after: flag() ? key : nil,
                limit: timeout, values: flag())
        default: return .replica(partition(), key)
        }
    }

    mutating func reply(_ index: Int) -> PeerReply {
        let key = key()
        switch index {
        case 0: return .outcome(.value(record(key)))
        case 1: return .outcome(.absent)
        case 2: return .outcome(.passed)
        case 3:
            return .outcome(
                .written(
                    version(), acks: integer(), required: integer(),
                    value: flag() ? Int64(bitPattern: word()) : nil))
        case 4: return .outcome(.conditionFailed(current: flag() ? version() : nil))
        case 5: return .outcome(.notANumber(current: version()))
        case 6: return .outcome(.unknown(acked: integer(), required: integer()))
        case 7: return .outcome(.refused(.notLeader(leader: flag() ? node() : nil)))
        case 8: return .outcome(.refused(.electing))
        case 9: return .outcome(.refused(.noQuorum(reachable: integer(), required: integer())))
        case 10: return .outcome(.refused(.overloaded))
        case 11: return .outcome(.refused(.timeout))
        case 12: return .outcome(.refused(.failed))
        case 13: return .outcome(.refused(.full))
        case 14:
            let entries = (0..<number(below: 10)).map { _ in
                let key = self.key()
                return KeyRecord(key: key, record: record(key))
            }
            let reach = flag() ? self.key() : nil
            return .list(entries, reach: reach, unable: (0..<number(below: 5)).map { _ in partition() })
        case 15: return .replica(.holds(record(key), isLeader: flag()))
        case 16: return .replica(.missing(isLeader: flag()))
        default: return .replica(.damaged(isLeader: flag()))
        }
    }
}

/// `PeerMessage` itself need not be comparable.
struct Compared: Equatable {
    let message: PeerMessage

    static func == (left: Self, right: Self) -> Bool {
        switch (left.message, right.message) {
        case (.machine(let a, let b, let c), .machine(let d, let e, let f)): a == d && b == e && c == f
        case (.request(let a, let b), .request(let c, let d)): a == c && b == d
        case (.reply(let a, let b), .reply(let c, let d)): a == c && b == d
        default: false
        }
    }
}
