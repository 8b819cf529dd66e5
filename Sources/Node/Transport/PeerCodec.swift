public import NIOCore

/// Frames between nodes: length u32 (of what follows it), kind u8, content; all numbers little-endian and of fixed
/// width. The content of a frame of messages is one message after the other.
///
/// Fixed widths rather than variable ones: a message of the hot path is then one comparison and a few loads, and the
/// bytes saved would be a hundredth of what a network carries.
///
/// There is no checksum of frames: TCP has one, and a record carries its own, which also covers the key.
public enum PeerCodec {
    /// The longest frame in bytes, its length prefix not counted: one message with a value of 64 MiB has room.
    public static let maximumFrameLength = 80 << 20
    /// The longest frame before both sides know each other.
    static let maximumGreetingLength = 4096
    /// A frame is ended once it is this long: a receiver can work on it while the next is on its way.
    static let targetFrameLength = 256 << 10
    /// Length and kind.
    static let prefixLength = 5

    /// The exact length of a message that is the only one of its frame, and the most it takes in any. O(1) but for lists, which
    /// cost O(entries).
    public static func length(of message: PeerMessage) -> Int {
        var counter = PeerByteCounter()
        counter.put(message)
        return counter.count
    }

    /// Takes messages from `position` on, until the frame has its target length or there are no more; moves `position`.
    /// `nil` when nothing was left. Every message must be shorter than `maximumFrameLength`. The length is what the messages would
    /// take each by itself.
    public static func frame(
        of messages: [PeerMessage], from position: inout Int, allocator: ByteBufferAllocator
    ) -> (buffer: ByteBuffer, ownLengths: Int)? {
        var end = position
        var counter = PeerByteCounter()
        while end < messages.count, 1 + counter.count < targetFrameLength {
            let before = counter
            counter.put(messages[end])
            guard 1 + counter.count <= maximumFrameLength else {
                precondition(end > position, "a message of \(counter.count) bytes fits no frame")
                counter = before
                break
            }
            end += 1
        }
        guard end > position else { return nil }
        let length = 1 + counter.count
        let range = position..<end
        position = end
        var buffer = allocator.buffer(capacity: 4 + length)
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: 4 + length) { bytes in
            var writer = PeerWriter(UnsafeMutableRawBufferPointer(rebasing: bytes[..<(4 + length)]))
            writer.put(UInt32(length))
            writer.put(PeerFrameKind.messages.rawValue)
            for index in range { writer.put(messages[index]) }
            return writer.count
        }
        return (buffer, counter.count + counter.saved)
    }

    /// Appends what the content of a frame of messages holds, and returns how many messages were left out because their
    /// record does not match its checksum. When it throws, nothing was appended.
    public static func decode(
        _ content: UnsafeRawBufferPointer, into messages: inout [PeerMessage]
    ) throws(PeerCodecError) -> Int {
        let before = messages.count
        var damaged = 0
        var reader = PeerReader(content)
        do throws(PeerCodecError) {
            while reader.left > 0 {
                if let message = try reader.message() { messages.append(message) } else { damaged += 1 }
            }
        } catch {
            messages.removeSubrange(before...)
            throw error
        }
        return damaged
    }
}
