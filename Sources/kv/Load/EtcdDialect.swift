import KVBackendBench
import NIOCore

/// etcd's JSON gateway: keys and values in base64.
struct EtcdDialect: LoadDialect {
    private let names: LoadNames
    private let host: [UInt8]
    private let values: [ByteBuffer]
    private let valueBytes: Int

    init(_ plan: LoadPlan, endpoint: LoadEndpoint) {
        names = LoadNames(prefix: plan.prefix)
        host = Array(
            " HTTP/1.1\r\nHost: \(endpoint)\r\nContent-Type: application/json\r\nContent-Length: ".utf8)
        values = LoadValues.make(bytes: plan.valueBytes, seed: plan.seed).map { value in
            var buffer = ByteBuffer()
            buffer.writeBase64(value)
            return buffer
        }
        valueBytes = plan.valueBytes
    }

    func write(
        _ operation: LoadOperation, _ number: Int, into buffer: inout ByteBuffer, random: inout BenchRandom
    ) {
        var body = ByteBuffer()
        body.writeStaticString(#"{"key":""#)
        switch operation {
        case .read, .modify:
            body.writeBase64(names.bytes(number))
            body.writeStaticString(#""}"#)
            post("/v3/kv/range", body, into: &buffer)
        case .update, .insert:
            body.writeBase64(names.bytes(number))
            body.writeStaticString(#"","value":""#)
            body.writeImmutableBuffer(values[random.below(values.count)])
            body.writeStaticString(#""}"#)
            post("/v3/kv/put", body, into: &buffer)
        case .scan:
            let start = names.bytes(number, dropping: 2)
            body.writeBase64(start)
            body.writeStaticString(#"","range_end":""#)
            // Names end in digits, so that the next byte is none of them.
            body.writeBase64(start + [UInt8(ascii: ":")])
            body.writeStaticString(#"","limit":""#)
            body.writeString(String(1 + random.below(100)))
            body.writeStaticString(#""}"#)
            post("/v3/kv/range", body, into: &buffer)
        }
    }

    func writeConditionally(
        _ number: Int, version: [UInt8], into buffer: inout ByteBuffer, random: inout BenchRandom
    ) {
        let name = names.bytes(number)
        var body = ByteBuffer()
        body.writeStaticString(#"{"compare":[{"target":"MOD","result":"EQUAL","key":""#)
        body.writeBase64(name)
        body.writeStaticString(#"","mod_revision":""#)
        body.writeBytes(version)
        body.writeStaticString(#""}],"success":[{"requestPut":{"key":""#)
        body.writeBase64(name)
        body.writeStaticString(#"","value":""#)
        body.writeImmutableBuffer(values[random.below(values.count)])
        body.writeStaticString(#""}}]}"#)
        post("/v3/kv/txn", body, into: &buffer)
    }

    private func post(_ path: StaticString, _ body: ByteBuffer, into buffer: inout ByteBuffer) {
        buffer.writeStaticString("POST ")
        buffer.writeStaticString(path)
        buffer.writeBytes(host)
        buffer.writeString(String(body.readableBytes))
        buffer.writeStaticString("\r\n\r\n")
        buffer.writeImmutableBuffer(body)
    }

    func answer(
        from buffer: inout ByteBuffer, to question: LoadQuestion
    ) throws(LoadProtocolError) -> LoadAnswer? {
        guard let answer = try HTTPAnswer.take(from: &buffer) else { return nil }
        guard answer.status == 200 else { return LoadAnswer(outcome: .failed("status \(answer.status)")) }
        if question.isChecked, let fault = fault(answer, question) { return LoadAnswer(outcome: .wrong(fault)) }
        let finds = question.operation == .modify || (question.operation == .read && question.isChecked)
        if question.isConditional {
            return LoadAnswer(outcome: answer.contains(#""succeeded":true"#) ? .done : .conflict)
        }
        if finds, !answer.contains(#""kvs":["#) { return LoadAnswer(outcome: .missing) }
        guard question.operation == .modify else { return LoadAnswer(outcome: .done) }
        guard let version = answer.text(after: #""mod_revision":""#) else {
            return LoadAnswer(outcome: .wrong("a record without a revision"))
        }
        return LoadAnswer(outcome: .done, version: version)
    }

    private func fault(_ answer: HTTPAnswer, _ question: LoadQuestion) -> String? {
        switch question.operation {
        case .scan: return answer.contains(#""kvs":[{"#) ? nil : "a listing without keys"
        case .update, .insert: return answer.contains(#""revision":""#) ? nil : "a write without a revision"
        case .modify where question.isConditional:
            return answer.contains(#""header":{"#) ? nil : "a transaction without a header"
        case .read, .modify:
            guard answer.contains(#""kvs":["#) else { return nil }
            // It leaves an empty value out.
            let digits = answer.text(after: #""value":""#) ?? []
            let length = digits.count / 4 * 3 - digits.reversed().prefix { $0 == UInt8(ascii: "=") }.count
            return length == valueBytes ? nil : "a value of \(length) bytes"
        }
    }
}
