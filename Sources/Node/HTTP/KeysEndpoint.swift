internal import HTTPTypes
internal import Hummingbird
internal import KVHTTP
internal import KVNode
internal import KVProtocols

/// `GET /keys`: a page of keys in ascending order of bytes, optionally with names up to a delimiter grouped.
struct KeysEndpoint {
    static let defaultLimit = 100
    static let limits = 1...1_000
    /// Pages asked of the service for one answer; a listing with many groups, or over much that was deleted, continues
    /// at its cursor.
    static let maximumRounds = 32
    /// Values of one answer in bytes; a longer one has an answer of its own.
    static let valueBytes = 4 << 20

    let service: any NodeService

    func respond(_ exchange: Exchange) async throws -> Response {
        try exchange.allow(.get, .head)
        let query = try QueryParameters(
            exchange.query, known: ["prefix", "delimiter", "limit", "cursor", "values", "node", "consistency"])
        var listing = Listing(
            prefix: query.bytes("prefix") ?? [], delimiter: try KeysEndpoint.delimiter(query),
            limit: try query.integer("limit", in: KeysEndpoint.limits) ?? KeysEndpoint.defaultLimit,
            after: try KeysEndpoint.cursor(query))
        let values = try query.boolean("values") ?? false
        let isLocal = try query.isLocal(service)
        var rounds = 0
        repeat {
            let request = ListRequest(
                prefix: listing.prefix, after: listing.after, limit: listing.missing, values: values,
                localOnly: isLocal)
            listing.add(await service.list(request))
            rounds += 1
        } while listing.wantsMore && rounds < KeysEndpoint.maximumRounds
        guard !listing.isEmpty || listing.incomplete.isEmpty else {
            throw Problem(
                .serviceUnavailable, "no_partition",
                "no key was found, but \(listing.incomplete.count) partitions could not be asked",
                headers: [.retryAfter: "1"])
        }
        return Response(status: .ok, headers: [.contentType: HTTPField.json.value], body: listing.body(values))
    }

    private static func delimiter(_ query: QueryParameters) throws(Problem) -> [UInt8]? {
        guard let delimiter = query.bytes("delimiter") else { return nil }
        guard (1...16).contains(delimiter.count), isUTF8(delimiter) else {
            throw .badRequest("bad_parameter", "the delimiter has 1 to 16 bytes of UTF-8")
        }
        return delimiter
    }

    private static func cursor(_ query: QueryParameters) throws(Problem) -> Key? {
        guard let text = query.bytes("cursor"), !text.isEmpty else { return nil }
        do {
            guard let bytes = Base64.decodeURLSafe(text) else { throw KeyError.notUTF8 }
            return try Key(validating: bytes)
        } catch {
            throw .badRequest("bad_cursor", "this cursor was not given by a listing")
        }
    }
}

/// A listing as it grows, page by page.
private struct Listing {
    let prefix: [UInt8]
    let delimiter: [UInt8]?
    let limit: Int
    private(set) var after: Key?
    private(set) var entries: [ListReply.Entry] = []
    private(set) var prefixes: [[UInt8]] = []
    private(set) var incomplete: Set<PartitionID> = []
    private var hasMore = true
    /// Whether the last page was used up by a group or by deleted keys, so that another one may bring more.
    private var skipped = false
    private var valueBytes = 0

    init(prefix: [UInt8], delimiter: [UInt8]?, limit: Int, after: Key?) {
        self.prefix = prefix
        self.delimiter = delimiter
        self.limit = limit
        self.after = after
    }

    var missing: Int { limit - entries.count - prefixes.count }
    var wantsMore: Bool { hasMore && missing > 0 && skipped }
    var isEmpty: Bool { entries.isEmpty && prefixes.isEmpty }

    mutating func add(_ page: ListReply) {
        incomplete.formUnion(page.incomplete)
        hasMore = page.reach != nil
        skipped = page.entries.isEmpty
        for entry in page.entries {
            guard let group = group(of: entry.key) else {
                valueBytes += entry.record.value?.count ?? 0
                guard valueBytes <= KeysEndpoint.valueBytes || entries.isEmpty else {
                    hasMore = true
                    skipped = false
                    return
                }
                entries.append(entry)
                after = entry.key
                continue
            }
            if prefixes.last != group { prefixes.append(group) }
            after = Listing.last(in: group)
            skipped = true
        }
        // What was looked at behind the last entry is not looked at again.
        if let reach = page.reach { after = max(after ?? reach, reach) }
    }

    /// What the key has in common with others up to the first delimiter behind the prefix.
    private func group(of key: Key) -> [UInt8]? {
        guard let delimiter, key.bytes.count >= prefix.count + delimiter.count else { return nil }
        for start in prefix.count...(key.bytes.count - delimiter.count)
        where key.bytes[start..<start + delimiter.count].elementsEqual(delimiter) {
            return Array(key.bytes[..<(start + delimiter.count)])
        }
        return nil
    }

    /// The greatest key that starts with `group`: filled up with the greatest characters of UTF-8.
    private static func last(in group: [UInt8]) -> Key {
        var bytes = group
        while bytes.count < Key.maximumLength {
            switch Key.maximumLength - bytes.count {
            case 1: bytes.append(0x7F)
            case 2: bytes.append(contentsOf: [0xDF, 0xBF])
            case 3: bytes.append(contentsOf: [0xEF, 0xBF, 0xBF])
            default: bytes.append(contentsOf: [0xF4, 0x8F, 0xBF, 0xBF])
            }
        }
        return Key(unchecked: bytes)
    }

    func body(_ values: Bool) -> ResponseBody {
        var json = JSONWriter(capacity: 64 + entries.count * 64)
        json.beginObject()
        json.name("keys")
        json.beginArray()
        for entry in entries {
            json.beginObject()
            json.name("key")
            json.string(utf8: entry.key.bytes)
            json.record(entry.record, withValue: values)
            json.endObject()
        }
        json.endArray()
        json.name("prefixes")
        json.beginArray()
        for prefix in prefixes { json.string(utf8: prefix) }
        json.endArray()
        json.name("next_cursor")
        if hasMore, let after {
            json.string(utf8: Base64.encodeURLSafe(after.bytes))
        } else {
            json.null()
        }
        json.name("incomplete")
        json.beginArray()
        for partition in incomplete.sorted() { json.integer(partition.rawValue) }
        json.endArray()
        json.endObject()
        return ResponseBody(byteBuffer: json.finish())
    }
}
