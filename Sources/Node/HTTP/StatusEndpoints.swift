internal import HTTPTypes
internal import Hummingbird
internal import KVHTTP
internal import KVNode
internal import KVProtocols
internal import NIOCore

/// `/livez`, `/readyz`, `/health`, `/metrics`, `/version` of a node; everything else is unknown.
struct StatusEndpoints {
    let service: any NodeService
    let metrics: RequestMetrics

    func respond(_ exchange: Exchange) async throws -> Response {
        switch exchange.path {
        case "/livez", "/readyz", "/health", "/metrics", "/version":
            try exchange.allow(.get, .head)
            _ = try QueryParameters(exchange.query, known: [])
        default:
            throw Problem.notFound(path: exchange.path)
        }
        switch exchange.path {
        case "/livez": return CommonAnswers.alive
        case "/version": return CommonAnswers.version
        case "/metrics": return await metricsText()
        case "/readyz":
            let status = await service.status()
            guard status.isReady else {
                throw Problem.serviceUnavailable("not_ready", status.reasons.joined(separator: "; "))
            }
            return CommonAnswers.ready
        default: return health(await service.status())
        }
    }

    /// The verdict is `failed` (and the status 503) when the node can't serve, `degraded` when something limits it.
    private func health(_ status: NodeStatus) -> Response {
        var json = JSONWriter(capacity: 512)
        json.beginObject()
        json.name("status")
        json.string(status.isReady ? "node up" : "node not ready")
        json.name("verdict")
        json.string(status.isReady ? (status.reasons.isEmpty ? "ok" : "degraded") : "failed")
        json.name("reasons")
        json.beginArray()
        for reason in status.reasons { json.string(reason) }
        json.endArray()
        json.name("node")
        json.string(status.name)
        json.name("id")
        if let id = status.id { json.integer(id.rawValue) } else { json.null() }
        json.name("cluster")
        json.string(status.clusterName)
        json.name("map_epoch")
        json.integer(status.mapEpoch)
        json.name("backend")
        json.string(status.backend)
        json.name("partitions")
        json.beginObject()
        json.name("replicas")
        json.integer(status.replicas)
        json.name("leading")
        json.integer(status.leading)
        json.name("leaderless")
        json.integer(status.leaderless)
        json.endObject()
        json.name("peers")
        json.beginObject()
        json.name("connected")
        json.integer(status.connectedPeers)
        json.name("total")
        json.integer(status.peers)
        json.endObject()
        json.name("keys")
        json.integer(status.keys)
        json.name("bytes_on_disk")
        json.integer(status.bytesOnDisk)
        json.name("bytes_free")
        json.integer(status.bytesFree)
        json.endObject()
        return Response(
            status: status.isReady ? .ok : .serviceUnavailable, headers: [.contentType: HTTPField.json.value],
            body: ResponseBody(byteBuffer: json.finish()))
    }

    private func metricsText() async -> Response {
        let status = await service.status()
        var text = PrometheusText()
        text.family("kv_node_info", "The node, its backend and its version.", "gauge")
        let name = PrometheusText.escaped(status.name)
        let backend = PrometheusText.escaped(status.backend)
        text.sample("kv_node_info", "node=\"\(name)\",backend=\"\(backend)\",version=\"\(KVVersion.current)\"", 1)
        text.gauge("kv_ready", "1 when the node can serve.", status.isReady ? 1 : 0)
        text.gauge("kv_problems", "Problems that the node names in its health.", status.reasons.count)
        text.gauge("kv_map_epoch", "Epoch of the cluster map in force.", status.mapEpoch)
        text.gauge("kv_replicas", "Partitions of which the node is a member.", status.replicas)
        text.gauge("kv_leading", "Partitions that the node leads.", status.leading)
        text.gauge("kv_leaderless", "Partitions without a known leader.", status.leaderless)
        text.gauge("kv_peers", "Peers in the cluster map.", status.peers)
        text.gauge("kv_peers_connected", "Peers with a working connection.", status.connectedPeers)
        text.gauge("kv_keys", "Records in the backend, tombstones included.", status.keys)
        text.gauge("kv_backend_bytes", "Bytes that the backend uses on disk.", status.bytesOnDisk)
        text.gauge("kv_disk_free_bytes", "Free bytes on the disk of the data folder.", status.bytesFree)
        text.gauge("kv_overlay_bytes", "Bytes of records not yet in the backend.", status.overlayBytes)
        text.counter("kv_journal_durable_position", "Highest durable position of the journal.", status.journalDurable)
        for gauge in status.gauges { text.gauge("kv_\(gauge.name)", gauge.help, gauge.value) }
        for counter in status.counters { text.counter("kv_\(counter.name)_total", counter.help, counter.value) }
        for figure in status.backendFigures { text.gauge("kv_backend_\(figure.name)", figure.help, figure.value) }
        metrics.write(to: &text)
        return text.response
    }
}
