import KVProtocols
import KVTransport
import KVStorage

extension Node {
    public func status() async -> NodeStatus {
        guard let report = await engine.report() else { return stoppedStatus }
        var reasons = health(report).reasons
        if let refusal = report.refusal { reasons.append("the controller refuses this node: \(refusal)") }
        if report.map == nil { reasons.append("no cluster map yet: waiting for the controller") }
        if report.leaderless > 0 { reasons.append("\(report.leaderless) partitions have no known leader") }
        let peers = (report.map?.nodes.count ?? 1) - 1
        if report.connected.count < peers {
            reasons.append("\(peers - report.connected.count) of \(peers) peers are not connected")
        }
        if report.damaged > 0 {
            reasons.append("\(report.damaged) damaged records wait for a whole one from a replica")
        }
        if let pass = report.lastScrub, pass.unreadable > 0 {
            reasons.append("the scrub could not read \(pass.unreadable) partitions to their end")
        }
        let backend = report.statistics?.backend
        return NodeStatus(
            name: settings.name, id: report.identity.flatMap { $0.node == NodeID(0) ? nil : $0.node },
            clusterName: settings.clusterName, mapEpoch: report.map?.epoch ?? 0, backend: settings.backend,
            isReady: report.failure == nil && report.map != nil && report.refusal == nil, reasons: reasons,
            replicas: report.replicas, leading: report.leading.count, leaderless: report.leaderless,
            connectedPeers: report.connected.count, peers: max(0, peers), keys: backend?.keys ?? 0,
            bytesOnDisk: backend?.bytesOnDisk ?? 0, bytesFree: backend?.bytesFree ?? 0,
            overlayBytes: report.overlayBytes, journalDurable: report.durable, counters: counters(report),
            backendFigures: (backend?.details ?? []).map {
                NodeStatus.Counter(name: $0.name, help: "Figure of the \(settings.backend) backend.", value: $0.value)
            }, gauges: gauges(report))
    }

    private var stoppedStatus: NodeStatus {
        NodeStatus(
            name: settings.name, id: nil, clusterName: settings.clusterName, mapEpoch: 0, backend: settings.backend,
            isReady: false, reasons: ["the node is stopping"], replicas: 0, leading: 0, leaderless: 0,
            connectedPeers: 0, peers: 0, keys: 0, bytesOnDisk: 0, bytesFree: 0, overlayBytes: 0, journalDurable: 0,
            counters: [], backendFigures: [])
    }

    private func gauges(_ report: EngineReport) -> [NodeStatus.Counter] {
        let scrub = report.statistics?.scrub ?? ScrubFigures()
        return [
            NodeStatus.Counter(
                name: "damaged_waiting", help: "Damaged records that wait for a whole one from a replica.",
                value: UInt64(report.damaged)),
            NodeStatus.Counter(
                name: "scrub_partitions_done", help: "Partitions that the scrub's pass under way has behind it.",
                value: UInt64(scrub.partitionsDone)),
        ]
    }

    private func counters(_ report: EngineReport) -> [NodeStatus.Counter] {
        func counter(_ name: String, _ help: String, _ value: UInt64) -> NodeStatus.Counter {
            NodeStatus.Counter(name: name, help: help, value: value)
        }
        let engine = report.counters
        let scrub = report.statistics?.scrub ?? ScrubFigures()
        let network = network.counters
        return [
            counter("reads", "Reads begun on this node.", engine.reads),
            counter("writes", "Writes begun on this node.", engine.writes),
            counter("forwarded", "Operations sent on to a leader elsewhere.", engine.forwarded),
            counter("refused", "Operations refused before anything was proposed.", engine.refused),
            counter("unknown", "Writes whose outcome is unknown.", engine.unknown),
            counter("machine_messages", "Replication messages received.", engine.machineMessages),
            counter(
                "dropped_while_full", "Records turned away, and answers not given, while the disk did not keep up.",
                engine.droppedWhileFull),
            counter(
                "misplaced_messages", "Peer messages about keys of another partition: a fault, or another seed.",
                engine.misplacedMessages),
            counter("damaged_records", "Records that failed verification and were replaced.", report.replacedDamaged),
            counter("scrub_records", "Records that the scrub has read and verified.", scrub.records),
            counter("scrub_bytes", "Bytes of keys and values that the scrub has read.", scrub.bytes),
            counter("scrub_damaged", "Records found damaged by the scrub or a listing.", engine.scrubDamaged),
            counter(
                "scrub_inconsistent", "Partitions whose records were found not to be those that were stored.",
                engine.scrubInconsistent),
            counter("scrub_unreadable", "Partitions that the scrub could not read to their end.", scrub.unreadable),
            counter("scrub_passes", "Passes of the scrub over the whole backend.", scrub.passes),
            counter("engine_turns", "Turns of the engine.", engine.turns),
            counter("journal_syncs", "Syncs of the journal.", report.statistics?.journalSyncs ?? 0),
            counter("flushes", "Batches handed to the backend.", report.statistics?.flushes ?? 0),
            counter("peer_messages_sent", "Messages sent to peers.", network.messagesOut),
            counter("peer_sent_bytes", "Bytes sent to peers, without those that only show life.", network.bytesOut),
            counter(
                "peer_received_bytes", "Bytes received from peers, without those that only show life.", network.bytesIn),
            counter(
                "peer_messages_dropped", "Messages to peers dropped for want of a connection or room.", network.dropped),
        ]
    }
}
