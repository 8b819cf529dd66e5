/// The value of a hexadecimal digit; `nil` for anything else.
package func hexadecimalValue(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
}

/// Decodes percent escapes exactly once; `nil` when a `%` is not followed by two hexadecimal digits. Nothing else is
/// interpreted: dots, slashes and empty segments stay as they are. `plusIsSpace` is for query strings, as browsers
/// write them.
package func percentDecoded(_ text: Substring.UTF8View, plusIsSpace: Bool = false) -> [UInt8]? {
    let plain = text.withContiguousStorageIfAvailable { bytes -> [UInt8]? in
        bytes.contains { $0 == UInt8(ascii: "%") || $0 == UInt8(ascii: "+") } ? nil : Array(bytes)
    }
    if let plain = plain ?? nil { return plain }
    var result = [UInt8]()
    result.reserveCapacity(text.count)
    var iterator = text.makeIterator()
    while let byte = iterator.next() {
        switch byte {
        case UInt8(ascii: "%"):
            guard let high = iterator.next().flatMap(hexadecimalValue),
                let low = iterator.next().flatMap(hexadecimalValue)
            else { return nil }
            result.append(high << 4 | low)
        case UInt8(ascii: "+") where plusIsSpace:
            result.append(0x20)
        default:
            result.append(byte)
        }
    }
    return result
}

extension String {
    /// This text with everything but unreserved characters and `/` escaped, to be put into a request's path or query.
    package var percentEncoded: String {
        var result: [UInt8] = []
        for byte in utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"), UInt8(ascii: "/"):
                result.append(byte)
            default:
                result.append(UInt8(ascii: "%"))
                result.append(contentsOf: (byte < 16 ? "0" : "").utf8)
                result.append(contentsOf: String(byte, radix: 16, uppercase: true).utf8)
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}
