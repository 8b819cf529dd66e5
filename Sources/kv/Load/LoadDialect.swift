import KVBackendBench
import NIOCore

/// One server's protocol: the bytes of requests, and what answers mean.
protocol LoadDialect: Sendable {
    /// Appends the request for a record. Of `modify` it is the read.
    func write(
        _ operation: LoadOperation, _ number: Int, into buffer: inout ByteBuffer, random: inout BenchRandom)

    /// Appends the write of a `modify` whose read said `version`.
    func writeConditionally(
        _ number: Int, version: [UInt8], into buffer: inout ByteBuffer, random: inout BenchRandom)

    /// Takes the answer from the front of what has arrived.
    /// - Returns: `nil` when it is not all there; then nothing was taken.
    /// - Throws: when what arrived is no answer of this protocol.
    func answer(
        from buffer: inout ByteBuffer, to question: LoadQuestion
    ) throws(LoadProtocolError) -> LoadAnswer?
}

/// What was asked, as far as an answer's meaning depends on it.
struct LoadQuestion {
    var operation: LoadOperation
    /// The second half of `modify`.
    var isConditional = false
    /// Whether the answer's content matters, or its status alone.
    var isChecked = false
}

struct LoadAnswer: Equatable {
    enum Outcome: Equatable {
        case done
        /// There is no such record.
        case missing
        /// Somebody else wrote in between.
        case conflict
        /// An error, by the server's name of it.
        case failed(String)
        /// It says success and yet isn't what was asked for.
        case wrong(String)
    }

    var outcome: Outcome
    /// Of the record, where a conditional write will need it.
    var version: [UInt8] = []
}

/// What is taken from servers, whatever they send. In bytes.
enum LoadLimits {
    static let longestHead = 64 << 10
    static let longestBody = 64 << 20
    /// With its head, and the lines between chunks.
    static let longestAnswer = 2 * longestBody
    /// Of a status, a length, an error.
    static let longestLine = 4 << 10
}

struct LoadProtocolError: Error, CustomStringConvertible {
    var description: String

    init(_ description: String) { self.description = description }
}

/// Names of records: the prefix and twelve digits.
struct LoadNames: Sendable {
    static let digits = 12
    let prefix: [UInt8]

    init(prefix: String) { self.prefix = Array(prefix.utf8) }

    var length: Int { prefix.count + LoadNames.digits }

    /// - Parameter dropping: so many digits less: the beginning of the names of 10^dropping records.
    func bytes(_ number: Int, dropping: Int = 0) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: length) { buffer, count in
            for (place, byte) in prefix.enumerated() { buffer[place] = byte }
            var rest = number
            for place in stride(from: length - 1, through: prefix.count, by: -1) {
                buffer[place] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
                rest /= 10
            }
            count = length - dropping
        }
    }
}

/// Values of one length, letters and digits, made before anything is measured.
enum LoadValues {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789".utf8)

    /// 2 to 64 different ones, 4 MiB at most where two are not more than that.
    static func make(bytes: Int, seed: UInt64) -> [[UInt8]] {
        var random = BenchRandom(seed: seed)
        return (0..<max(2, min(64, (4 << 20) / bytes))).map { _ in
            (0..<bytes).map { _ in alphabet[random.below(alphabet.count)] }
        }
    }
}

extension ByteBuffer {
    /// RFC 4648, with padding.
    mutating func writeBase64(_ bytes: [UInt8]) {
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let left = bytes.count - start
            let bits =
                UInt32(bytes[start]) << 16 | (left > 1 ? UInt32(bytes[start + 1]) << 8 : 0)
                | (left > 2 ? UInt32(bytes[start + 2]) : 0)
            for place in 0..<4 {
                let digit = Int(bits >> UInt32(18 - 6 * place) & 63)
                writeInteger(place <= left ? ByteBuffer.base64[digit] : UInt8(ascii: "="))
            }
        }
    }

    private static let base64 = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
}
