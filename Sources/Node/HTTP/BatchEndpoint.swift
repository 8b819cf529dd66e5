internal import HTTPTypes
internal import Hummingbird
internal import KVHTTP
internal import KVNode
internal import KVProtocols
internal import KVReplication
internal import NIOCore
internal import Synchronization

/// `POST /batch`: many operations in one request, a status for each. Not atomic: each is an operation of its own.
/// Operations on one key run in the order given, those on different keys at the same time.
struct BatchEndpoint {
    static let maximumOperations = 1_000
    /// Keys worked on at the same time, as long as their values may not fill too much memory together.
    static let concurrency = 64
    static let bytesInProgress = 64 << 20
    /// Values of one answer in bytes, though always one; the gets beyond are refused.
    static let valueBytes = 4 << 20

    let service: any NodeService
    let bounds: BodyBounds

    private struct Item: Sendable {
        var name: String
        var key: Key
        var operation: Operation
    }

    func respond(_ exchange: Exchange) async throws -> Response {
        try exchange.allow(.post)
        let query = try QueryParameters(exchange.query, known: ["timeout", "node"])
        try query.checkNode(service)
        let timeout = try query.timeout()
        let items = try parse(try await exchange.body.collect(upTo: bounds.json))
        let answers = await run(items, timeout)
        var json = JSONWriter(capacity: 64 + items.count * 128)
        json.beginObject()
        json.name("results")
        json.beginArray()
        for (item, answer) in zip(items, answers) { write(item, answer, to: &json) }
        json.endArray()
        json.endObject()
        return Response(
            status: .ok, headers: [.contentType: HTTPField.json.value], body: ResponseBody(byteBuffer: json.finish()))
    }

    private func run(_ items: [Item], _ timeout: Int) async -> [Answer?] {
        var order: [[Int]] = []
        var places: [Key: Int] = [:]
        for (index, item) in items.enumerated() {
            if let place = places[item.key] {
                order[place].append(index)
            } else {
                places[item.key] = order.count
                order.append([index])
            }
        }
        var answers = [Answer?](repeating: nil, count: items.count)
        let room = AnswerRoom(BatchEndpoint.valueBytes)
        let concurrency = max(1, min(BatchEndpoint.concurrency, BatchEndpoint.bytesInProgress / max(1, bounds.value)))
        await withTaskGroup(of: [(Int, Answer?)].self) { group in
            var next = 0
            func start() {
                let indices = order[next]
                next += 1
                group.addTask {
                    var answers: [(Int, Answer?)] = []
                    for index in indices {
                        answers.append((index, await answer(items[index].operation, timeout, room)))
                    }
                    return answers
                }
            }
            while next < min(concurrency, order.count) { start() }
            for await finished in group {
                for (index, answer) in finished { answers[index] = answer }
                if next < order.count { start() }
            }
        }
        return answers
    }

    /// `nil` for a get whose value has no room in the answer any more.
    private func answer(_ operation: Operation, _ timeout: Int, _ room: AnswerRoom) async -> Answer? {
        guard case .get = operation else { return await service.execute(operation, timeoutMilliseconds: timeout) }
        guard room.isLeft else { return nil }
        let answer = await service.execute(operation, timeoutMilliseconds: timeout)
        guard case .value(let record) = answer.outcome else { return answer }
        return room.take(record.value?.count ?? 0) ? answer : nil
    }

    private static let answerFull = Problem(
        .contentTooLarge, "batch_answer_full",
        "the values of one answer have at most \(valueBytes) bytes together; ask for this key again")

    private func write(_ item: Item, _ answer: Answer?, to json: inout JSONWriter) {
        json.beginObject()
        json.name("op")
        json.string(item.name)
        json.name("key")
        json.string(utf8: item.key.bytes)
        do throws(Problem) {
            guard let answer else { throw BatchEndpoint.answerFull }
            switch try StatusMapping.success(of: answer, to: item.operation) {
            case .value(let record):
                json.name("status")
                json.integer(200)
                json.record(record, withValue: true)
            case .nothingToDelete:
                json.name("status")
                json.integer(204)
            case .written(let status, let version, let acks, let required, let value):
                json.name("status")
                if case .delete = item.operation { json.integer(204) } else { json.integer(status.code) }
                json.written(version, acks: acks, required: required, value: value)
            }
        } catch {
            error.write(to: &json, requestID: nil)
        }
        json.endObject()
    }

    private func parse(_ buffer: ByteBuffer) throws(Problem) -> [Item] {
        do {
            return try buffer.withJSON { (json: inout JSONScanner) throws(JSONError) in
                var items: [Item]?
                try json.object { (name, json) throws(JSONError) in
                    guard name == "operations" else {
                        throw json.error("unknown member \"\(name)\"; operations is known")
                    }
                    items = try operations(&json)
                }
                guard let items else { throw json.error("the member \"operations\" is missing") }
                return items
            }
        } catch {
            throw .malformedJSON(error)
        }
    }

    private func operations(_ json: inout JSONScanner) throws(JSONError) -> [Item] {
        var items: [Item] = []
        try json.array { (json) throws(JSONError) in
            guard items.count < BatchEndpoint.maximumOperations else {
                throw json.error("more than \(BatchEndpoint.maximumOperations) operations")
            }
            items.append(try item(&json))
        }
        return items
    }

    private func item(_ json: inout JSONScanner) throws(JSONError) -> Item {
        let start = json.offset
        var name: String?
        var bytes: [UInt8]?
        var members = ValueMembers()
        try json.object { (member, json) throws(JSONError) in
            switch member {
            case "op": name = String(decoding: try json.string(), as: UTF8.self)
            case "key": bytes = try json.string()
            default:
                guard try members.read(member, &json) else {
                    throw json.error("unknown member \"\(member)\"; op, key, value, encoding and ttl are known")
                }
            }
        }
        guard let name, let bytes else { throw json.error("an operation needs \"op\" and \"key\"", at: start) }
        let key: Key
        do {
            key = try Key(validating: bytes)
        } catch {
            throw json.error(error.description, at: start)
        }
        let value = try members.value(&json)
        switch (name, value) {
        case ("get", nil): return Item(name: name, key: key, operation: .get(key))
        case ("delete", nil): return Item(name: name, key: key, operation: .delete(key, .none))
        case ("put", let value?):
            guard value.count <= bounds.value else {
                throw json.error("the value has \(value.count) bytes; \(bounds.value) are allowed", at: start)
            }
            let expiry = ValueBody.expiry(members.ttl)
            return Item(name: name, key: key, operation: .put(key, value: value, expiresAt: expiry, .none))
        case ("put", nil): throw json.error("a put needs a value", at: start)
        case ("get", _), ("delete", _): throw json.error("a \(name) takes no value", at: start)
        default: throw json.error("op must be \"get\", \"put\" or \"delete\"", at: start)
        }
    }
}

/// What the values in one answer may still take. The gets of a batch, which run at the same time, share it.
private final class AnswerRoom: Sendable {
    private let state: Mutex<(left: Int, isUntouched: Bool)>

    init(_ bytes: Int) {
        state = Mutex((bytes, true))
    }

    var isLeft: Bool { state.withLock { $0.left > 0 } }

    /// Whether a value of `count` bytes has a place: the first one always has.
    func take(_ count: Int) -> Bool {
        state.withLock { state in
            let fits = count <= state.left || state.isUntouched
            if fits { state = (state.left - count, false) } else { state.left = 0 }
            return fits
        }
    }
}
