import Foundation
import KVProtocols
import Logging
import KVReplication
import KVStorage

/// Who this node is and what cluster it belongs to: learned from the controller, kept with the data.
extension Engine {
    static let identityName = "identity"

    /// How long peers that were never connected may take to be met. No link breaks that never was, so without an end to
    /// this a leader would count on a peer that died before this node started, and propose what can't be chosen.
    private static let meetingMilliseconds: UInt64 = 1_000

    var unconnectedPeers: [NodeID] {
        (map?.nodes ?? []).map(\.id).filter { $0 != identity.node && !connected.contains($0) }
    }

    func giveUpUnmetPeers() {
        unmetDeadline = nil
        for peer in unconnectedPeers { stepAll(.peerLost(peer)) }
    }

    /// Makes the machines of every partition that this node is or was a member of.
    func restoreReplicas() {
        unmetDeadline = now + Self.meetingMilliseconds
        for index in 0..<settings.partitions {
            let partition = PartitionID(UInt16(index))
            if storage.state(of: partition) != .empty { _ = replica(partition) }
        }
        if let map { install(map) }
    }

    func adopt(_ map: ClusterMap) {
        guard map.cluster == identity.cluster, map.partitions.count == settings.partitions else {
            logger.error("a cluster map of another cluster or shape was ignored")
            return
        }
        guard map.epoch > self.map?.epoch ?? 0 else { return }
        do {
            try storage.saveMap(map)
        } catch {
            logger.error("the cluster map can't be kept", metadata: ["error": "\(error)"])
        }
        self.map = map
        install(map)
    }

    private func install(_ map: ClusterMap) {
        unmetDeadline = now + Self.meetingMilliseconds
        for (index, configuration) in map.partitions.enumerated() {
            let partition = PartitionID(UInt16(index))
            guard replicas[index] != nil || configuration.contains(identity.node) else { continue }
            step(partition, .configuration(configuration))
        }
    }

    /// Takes the identity that the controller gave: a new member that starts empty. Whatever was held or promised under
    /// another identity goes, for nobody counts on it any more.
    func adopt(_ given: NodeIdentity) {
        guard given != identity else { return }
        let isAnother = given.node != identity.node || given.cluster != identity.cluster
        if isAnother { stepAll(.resign) }
        // Before anything is wiped: a crash in between must not leave the old number to a node that has forgotten what it
        // promised under it. A new number with old partitions is no member of theirs, and wipes each when it joins.
        identity = given
        do {
            storage.saveNode(Self.identityName, try Array(JSONEncoder().encode(given)))
        } catch {
            logger.error("the identity can't be kept", metadata: ["error": "\(error)"])
        }
        if isAnother {
            for index in 0..<settings.partitions {
                let partition = PartitionID(UInt16(index))
                replicas[index] = nil
                guard storage.state(of: partition) != .empty || storage.digest(of: partition) != PartitionDigest()
                else { continue }
                storage.wipe(partition, keeping: .empty)
            }
            held.removeAll()
            heldHead = 0
            loopback.removeAll()
            map = nil
            storage.forgetMap()
        }
        storage.commit()
        logger.notice(
            "this node has a new identity", metadata: ["kv.node": "\(given.node)", "kv.name": "\(given.name)"])
    }

    func report() -> EngineReport {
        var leading: [Heartbeat.Leading] = []
        var members = 0
        var leaderless = 0
        var damaged = 0
        var replacedDamaged: UInt64 = 0
        var leaders = [NodeID?](repeating: nil, count: replicas.count)
        for (index, replica) in replicas.enumerated() {
            let partition = PartitionID(UInt16(index))
            leaders[index] = leader(of: partition)
            damaged += replica?.store.damaged.keys.count ?? 0
            replacedDamaged += replica?.store.replacedDamaged ?? 0
            guard let machine = replica?.machine, machine.isMember else { continue }
            members += 1
            if machine.leader == nil { leaderless += 1 }
            if let ballot = machine.leadingBallot {
                leading.append(
                    Heartbeat.Leading(
                        partition: partition, ballot: ballot, epoch: machine.state.configuration.epoch,
                        synced: machine.isSynced, lagging: machine.lagging))
            }
        }
        var statistics: StorageStatistics?
        if storage.failure == nil {
            do { statistics = try storage.statistics() } catch {
                logger.warning("the storage gives no figures", metadata: ["error": "\(error)"])
            }
        }
        addProgress(to: &leading, statistics: statistics, partitions: members)
        return EngineReport(
            identity: identity, map: map, durable: storage.durable, failure: storage.failure,
            degradation: storage.degradation, refusal: refusal, statistics: statistics,
            overlayBytes: storage.overlayBytes, damaged: damaged, replacedDamaged: replacedDamaged,
            lastScrub: lastScrub, replicas: members, leaderless: leaderless, leading: leading,
            leaders: leaders, connected: connected.sorted(), operations: pending.count, counters: counters)
    }

    /// Says of every partition whose keys are being compared and copied how far that is.
    private func addProgress(to leading: inout [Heartbeat.Leading], statistics: StorageStatistics?, partitions: Int) {
        for index in leading.indices {
            guard let replica = replicas[Int(leading[index].partition.rawValue)], let walk = replica.machine.walk else {
                continue
            }
            leading[index].progress = Heartbeat.Progress(
                passed: replica.store.walkCount.keys(behind: walk), walk: walk,
                nodeKeys: statistics?.backend.keys ?? 0, nodeBytes: statistics?.backend.bytesOnDisk ?? 0,
                partitions: partitions)
        }
    }
}
