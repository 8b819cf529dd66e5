import CPlugin
import KVProtocols

/// Texts that come from a library: never longer than the room they have, with or without a NUL, and in no known encoding.
enum PluginText {
    /// The text at `pointer` if it ends with a NUL after at most `longest` bytes.
    static func bounded(_ pointer: UnsafePointer<CChar>?, _ longest: Int) -> String? {
        guard let pointer else { return nil }
        var count = 0
        while count <= longest, pointer[count] != 0 { count += 1 }
        guard count <= longest else { return nil }
        return printable(UnsafeRawBufferPointer(start: pointer, count: count))
    }

    /// The text in a field of fixed size, up to a NUL or its end.
    static func field<Field>(_ field: Field) -> String {
        withUnsafeBytes(of: field) { printable($0) }
    }

    /// Whether it is 1 or more bytes of `a-z0-9_`.
    static func isWord(_ text: String) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy { byte in
                UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte
                    || byte == UInt8(ascii: "_")
            }
    }

    /// Control characters become spaces: the text goes into logs of one line an entry.
    private static func printable(_ bytes: UnsafeRawBufferPointer) -> String {
        String(decoding: bytes.prefix { $0 != 0 }.map { $0 < 0x20 || $0 == 0x7F ? 0x20 : $0 }, as: UTF8.self)
    }
}

extension StorageError {
    /// What an engine answered, in our words. A code that the interface does not have is an error like any other.
    init(pluginCode code: Int32, _ error: kv_error, doing: String, type: String, path: String) {
        let known: Code? =
            switch Int(code) {
            case Int(KV_FULL): .full
            case Int(KV_READ_ONLY): .readOnly
            case Int(KV_POISONED): .poisoned
            case Int(KV_DAMAGED): .damaged
            case Int(KV_IN_USE): .inUse
            case Int(KV_FOREIGN): .foreign
            case Int(KV_INVALID): .invalid
            case Int(KV_UNSUPPORTED): .unsupported
            case Int(KV_IO): .io
            default: nil
            }
        let text = PluginText.field(error.message)
        let cause = PluginText.field(error.cause)
        self.init(
            known ?? .io, "the plugin \(type): \(doing): \(text.isEmpty ? "it gives no reason" : text)",
            cause: known == nil ? "unknown code \(code)\(cause.isEmpty ? "" : ", \(cause)")" : cause, path: path)
    }
}
