import KVBackendBench
import NIOCore

/// Redis's protocol (RESP 2), to a server that holds the keys asked for.
struct RedisDialect: LoadDialect {
    private let names: LoadNames
    private let values: [[UInt8]]
    private let valueBytes: Int

    init(_ plan: LoadPlan) {
        names = LoadNames(prefix: plan.prefix)
        values = LoadValues.make(bytes: plan.valueBytes, seed: plan.seed)
        valueBytes = plan.valueBytes
    }

    func write(
        _ operation: LoadOperation, _ number: Int, into buffer: inout ByteBuffer, random: inout BenchRandom
    ) {
        if operation == .read {
            buffer.writeStaticString("*2\r\n$3\r\nGET\r\n")
            bulk(names.bytes(number), into: &buffer)
        } else {
            buffer.writeStaticString("*3\r\n$3\r\nSET\r\n")
            bulk(names.bytes(number), into: &buffer)
            bulk(values[random.below(values.count)], into: &buffer)
        }
    }

    /// `LoadTarget.operations` leaves `modify` out.
    func writeConditionally(
        _ number: Int, version: [UInt8], into buffer: inout ByteBuffer, random: inout BenchRandom
    ) {
        write(.update, number, into: &buffer, random: &random)
    }

    private func bulk(_ bytes: [UInt8], into buffer: inout ByteBuffer) {
        buffer.writeStaticString("$")
        buffer.writeString(String(bytes.count))
        buffer.writeStaticString("\r\n")
        buffer.writeBytes(bytes)
        buffer.writeStaticString("\r\n")
    }

    func answer(
        from buffer: inout ByteBuffer, to question: LoadQuestion
    ) throws(LoadProtocolError) -> LoadAnswer? {
        guard let (reply, length) = try RedisReply.read(buffer.readableBytesView) else { return nil }
        buffer.moveReaderIndex(forwardBy: length)
        switch reply {
        case .error(let text):
            return LoadAnswer(outcome: .failed(String(text.prefix { $0 != " " })))
        case .none: return LoadAnswer(outcome: question.operation == .read ? .missing : .wrong("no value"))
        case .bulk(let count):
            let isRight = question.operation == .read && (!question.isChecked || count == valueBytes)
            return LoadAnswer(outcome: isRight ? .done : .wrong("a value of \(count) bytes"))
        case .simple(let text):
            let isRight = question.operation != .read && text == "OK"
            return LoadAnswer(outcome: isRight ? .done : .wrong("\"\(text)\""))
        }
    }
}

/// One reply, as far as it is needed here: no arrays.
enum RedisReply: Equatable {
    case simple(String)
    case error(String)
    /// So many bytes.
    case bulk(Int)
    case none

    /// - Returns: the reply and how long it is in bytes; `nil` when it is not all there.
    static func read(_ bytes: ByteBufferView) throws(LoadProtocolError) -> (RedisReply, Int)? {
        guard let first = bytes.first else { return nil }
        guard let end = bytes.firstIndex(of: UInt8(ascii: "\r")), bytes.index(after: end) < bytes.endIndex else {
            guard bytes.count < LoadLimits.longestLine else {
                throw LoadProtocolError("a line of a Redis reply has no end")
            }
            return nil
        }
        let text = String(decoding: bytes[(bytes.startIndex + 1)..<end], as: UTF8.self)
        let line = end + 2 - bytes.startIndex
        switch first {
        case UInt8(ascii: "+"), UInt8(ascii: ":"): return (.simple(text), line)
        case UInt8(ascii: "-"): return (.error(text), line)
        case UInt8(ascii: "$"):
            guard let count = Int(text), -1...LoadLimits.longestBody ~= count else {
                throw LoadProtocolError("a Redis reply has the length \"\(text.prefix(20))\"")
            }
            if count < 0 { return (.none, line) }
            return bytes.count >= line + count + 2 ? (.bulk(count), line + count + 2) : nil
        default: throw LoadProtocolError("a Redis reply begins with the byte \(first)")
        }
    }
}
