import CPlugin
import KVProtocols

/// What an engine hands over for one key, while the call runs.
struct PluginReply {
    /// What the bytes shall be.
    enum Wish {
        case record(Key)
        case header
        case metadata(MetadataScope, String)
    }

    private(set) var record: Record?
    private(set) var header: RecordHeader?
    private(set) var metadata: [UInt8]?
    /// How often the engine handed something over.
    private(set) var calls = 0
    /// Whether what it handed over fails verification.
    private(set) var isDamaged = false

    private let wish: Wish
    private let longest: Int

    init(_ wish: Wish, longest: Int) {
        self.wish = wish
        self.longest = longest
    }

    /// The function that the engine calls; the context points to a `PluginReply`.
    static let sink: kv_sink = { context, span in
        context?.assumingMemoryBound(to: PluginReply.self).pointee.take(span)
    }

    private mutating func take(_ span: kv_span) {
        calls += 1
        guard calls == 1 else { return }
        isDamaged = span.bytes(atMost: longest).map { !decode($0) } ?? true
    }

    private mutating func decode(_ bytes: UnsafeRawBufferPointer) -> Bool {
        switch wish {
        case .record(let key):
            record = PluginRecord.Stored(bytes, isWhole: true)?.record(of: key)
            return record != nil
        case .header:
            header = PluginRecord.Stored(bytes, isWhole: false)?.header
            return header != nil
        case .metadata(let scope, let name):
            metadata = PluginRecord.metadata(bytes, scope, name)
            return metadata != nil
        }
    }
}

/// The entries of one page, while a scan runs.
struct PluginPage {
    private(set) var entries: [ScanPage.Entry] = []
    /// Whether a key of the request follows the last entry.
    private(set) var hasMore = false
    /// What the engine did that the interface does not allow.
    private(set) var breach: String?

    private let request: ScanRequest
    private let longest: Int
    private var bytes = 0
    private var last: Key?

    /// A page ends after so many bytes of values, so that no call takes long.
    private static let pageBytes = 16 << 20

    init(_ request: ScanRequest, longest: Int) {
        self.request = request
        self.longest = longest
        last = request.after
        entries.reserveCapacity(min(max(request.limit, 1), 1024))
    }

    /// The function that the engine calls; the context points to a `PluginPage`.
    static let visit: kv_visit = { context, key, value in
        guard let page = context?.assumingMemoryBound(to: PluginPage.self) else { return 1 }
        return page.pointee.visit(key, value) ? 0 : 1
    }

    /// - Returns: whether the scan shall go on.
    private mutating func visit(_ key: kv_span, _ value: kv_span) -> Bool {
        guard breach == nil else { return false }
        guard !hasMore else {
            breach = "a scan goes on after it was told to stop"
            return false
        }
        guard let bytes = key.bytes(atMost: Key.maximumLength), !bytes.isEmpty else {
            breach = "a scan finds a key of \(key.count) bytes"
            return false
        }
        let key = Key(unchecked: Array(bytes))
        guard key.hasPrefix(request.prefix) else {
            breach = "a scan finds a key without the prefix that it was asked for"
            return false
        }
        if let last, key <= last {
            breach = "a scan finds keys that are not in ascending order"
            return false
        }
        guard entries.count < max(request.limit, 1), self.bytes < PluginPage.pageBytes else {
            hasMore = true
            return false
        }
        last = key
        entries.append(ScanPage.Entry(key: key, record: record(key, value)))
        return true
    }

    /// `nil` when it fails verification.
    private mutating func record(_ key: Key, _ value: kv_span) -> Record? {
        guard let value = value.bytes(atMost: longest) else { return nil }
        guard let stored = PluginRecord.Stored(value, isWhole: request.values) else { return nil }
        guard request.values else { return stored.header.record(value: []) }
        bytes += value.count
        return stored.record(of: key)
    }
}
