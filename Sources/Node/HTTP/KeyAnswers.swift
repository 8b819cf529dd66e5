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
        if let tags = ifMatch, try !EntityTags(tags).matchesStrongly(record.version) {
            throw StatusMapping.conditionFailed(record.version)
        }
        var document = Document(.ok, version: record.version, leader: leader)
        if let tags = ifNoneMatch, try EntityTags(tags).matchesWeakly(record.version) {
            document.status = .notModified
            return document
        }
        let value = record.value ?? []
        if let accept, accept != "*/*", accept.contains("application/octet-stream") {
            document.contentType = .octetStream
            document.fields = [.attachment]
            if record.expiresAt != 0 {
                document.fields.append(HTTPField(name: .kvExpiresAt, value: String(record.expiresAt)))
            }
            document.body = value
            return document
        }
        var json = JSONWriter(capacity: value.count + key.bytes.count + 128)
        json.beginObject()
        json.name("key")
        json.string(utf8: key.bytes)
        json.record(record, withValue: true)
        json.endObject()
        document.contentType = .json
        document.body = json.finishBytes()
        return document
    }

    private func written(
        _ status: HTTPResponse.Status, _ version: Version, acks: Int, required: Int, value: Int64?, _ leader: String?
    ) -> Document {
        var json = JSONWriter(capacity: key.bytes.count + 128)
        json.beginObject()
        json.name("key")
        json.string(utf8: key.bytes)
        json.written(version, acks: acks, required: required, value: value)
        json.endObject()
        return Document(status, version: version, leader: leader, contentType: .json, body: json.finishBytes())
    }

    /// 204 also when the key had no value: what was asked for holds.
    private func deleted(_ leader: String?) -> Document { Document(.noContent, leader: leader) }
}

extension JSONWriter {
    /// The members that describe a record; `expires_at` in milliseconds since 1970.
    mutating func record(_ record: Record, withValue: Bool) {
        if withValue, let value = record.value { self.value(value) }
        name("version")
        string(record.version)
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
        string(version)
        name("acks")
        integer(acks)
        name("required")
        integer(required)
    }
}

extension Problem {
    /// This problem, with the leader that decided it.
    fileprivate func naming(_ leader: String?) -> Problem {
        var problem = self
        problem.leader = leader
        return problem
    }
}
