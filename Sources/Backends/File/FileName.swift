import KVProtocols

/// The name of a key's file: the key itself wherever that is possible, so that `ls` lists keys.
///
/// Escaped as `%` and two upper-case hexadecimal digits are: `%`, `/`, control characters, a `.` at the start (hidden
/// names are not keys), and the first letter of `lost+found` (which file systems put into their root). A name that
/// would pass 255 bytes is `%~` and the SHA-256 of the key; `~` is no digit, so it can't be an escaped key.
enum FileName {
    static let longest = 255
    private static let hashPrefix = "%~"
    private static let digits = Array("0123456789ABCDEF".utf8)

    /// The name of the file for `key`, without the key if that is too long.
    static func name(of key: Key) -> String { withName(of: key) { String(cString: $0) } }

    /// Runs `body` with the name as a C string, which most keys need no allocation for.
    @inline(__always)
    static func withName<Result, Failure: Error>(
        of key: Key, _ body: (UnsafePointer<CChar>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try withUnsafeTemporaryAllocation(of: UInt8.self, capacity: longest + 1) { buffer throws(Failure) in
            if let start = buffer.baseAddress, let count = escape(key.bytes, into: buffer) {
                buffer[count] = 0
                return try body(UnsafeRawPointer(start).assumingMemoryBound(to: CChar.self))
            }
            return try body(hashPrefix + SHA256.hexadecimal(key.bytes))
        }
    }

    /// Whether the file's key can't be told from its name.
    static func isHashed(_ name: String) -> Bool { name.utf8.starts(with: hashPrefix.utf8) }

    /// The key whose file has this name; `nil` when no key's has.
    static func key(of name: String) -> Key? {
        var bytes: [UInt8] = []
        var rest = Array(name.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(digits.firstIndex(of:)),
                let low = rest.popFirst().flatMap(digits.firstIndex(of:))
            else { return nil }
            bytes.append(UInt8(high << 4 | low))
        }
        // Only the canonical name counts: otherwise two files could claim one key.
        guard !bytes.isEmpty, bytes.count <= Key.maximumLength, isName(name, of: bytes),
            String(validating: bytes, as: UTF8.self) != nil
        else { return nil }
        return Key(unchecked: bytes)
    }

    /// Whether a file's key can't be told from the name that `withName` made.
    static func isHashed(_ name: UnsafePointer<CChar>) -> Bool {
        // An escaped key never has a `~` behind a `%`.
        name[0] == CChar(bitPattern: UInt8(ascii: "%")) && name[1] == CChar(bitPattern: UInt8(ascii: "~"))
    }

    private static func isName(_ name: String, of key: [UInt8]) -> Bool {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: longest + 1) { buffer in
            guard let count = escape(key, into: buffer) else { return false }
            return buffer[..<count].elementsEqual(name.utf8)
        }
    }

    private static let reserved = Array("lost+found".utf8)

    /// Writes the name that shows the key.
    /// - Returns: its length; `nil` when it would be too long.
    private static func escape(_ key: [UInt8], into name: UnsafeMutableBufferPointer<UInt8>) -> Int? {
        let isReserved = key.count == reserved.count && key == reserved
        var count = 0
        for (position, byte) in key.enumerated() {
            let isSpecial =
                byte == UInt8(ascii: "%") || byte == UInt8(ascii: "/") || byte < 0x20 || byte == 0x7F
                || position == 0 && (byte == UInt8(ascii: ".") || isReserved)
            guard count + (isSpecial ? 3 : 1) <= longest else { return nil }
            if isSpecial {
                name[count] = UInt8(ascii: "%")
                name[count + 1] = digit(byte >> 4)
                name[count + 2] = digit(byte & 15)
                count += 3
            } else {
                name[count] = byte
                count += 1
            }
        }
        return count
    }

    private static func digit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "A") + value - 10
    }
}
