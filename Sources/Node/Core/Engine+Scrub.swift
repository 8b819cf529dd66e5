import KVProtocols
import KVReplication
import KVStorage
import Logging

/// What follows from the findings of the scrub, and of listings, which meet damaged records too.
extension Engine {
    /// A record in the backend failed verification. If it is still what this node would serve, its version counts as
    /// unknown from now on, which a leader sees when it compares digests; a leader itself asks the others at once.
    /// - Parameter isCurrent: this turn of the engine got the error: nobody has replaced the record since.
    func foundDamaged(_ partition: PartitionID, _ key: Key, _ error: StorageError, isCurrent: Bool = false) {
        guard let replica = replicas[Int(partition.rawValue)], replica.machine.isMember,
            isCurrent || isDamagedNow(partition, key)
        else { return }
        if replica.store.damaged.insert(key) {
            counters.scrubDamaged += 1
            logger.warning(
                "a record fails verification and is to come from another replica",
                metadata: ["kv.partition": "\(partition)", "code": "\(error.code.rawValue)"])
            logger.trace("the damaged record", metadata: ["kv.key": "\(key)", "error": "\(error)"])
        }
        step(partition, .damaged(key))
    }

    /// The overlay may hold a newer record, or the key may be gone: then nothing is wrong.
    private func isDamagedNow(_ partition: PartitionID, _ key: Key) -> Bool {
        do {
            _ = try storage.read(partition, key)
            return false
        } catch {
            return error.code != .poisoned && error.code != .closed
        }
    }

    /// The partition's records seem not to be those that were stored. If that is so, the digest of what is there goes to
    /// work: a member gets what it lacks when its leader compares. A leader must not judge the others by what it lost: it
    /// resigns, and whoever leads next, perhaps this node, learns the keys that differ from a quorum first.
    func foundInconsistent(_ partition: PartitionID) {
        guard let replica = replicas[Int(partition.rawValue)], replica.machine.isMember else { return }
        let before = storage.digest(of: partition)
        storage.doubtDigest(of: partition)
        guard storage.digest(of: partition) != before else { return }
        counters.scrubInconsistent += 1
        logger.error(
            "records of a partition are gone from the disk, or came back: it is compared with the other replicas",
            metadata: ["kv.partition": "\(partition)"])
        step(partition, .resign)
    }

    func foundUnreadable(_ partition: PartitionID, _ error: StorageError) {
        logger.error(
            """
            a partition can't be read to its end, not even its keys: if this stays, start the node with an empty folder \
            on a sound disk, and it gets its data from the other replicas
            """,
            metadata: ["kv.partition": "\(partition)", "error": "\(error)"])
    }

    func finishedScrub(_ pass: ScrubPass) {
        lastScrub = pass
        let isClean = pass.damaged == 0 && pass.unreadable == 0
        logger.log(
            level: isClean ? .info : .notice, "the scrub has read everything",
            metadata: [
                "records": "\(pass.records)", "bytes": "\(pass.bytes)", "damaged": "\(pass.damaged)",
                "unreadable": "\(pass.unreadable)", "milliseconds": "\(pass.milliseconds)",
            ])
    }
}
