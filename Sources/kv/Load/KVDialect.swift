import KVBackendBench
import NIOCore

/// This store over HTTP, its records as JSON.
struct KVDialect: LoadDialect {
    private let names: LoadNames
    private let host: [UInt8]
    private let values: [[UInt8]]
    private let valueBytes: Int

    init(_ plan: LoadPlan, endpoint: LoadEndpoint) {
        names = LoadNames(prefix: plan.prefix)
        host = Array(" HTTP/1.1\r\nHost: \(endpoint)\r\n".utf8)
        values = LoadValues.make(bytes: plan.valueBytes, seed: plan.seed).map {
            Array(#"{"value":""#.utf8) + $0 + Array(#""}"#.utf8)
        }
        valueBytes = plan.valueBytes
    }

    func write(
        _ operation: LoadOperation, _ number: Int, into buffer: inout ByteBuffer, random: inout BenchRandom
    ) {
        switch operation {
        case .read, .modify:
            buffer.writeStaticString("GET /kv/")
            buffer.writeBytes(names.bytes(number))
            buffer.writeBytes(host)
            buffer.writeStaticString("\r\n")
        case .update, .insert:
            put(number, condition: nil, into: &buffer, random: &random)
        case .scan:
            buffer.writeStaticString("GET /keys?values=true&limit=")
            buffer.writeString(String(1 + random.below(100)))
            buffer.writeStaticString("&prefix=")
            buffer.writeBytes(names.bytes(number, dropping: 2))
            buffer.writeBytes(host)
            buffer.writeStaticString("\r\n")
        }
    }

    func writeConditionally(
        _ number: Int, version: [UInt8], into buffer: inout ByteBuffer, random: inout BenchRandom
    ) {
        put(number, condition: version, into: &buffer, random: &random)
    }

    private func put(
        _ number: Int, condition: [UInt8]?, into buffer: inout ByteBuffer, random: inout BenchRandom
    ) {
        let value = values[random.below(values.count)]
        buffer.writeStaticString("PUT /kv/")
        buffer.writeBytes(names.bytes(number))
        buffer.writeBytes(host)
        if let condition {
            buffer.writeStaticString("If-Match: ")
            buffer.writeBytes(condition)
            buffer.writeStaticString("\r\n")
        }
        buffer.writeStaticString("Content-Type: application/json\r\nContent-Length: ")
        buffer.writeString(String(value.count))
        buffer.writeStaticString("\r\n\r\n")
        buffer.writeBytes(value)
    }

    func answer(
        from buffer: inout ByteBuffer, to question: LoadQuestion
    ) throws(LoadProtocolError) -> LoadAnswer? {
        let wantsVersion = question.operation == .modify && !question.isConditional
        guard let answer = try HTTPAnswer.take(from: &buffer, field: wantsVersion ? "etag" : nil) else { return nil }
        switch answer.status {
        case 200, 201:
            if question.isChecked, let fault = fault(answer, question) { return LoadAnswer(outcome: .wrong(fault)) }
            if wantsVersion, answer.field.isEmpty { return LoadAnswer(outcome: .wrong("a record without an ETag")) }
            return LoadAnswer(outcome: .done, version: answer.field)
        // Of a write it says that this is no such store; so it would of a listing.
        case 404 where question.operation == .read || question.operation == .modify:
            return LoadAnswer(outcome: .missing)
        case 412: return LoadAnswer(outcome: .conflict)
        default: return LoadAnswer(outcome: .failed("status \(answer.status)"))
        }
    }

    private func fault(_ answer: HTTPAnswer, _ question: LoadQuestion) -> String? {
        switch question.operation {
        case .scan:
            guard answer.contains(#""keys":[{"#) else { return "a listing without keys" }
            return answer.contains(#""incomplete":[]"#) ? nil : "a listing without some partitions"
        case .update, .insert: return answer.contains(#""acks":"#) ? nil : "a write without acknowledgements"
        case .modify where question.isConditional:
            return answer.contains(#""acks":"#) ? nil : "a write without acknowledgements"
        case .read, .modify:
            guard let value = answer.text(after: #""value":""#) else { return "a record without a value" }
            return value.count == valueBytes ? nil : "a value of \(value.count) bytes"
        }
    }
}
