internal import HTTPTypes
internal import Hummingbird
internal import KVHTTP
internal import KVNode
internal import KVProtocols

/// `GET /replicas?key=`: what each member of the key's replica set holds.
struct ReplicasEndpoint {
    let service: any NodeService

    func respond(_ exchange: Exchange) async throws -> Response {
        try exchange.allow(.get, .head)
        let query = try QueryParameters(exchange.query, known: ["key", "node"])
        try query.checkNode(service)
        guard let bytes = query.bytes("key") else {
            throw Problem.badRequest("missing_parameter", "the parameter \"key\" is missing")
        }
        let key = try KeyPath.key(bytes)
        let reply = await service.replicas(of: key)
        guard !reply.replicas.isEmpty else {
            throw Problem.serviceUnavailable("no_map", "\(service.name) knows no members of the key's partition yet")
        }
        guard reply.replicas.contains(where: { $0.state != .missing }) else {
            throw Problem(.notFound, "not_found", "no member holds anything of the key")
        }
        var headers: HTTPFields = [.contentType: HTTPField.json.value]
        if let leader = reply.leader { headers.append(HTTPField(name: .kvLeader, value: leader)) }
        return Response(status: .ok, headers: headers, body: body(key, reply))
    }

    /// Members are compared with the leader, or with the newest record when the leader shows none.
    private func body(_ key: Key, _ reply: ReplicasReply) -> ResponseBody {
        let leader = reply.replicas.first { $0.isLeader && ($0.state == .ok || $0.state == .missing) }
        let newest = reply.replicas.compactMap(\.record).max { $0.version < $1.version }
        let reference = leader.map(\.record) ?? newest
        var json = JSONWriter(capacity: 256 + reply.replicas.count * 160)
        json.beginObject()
        json.name("key")
        json.string(utf8: key.bytes)
        json.name("partition")
        json.integer(reply.partition.rawValue)
        json.name("leader")
        if let leader = reply.leader { json.string(leader) } else { json.null() }
        json.name("replicas")
        json.beginArray()
        for replica in reply.replicas { write(replica, reference, to: &json) }
        json.endArray()
        json.endObject()
        return ResponseBody(byteBuffer: json.finish())
    }

    private func write(_ replica: ReplicasReply.Replica, _ reference: Record?, to json: inout JSONWriter) {
        json.beginObject()
        json.name("node")
        json.string(replica.node)
        json.name("role")
        json.string(replica.isLeader ? "leader" : "member")
        json.name("state")
        json.string(replica.state.rawValue)
        json.name("agrees")
        let isComparable = replica.state == .ok || replica.state == .missing
        json.boolean(
            isComparable && replica.record?.version == reference?.version
                && replica.record?.checksum == reference?.checksum)
        if let record = replica.record {
            json.name("version")
            json.string(record.version.description)
            json.name("size")
            json.integer(record.value?.count ?? 0)
            json.name("deleted")
            json.boolean(record.isTombstone)
            json.name("hash")
            let hash = String(record.checksum, radix: 16)
            json.string(String(repeating: "0", count: 8 - hash.count) + hash)
        }
        json.endObject()
    }
}
