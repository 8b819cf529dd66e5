/// Base64 of RFC 4648: with padding in values, URL-safe without padding in cursors. Decoding accepts nothing else: no
/// spaces, no missing padding, no set bits behind the end.
package enum Base64 {
    private static let standard = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    private static let urlSafe = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
    private static let standardValues = values(of: standard)
    private static let urlSafeValues = values(of: urlSafe)
    private static let padding = UInt8(ascii: "=")

    package static func encode(_ bytes: [UInt8]) -> [UInt8] {
        encode(bytes, standard, padded: true)
    }

    package static func encodeURLSafe(_ bytes: [UInt8]) -> [UInt8] {
        encode(bytes, urlSafe, padded: false)
    }

    /// `nil` when the text is not base64.
    package static func decode(_ text: [UInt8]) -> [UInt8]? {
        guard text.count % 4 == 0 else { return nil }
        var end = text.count
        while end > 0, text.count - end < 2, text[end - 1] == padding { end -= 1 }
        return decode(text[..<end], standardValues)
    }

    /// `nil` when the text is not URL-safe base64 without padding.
    package static func decodeURLSafe(_ text: [UInt8]) -> [UInt8]? {
        decode(text[...], urlSafeValues)
    }

    private static func encode(_ bytes: [UInt8], _ alphabet: [UInt8], padded: Bool) -> [UInt8] {
        var result = [UInt8]()
        result.reserveCapacity((bytes.count + 2) / 3 * 4)
        var index = 0
        while index < bytes.count {
            let count = min(3, bytes.count - index)
            var group = UInt32(bytes[index]) << 16
            if count > 1 { group |= UInt32(bytes[index + 1]) << 8 }
            if count > 2 { group |= UInt32(bytes[index + 2]) }
            for place in 0...count { result.append(alphabet[Int(group >> (18 - 6 * UInt32(place)) & 0x3F)]) }
            if padded, count < 3 { result.append(contentsOf: repeatElement(padding, count: 3 - count)) }
            index += 3
        }
        return result
    }

    private static func decode(_ text: ArraySlice<UInt8>, _ values: [UInt8]) -> [UInt8]? {
        guard text.count % 4 != 1 else { return nil }
        var result = [UInt8]()
        result.reserveCapacity(text.count / 4 * 3 + 2)
        var group: UInt32 = 0
        var bits: UInt32 = 0
        for byte in text {
            let value = values[Int(byte)]
            guard value < 64 else { return nil }
            group = (group << 6 | UInt32(value)) & 0xFFFF
            bits += 6
            if bits >= 8 {
                bits -= 8
                result.append(UInt8(truncatingIfNeeded: group >> bits))
            }
        }
        guard group & (1 << bits - 1) == 0 else { return nil }
        return result
    }

    private static func values(of alphabet: [UInt8]) -> [UInt8] {
        var values = [UInt8](repeating: 0xFF, count: 256)
        for (value, byte) in alphabet.enumerated() { values[Int(byte)] = UInt8(value) }
        return values
    }
}
