internal import HTTPTypes
internal import KVHTTP
internal import KVNode
internal import KVProtocols
internal import KVReplication
internal import NIOCore

/// Answers to requests for a key, as documents.
extension KeyRequest {
    /// What an operation's end is to the client.
    /// - Throws: the problem that it is; names the leader, if one decided it.
    func document(of answer: Answer, to operation: Operation) throws(Problem) -> Document {
        do {
            switch try StatusMapping.success(of: answer, to: operation) {
            case .value(let record): return try document(of: record, leader: answer.leader)
            case .nothingToDelete: return deleted(answer.leader)
            case .written(let status, let version, let acks, let required, let value):
                if case .delete = operation { return deleted(answer.leader) }
                return written(status, version, acks: acks, required: required, value: value, answer.leader)
            }
        } catch {
            throw error.naming(answer.leader)
        }
    }

    /// A record that was read.
    /// - Throws: 412 when `If-Match` names another version.
    func document(of record: Record, leader: String?) throws(Problem) -> Document {
        if let tags = head.ifMatch, try !EntityTags(tags).matchesStrongly(record.version) {
            throw StatusMapping.conditionFailed(record.version)
        }
        var headers = fields(version: record.version, leader)
        if let tags = head.ifNoneMatch, try EntityTags(tags).matchesWeakly(record.version) {
            return Document(.notModified, headers: headers)
        }
        let value = record.value ?? []
        if let accept = head.accept, accept != "*/*", accept.contains("application/octet-stream") {
            headers.append(.octetStream)
            headers.append(.attachment)
            if record.expiresAt != 0 {
                headers.append(HTTPField(name: .kvExpiresAt, value: String(record.expiresAt)))
            }
            return Document(.ok, headers: headers, body: ByteBuffer(bytes: value))
        }
        headers.append(.json)
        var json = JSONWriter(capacity: value.count + key.bytes.count + 128)
        json.beginObject()
        json.name("key")
        json.string(utf8: key.bytes)
        json.record(record, withValue: true)
        json.endObject()
        return Document(.ok, headers: headers, body: json.finish())
    }

    private func written(
        _ status: HTTPResponse.Status, _ version: Version, acks: Int, required: Int, value: Int64?, _ leader: String?
    ) -> Document {
        var headers = fields(version: version, leader)
        headers.append(.json)
        var json = JSONWriter(capacity: key.bytes.count + 128)
        json.beginObject()
        json.name("key")
        json.string(utf8: key.bytes)
        json.written(version, acks: acks, required: required, value: value)
        json.endObject()
        return Document(status, headers: headers, body: json.finish())
    }

    /// 204 also when the key had no value: what was asked for holds.
    private func deleted(_ leader: String?) -> Document {
        var headers = HTTPFields()
        headers.append(leader: leader)
        return Document(.noContent, headers: headers)
    }

    private func fields(version: Version, _ leader: String?) -> HTTPFields {
        var headers = HTTPFields()
        headers.reserveCapacity(16)
        headers.append(HTTPField(name: .eTag, value: version.entityTag))
        headers.append(leader: leader)
        return headers
    }
}

extension JSONWriter {
    /// The members that describe a record; `expires_at` in milliseconds since 1970.
    mutating func record(_ record: Record, withValue: Bool) {
        if withValue, let value = record.value { self.value(value) }
        name("version")
        string(record.version.description)
        if record.expiresAt != 0 {
            name("expires_at")
            integer(record.expiresAt)
        }
    }

    mutating func written(_ version: Version, acks: Int, required: Int, value: Int64?) {
        if let value {
            name("value")
            string(String(value))
        }
        name("version")
        string(version.description)
        name("acks")
        integer(acks)
        name("required")
        integer(required)
    }
}

extension HTTPFields {
    mutating func append(leader: String?) {
        if let leader { append(HTTPField(name: .kvLeader, value: leader)) }
    }
}

extension Problem {
    /// This problem, with the leader that decided it.
    fileprivate func naming(_ leader: String?) -> Problem {
        var problem = self
        problem.headers.append(leader: leader)
        return problem
    }
}
