internal import KVProtocols

/// One of `nodes` while it is checked: what is `nil` was reported.
struct NodeDraft {
    private(set) var name: Located<String>?
    private(set) var server: ServerDraft
    private(set) var peerListen: Located<NetworkAddress>?
    private(set) var peerAdvertise: Located<NetworkAddress>?
    private(set) var zone: Located<String>?
    private(set) var weight: Located<Int>?
    private(set) var limits: LimitsConfiguration?

    static let keys = ["name", "peer_listen", "peer_advertise", "zone", "weight", "limits"] + ServerDraft.keys

    init(_ fields: Fields, factories: [BackendFactory], _ problems: inout ProblemLog) {
        name = ClusterDraft.name(fields, &problems)
        server = ServerDraft(fields, factories: factories, &problems)
        peerListen = ServerDraft.listenAddress("peer_listen", fields, &problems)
        peerAdvertise = ServerDraft.advertisedAddress(
            "peer_advertise", for: peerListen, "peer_listen", fields, &problems)
        zone = NodeDraft.zone(fields, &problems)
        weight = fields.integer("weight", in: 1...10_000, default: 100, &problems)
        limits = NodeDraft.limits(fields, &problems)
    }

    var value: NodeConfiguration? {
        guard let name, let listen = server.listen, let peerListen, let advertise = server.advertise,
            let peerAdvertise, let publicURL = server.publicURL, let zone, let weight,
            let backend = server.backend.value, let limits, let log = server.log
        else { return nil }
        return NodeConfiguration(
            name: name.value, listen: listen.value, peerListen: peerListen.value, advertise: advertise.value,
            peerAdvertise: peerAdvertise.value, publicURL: publicURL.value, zone: zone.value, weight: weight.value,
            backend: backend, limits: limits, log: log)
    }

    private static func zone(_ fields: Fields, _ problems: inout ProblemLog) -> Located<String>? {
        guard fields.node("zone") != nil else { return fields.filled("zone", "") }
        return fields.parsed("zone", expected: "1 to 63 characters of a-z A-Z 0-9 - _ .", &problems) { text in
            let isPlain = text.utf8.allSatisfy { byte in
                UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte | 0x20 || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte
                    || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_") || byte == UInt8(ascii: ".")
            }
            return isPlain && 1...63 ~= text.utf8.count ? text : nil
        }
    }
}

// MARK: Limits

extension NodeDraft {
    static let limitKeys = [
        "max_value_bytes", "max_body_bytes", "overlay_bytes", "journal_segment_bytes", "max_inflight",
        "scrub_bytes_per_second", "disk_reserve_bytes",
    ]

    private static let mebibyte = 1 << 20

    /// Sizes that are not given follow from `max_value_bytes`, so that raising that one alone is enough.
    private static func limits(_ fields: Fields, _ problems: inout ProblemLog) -> LimitsConfiguration? {
        guard let fields = fields.object("limits", known: limitKeys, &problems) else { return nil }
        let value = fields.integer("max_value_bytes", in: 1...64 * mebibyte, default: mebibyte, &problems)
        let longest = value?.value ?? mebibyte
        let body = fields.integer(
            "max_body_bytes", in: 4096...256 * mebibyte, default: 2 * longest + mebibyte, &problems)
        let overlay = fields.integer(
            "overlay_bytes", in: mebibyte...65536 * mebibyte, default: max(64 * mebibyte, 4 * longest), &problems)
        let segment = fields.integer(
            "journal_segment_bytes", in: mebibyte...1024 * mebibyte, default: max(16 * mebibyte, 2 * longest), &problems
        )
        let inflight = fields.integer("max_inflight", in: 1...65536, default: 4096, &problems)
        let scrub = fields.integer(
            "scrub_bytes_per_second", in: 0...1024 * mebibyte, default: 4 * mebibyte, &problems)
        let reserve = fields.integer(
            "disk_reserve_bytes", in: 0...1 << 50, default: 128 * mebibyte, &problems)
        guard let value, let body, let overlay, let segment, let inflight, let scrub, let reserve else { return nil }

        let isBigEnough = [
            // Base64 makes four bytes of three; the rest of the JSON takes some more.
            atLeast(longest + longest / 3 + 1024, body, "a value of max_value_bytes \(longest) in base64", &problems),
            atLeast(2 * longest, overlay, "two values of max_value_bytes \(longest)", &problems),
            atLeast(longest + 65536, segment, "one value of max_value_bytes \(longest) and its frame", &problems),
        ]
        guard isBigEnough.allSatisfy({ $0 }) else { return nil }
        return LimitsConfiguration(
            maxValueBytes: value.value, maxBodyBytes: body.value, overlayBytes: overlay.value,
            journalSegmentBytes: segment.value, maxInflight: inflight.value,
            scrubBytesPerSecond: scrub.value,
            diskReserveBytes: reserve.value)
    }

    private static func atLeast(
        _ least: Int, _ field: Located<Int>, _ content: String, _ problems: inout ProblemLog
    ) -> Bool {
        guard field.value < least else { return true }
        problems.report(field, "\(field.value) is too small for \(content); use at least \(least)")
        return false
    }
}
