internal import KVProtocols
internal import KVReplication

/// The layout of messages between machines: tag u8, partition u16, epoch u64, ballot (u64, u32), purge epoch u64, then
/// the parts of the case. With `PeerTag.isRepeated` in the tag, partition to purge epoch are those of the machine's message before in the
/// same frame, and left out: a page of copies, or of their confirmations, says them once. Counts are u32; an optional is a flag byte and
/// then its content, if any; an optional key is one of length 0. In lists of versions a byte says what follows, see `PeerVersionTag`.
extension PeerSink {
    @inline(__always)
    mutating func put(_ message: PeerMessage) {
        switch message {
        case .machine(let partition, let header, let message): put(partition, header, message)
        case .request(let id, let request): put(id, request)
        case .reply(let id, let reply): put(id, reply)
        }
    }

    @inline(__always)
    private mutating func start(_ tag: PeerTag, _ partition: PartitionID, _ header: Header) {
        let context = PeerContext(partition: partition, header: header)
        guard said != context else {
            put(tag.rawValue | PeerTag.isRepeated)
            return leftOut(PeerContext.length)
        }
        said = context
        put(tag.rawValue)
        put(partition.rawValue)
        put(header.epoch)
        put(header.ballot)
        put(header.purgeEpoch)
    }

    mutating func put(_ partition: PartitionID, _ header: Header, _ message: Message) {
        switch message {
        case .accept(let key, let record):
            start(.accept, partition, header)
            put(key)
            put(record)
        case .accepted(let sequence):
            start(.accepted, partition, header)
            put(sequence)
        case .confirm(let round):
            start(.confirm, partition, header)
            put(round)
        case .confirmed(let round):
            start(.confirmed, partition, header)
            put(round)
        case .copy(let key, let record):
            start(.copy, partition, header)
            put(key)
            put(record)
        case .copied(let key, let version):
            start(.copied, partition, header)
            put(key)
            put(version)
        case .query(let round, let key):
            start(.query, partition, header)
            put(round)
            put(key)
        case .known(let round, let key, let record):
            start(.known, partition, header)
            put(round)
            put(key)
            put(record != nil)
            if let record { put(record) }
        default: putRare(partition, header, message)
        }
    }

    private mutating func putRare(_ partition: PartitionID, _ header: Header, _ message: Message) {
        switch message {
        case .accept, .accepted, .confirm, .confirmed, .copy, .copied, .query, .known: break
        case .canvass(let configuration, let polite):
            start(.canvass, partition, header)
            put(polite)
            put(configuration)
        case .supported: start(.supported, partition, header)
        case .prepare(let configuration, let polite):
            start(.prepare, partition, header)
            put(polite)
            put(configuration)
        case .promised(let digest):
            start(.promised, partition, header)
            put(digest)
        case .digest(let round):
            start(.digest, partition, header)
            put(round)
        case .digested(let round, let digest):
            start(.digested, partition, header)
            put(round)
            put(digest)
        case .walk(let round, let buckets, let after):
            start(.walk, partition, header)
            put(round)
            put(buckets)
            put(after)
        case .walked(let round, let page):
            start(.walked, partition, header)
            put(round)
            put(page)
        case .recall(let round, let buckets, let asPromised, let keys):
            start(.recall, partition, header)
            put(round)
            put(buckets)
            put(asPromised)
            put(count: keys.count)
            for key in keys { put(key) }
        case .recalled(let round, let recollection):
            start(.recalled, partition, header)
            put(round)
            put(recollection != nil)
            if let recollection { put(recollection) }
        case .buried(let key, let version):
            start(.buried, partition, header)
            put(key)
            put(version)
        case .burial(let key, let version, let holds):
            start(.burial, partition, header)
            put(key)
            put(version)
            put(holds)
        case .purge(let key, let version):
            start(.purge, partition, header)
            put(key)
            put(version)
        case .wishToLead: start(.wishToLead, partition, header)
        case .handOver: start(.handOver, partition, header)
        case .resigned: start(.resigned, partition, header)
        case .install(let configuration):
            start(.install, partition, header)
            put(configuration)
        case .rejected(let rejection):
            start(.rejected, partition, header)
            put(rejection)
        }
    }
}

extension PeerSink {
    @inline(__always)
    mutating func put(_ flag: Bool) { put(flag ? 1 as UInt8 : 0) }

    @inline(__always)
    mutating func put(count: Int) { put(UInt32(count)) }

    @inline(__always)
    mutating func put(_ ballot: Ballot) {
        put(ballot.counter)
        put(ballot.node.rawValue)
    }

    @inline(__always)
    mutating func put(_ version: Version) {
        put(version.ballot)
        put(version.sequence)
    }

    @inline(__always)
    mutating func put(_ key: Key) {
        put(UInt16(key.bytes.count))
        put(key.bytes)
    }

    @inline(__always)
    mutating func put(_ key: Key?) {
        if let key { put(key) } else { put(0 as UInt16) }
    }

    @inline(__always)
    mutating func put(_ record: Record) {
        put(RecordHeader(record))
        if let value = record.value { put(value) }
    }

    mutating func put(_ configuration: Configuration) {
        put(configuration.epoch)
        put(configuration.members)
        put(configuration.previous != nil)
        if let previous = configuration.previous { put(previous) }
        put(count: configuration.joined.count)
        for joined in configuration.joined {
            put(joined.node.rawValue)
            put(joined.epoch)
        }
    }

    private mutating func put(_ nodes: [NodeID]) {
        put(count: nodes.count)
        for node in nodes { put(node.rawValue) }
    }

    mutating func put(_ digest: PartitionDigest) {
        for bucket in digest.buckets { put(bucket) }
    }

    private mutating func put(_ page: WalkPage) {
        put(count: page.entries.count)
        var ballot: Ballot?
        for entry in page.entries {
            put(entry.key)
            put(entry.version, after: &ballot)
        }
        put(page.next)
    }

    private mutating func put(_ recollection: Recollection) {
        put(recollection.digest)
        put(count: recollection.entries.count)
        var ballot: Ballot?
        for entry in recollection.entries {
            put(entry.key)
            put(entry.version, after: &ballot)
        }
    }

    /// Most versions of a list are of one ballot.
    private mutating func put(_ version: Version?, after ballot: inout Ballot?) {
        guard let version else { return put(PeerVersionTag.none.rawValue) }
        if version.ballot == ballot {
            put(PeerVersionTag.sameBallot.rawValue)
        } else {
            put(PeerVersionTag.whole.rawValue)
            put(version.ballot)
        }
        put(version.sequence)
        ballot = version.ballot
    }

    private mutating func put(_ rejection: Rejection) {
        put(rejection.reason.rawValue)
        put(rejection.promised)
        put(rejection.epoch)
        put(rejection.purgeEpoch)
    }
}
