import KVProtocols
import KVReplication

/// Telling the machines that time has passed, and how many of them may bring members up to date.
extension Engine {
    /// Partitions in which this node brings a member up to date at the same time. All at once, after a member was away, they would take
    /// their memory together, and fill the queues in which clients wait.
    static let maximumRepairs = 8
    /// After so many milliseconds without an answer a repair takes nobody else's place.
    private static let repairPatience: UInt64 = 1_000

    func tickMachines() {
        lastMachineTick = now
        guard refusal == nil else { return }
        let since = now - min(now, Self.repairPatience)
        var repairs = replicas.count { $0?.machine.isRepairing(since: since) == true }
        for (index, replica) in replicas.enumerated() {
            guard let replica else { continue }
            let partition = PartitionID(UInt16(index))
            let wasRepairing = replica.machine.isRepairing(since: since)
            let mayBegin = wasRepairing || repairs < Self.maximumRepairs
            if mayBegin != replica.mayBeginRepair {
                replica.mayBeginRepair = mayBegin
                step(partition, .repair(isAllowed: mayBegin))
            }
            step(partition, .tick)
            if !wasRepairing, replica.machine.isRepairing(since: since) { repairs += 1 }
        }
    }
}
