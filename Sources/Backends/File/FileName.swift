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
    static func name(of key: Key) -> String {
        let escaped = escape(key.bytes)
        if escaped.count <= longest { return String(decoding: escaped, as: UTF8.self) }
        return hashPrefix + SHA256.hexadecimal(key.bytes)
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
        guard !bytes.isEmpty, bytes.count <= Key.maximumLength, escape(bytes).elementsEqual(name.utf8),
            String(validating: bytes, as: UTF8.self) != nil
        else { return nil }
        return Key(unchecked: bytes)
    }

    private static func escape(_ key: [UInt8]) -> [UInt8] {
        let isReserved = key == Array("lost+found".utf8)
        var name: [UInt8] = []
        name.reserveCapacity(key.count)
        for (position, byte) in key.enumerated() {
            let isSpecial =
                byte == UInt8(ascii: "%") || byte == UInt8(ascii: "/") || byte < 0x20 || byte == 0x7F
                || position == 0 && (byte == UInt8(ascii: ".") || isReserved)
            if isSpecial {
                name += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            } else {
                name.append(byte)
            }
        }
        return name
    }
}
