internal import KVProtocols
internal import KVReplication

/// Where the encoder puts its parts. The layout is written down once, generically; one pass of it counts bytes, the
/// next writes them. Both are specialised, so that neither costs a call per part.
protocol PeerSink {
    /// Of the machine's message before, if there is one in the frame.
    var said: PeerContext? { get set }
    /// A partition and header are left out, because they are those of the message before.
    mutating func leftOut(_ count: Int)
    mutating func put<Number: FixedWidthInteger>(_ number: Number)
    mutating func put(_ bytes: [UInt8])
    mutating func put(_ header: RecordHeader)
}

/// What a machine's message begins with.
struct PeerContext: Hashable {
    /// Its bytes in a frame.
    static let length = 30

    let partition: PartitionID
    let header: Header
}

/// Counts.
struct PeerByteCounter: PeerSink {
    var said: PeerContext?
    private(set) var count = 0
    /// What the same messages would take beyond that, each by itself.
    private(set) var saved = 0

    @inline(__always)
    mutating func leftOut(_ count: Int) { saved += count }

    @inline(__always)
    mutating func put<Number: FixedWidthInteger>(_ number: Number) { count += MemoryLayout<Number>.size }

    @inline(__always)
    mutating func put(_ bytes: [UInt8]) { count += bytes.count }

    @inline(__always)
    mutating func put(_ header: RecordHeader) { count += RecordHeader.length }
}

/// Writes into memory that was measured before; going past its end is a programmer's error and stops the process
/// before anything is overwritten.
struct PeerWriter: PeerSink {
    var said: PeerContext?
    private let bytes: UnsafeMutableRawBufferPointer
    private(set) var count = 0

    init(_ bytes: UnsafeMutableRawBufferPointer) { self.bytes = bytes }

    @inline(__always)
    mutating func leftOut(_ count: Int) {}

    @inline(__always)
    mutating func put<Number: FixedWidthInteger>(_ number: Number) {
        let room = take(MemoryLayout<Number>.size)
        room.storeBytes(of: number.littleEndian, as: Number.self)
    }

    @inline(__always)
    mutating func put(_ source: [UInt8]) {
        let room = UnsafeMutableRawBufferPointer(start: take(source.count), count: source.count)
        source.withUnsafeBytes { room.copyMemory(from: $0) }
    }

    @inline(__always)
    mutating func put(_ header: RecordHeader) {
        header.write(
            to: UnsafeMutableRawBufferPointer(start: take(RecordHeader.length), count: RecordHeader.length))
    }

    @inline(__always)
    private mutating func take(_ length: Int) -> UnsafeMutableRawPointer {
        guard let base = bytes.baseAddress, bytes.count - count >= length else {
            preconditionFailure("a peer message is longer than it was measured")
        }
        defer { count += length }
        return base + count
    }
}
