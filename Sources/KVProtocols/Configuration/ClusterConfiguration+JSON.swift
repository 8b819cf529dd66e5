internal import KVProtocols

extension ClusterConfiguration {
    /// The effective configuration as JSON with every value written out, members in a fixed order, a newline at the
    /// end. Reading it again gives an equal configuration.
    public var json: String {
        JSONNode.Value.members([
            ("cluster", cluster), ("controller", controller.value), ("nodes", .list(nodes.map(\.value))),
        ]).printed() + "\n"
    }

    private var cluster: JSONNode.Value {
        .members([
            ("name", .string(name)),
            ("partitions", .whole(partitions)),
            (
                "replication",
                .members([
                    ("replicas", .whole(policy.replicas)), ("write_quorum", .whole(policy.write)),
                    ("read_quorum", .whole(policy.read)),
                ])
            ),
            ("heartbeat_ms", .milliseconds(heartbeat)),
            ("fail_after_ms", .milliseconds(failAfter)),
            ("replace_after_ms", .milliseconds(replaceAfter)),
            ("bootstrap_wait_ms", .milliseconds(bootstrapWait)),
            ("allow_insecure_network", .boolean(allowInsecureNetwork)),
            ("allow_volatile_storage", .boolean(allowVolatileStorage)),
            ("hosts", .list(hosts.map { .string($0) })),
        ])
    }
}

extension ControllerConfiguration {
    fileprivate var value: JSONNode.Value {
        .members([
            ("listen", .string(listen.description)),
            ("advertise", .string(advertise.description)),
            ("public_url", .string(publicURL)),
            ("backend", backend.value),
            ("log", log.value),
        ])
    }
}

extension NodeConfiguration {
    fileprivate var value: JSONNode.Value {
        var members: [(String, JSONNode.Value)] = [
            ("name", .string(name)),
            ("listen", .string(listen.description)),
            ("peer_listen", .string(peerListen.description)),
            ("advertise", .string(advertise.description)),
            ("peer_advertise", .string(peerAdvertise.description)),
            ("public_url", .string(publicURL)),
        ]
        if !zone.isEmpty { members.append(("zone", .string(zone))) }
        members += [
            ("weight", .integer(Int64(weight))), ("backend", backend.value), ("limits", limits.value),
            ("log", log.value),
        ]
        return .members(members)
    }
}

extension BackendConfiguration {
    fileprivate var value: JSONNode.Value {
        let shown = options.filter { library == nil || $0.key != BackendFactory.libraryOption }
        let options = shown.sorted { $0.key < $1.key }.map { name, option -> (String, JSONNode.Value) in
            switch option {
            case .string(let value): (name, .string(value))
            case .integer(let value): (name, .integer(value))
            case .number(let value): (name, .number(value))
            case .boolean(let value): (name, .boolean(value))
            }
        }
        var members: [(String, JSONNode.Value)] = [("type", .string(type)), ("path", .string(path))]
        if let library { members.append((BackendFactory.libraryOption, .string(library))) }
        members.append(("options", .members(options)))
        return .members(members)
    }
}

extension LimitsConfiguration {
    fileprivate var value: JSONNode.Value {
        .members([
            ("max_value_bytes", .whole(maxValueBytes)),
            ("max_body_bytes", .whole(maxBodyBytes)),
            ("overlay_bytes", .whole(overlayBytes)),
            ("journal_segment_bytes", .whole(journalSegmentBytes)),
            ("max_inflight", .whole(maxInflight)),
            ("scrub_bytes_per_second", .whole(scrubBytesPerSecond)),
            ("disk_reserve_bytes", .whole(diskReserveBytes)),
        ])
    }
}

extension LogConfiguration {
    fileprivate var value: JSONNode.Value {
        .members([("level", .string(level.rawValue)), ("format", .string(format.rawValue))])
    }
}

extension JSONNode.Value {
    fileprivate static func members(_ members: [(String, JSONNode.Value)]) -> JSONNode.Value {
        .object(
            members.map { JSONNode.Member(name: $0, origin: .printed, node: JSONNode(value: $1, origin: .printed)) })
    }

    fileprivate static func list(_ values: [JSONNode.Value]) -> JSONNode.Value {
        .array(values.map { JSONNode(value: $0, origin: .printed) })
    }

    fileprivate static func whole(_ value: Int) -> JSONNode.Value { .integer(Int64(value)) }

    fileprivate static func milliseconds(_ duration: Duration) -> JSONNode.Value {
        .integer(duration.components.seconds * 1000 + duration.components.attoseconds / 1_000_000_000_000_000)
    }
}

extension Origin {
    /// Of values that are about to be printed: nobody asks where they stand.
    fileprivate static let printed = Origin.text(line: 1, column: 1)
}
