import KVProtocols

/// What an engine must hold after operations that were applied one after the other: the contract in its simplest form.
struct ReferenceState: Equatable {
    var records: [Key: Record] = [:]
    /// A scope without names is not listed.
    var metadata: [MetadataScope: [String: [UInt8]]] = [:]

    mutating func apply(_ operation: StorageOperation) {
        switch operation {
        case .put(_, let key, let record): records[key] = record
        case .purge(_, let key): records[key] = nil
        case .metadata(let scope, let name, let value):
            var named = metadata[scope] ?? [:]
            named[name] = value
            metadata[scope] = named.isEmpty ? nil : named
        case .wipe(let partition):
            records = records.filter { $0.key.partition != partition }
            metadata[.partition(partition)] = nil
        }
    }

    mutating func apply(_ batch: [StorageOperation]) {
        for operation in batch { apply(operation) }
    }

    /// The first difference, for a person; `nil` when there is none.
    func difference(from wanted: ReferenceState) -> String? {
        for key in Set(records.keys).union(wanted.records.keys).sorted() where records[key] != wanted.records[key] {
            let found = ReferenceState.text(records[key])
            return
                "key \(OperationText.quoted(key)) has \(found) instead of \(ReferenceState.text(wanted.records[key]))"
        }
        for scope in [MetadataScope.node]
            + (0..<ConformanceSuite.partitions).map({ .partition(PartitionID(UInt16($0))) })
        {
            let (mine, other) = (metadata[scope] ?? [:], wanted.metadata[scope] ?? [:])
            for name in Set(mine.keys).union(other.keys).sorted() where mine[name] != other[name] {
                let found = mine[name].map { "\($0.count) bytes" } ?? "nothing"
                let expected = other[name].map { "\($0.count) bytes" } ?? "nothing"
                return "metadata \(name) of \(OperationText.scope(scope)) has \(found) instead of \(expected)"
            }
        }
        return nil
    }

    /// Whether each key and name has what it has in one of the states.
    func isMixture(of states: [ReferenceState]) -> Bool {
        let keys = states.reduce(into: Set(records.keys)) { $0.formUnion($1.records.keys) }
        let scopes = states.reduce(into: Set(metadata.keys)) { $0.formUnion($1.metadata.keys) }
        return keys.allSatisfy { key in states.contains { $0.records[key] == records[key] } }
            && scopes.allSatisfy { scope in
                Workload.names.allSatisfy { name in
                    states.contains { $0.metadata[scope]?[name] == metadata[scope]?[name] }
                }
            }
    }

    static func text(_ record: Record?) -> String {
        guard let record else { return "no record" }
        guard let value = record.value else { return "tombstone \(record.version)" }
        return "version \(record.version) with \(value.count) bytes"
    }

    // MARK: Reading an engine

    /// Reads everything that the engine says to hold, each record in every way there is, and compares the ways.
    /// - Parameters:
    ///   - keys: asked for one by one, also when scans don't list them.
    ///   - names: names of metadata that may exist in any scope.
    /// - Throws: `ConformanceFailure` when two ways differ; what the engine throws.
    init(reading backend: any StorageBackend, keys: [Key], names: [String]) throws {
        for number in 0..<ConformanceSuite.partitions {
            let partition = PartitionID(UInt16(number))
            for values in [true, false] {
                var request = ScanRequest(partition: partition, limit: 9, values: values)
                while true {
                    let page = try backend.scan(request)
                    for entry in page.entries { try note(entry, values: values, partition) }
                    guard !page.isLast else { break }
                    guard let last = page.entries.last, request.after.map({ $0 < last.key }) ?? true else {
                        throw ConformanceFailure("a scan doesn't come forward")
                    }
                    request.after = last.key
                }
            }
            try readMetadata(backend, .partition(partition), names)
        }
        try readMetadata(backend, .node, names)
        for key in Set(keys).union(records.keys) {
            let record = try backend.read(key.partition, key)
            guard record == records[key] else {
                throw ConformanceFailure(
                    "\(OperationText.quoted(key)): a read finds \(ReferenceState.text(record)), a scan "
                        + ReferenceState.text(records[key]))
            }
            let version = try backend.version(key.partition, key)
            guard version == record?.version else {
                throw ConformanceFailure("\(OperationText.quoted(key)): version differs from that of the record")
            }
        }
    }

    init() {}

    private mutating func note(_ entry: ScanPage.Entry, values: Bool, _ partition: PartitionID) throws {
        guard let record = entry.record else {
            throw StorageError(.damaged, "the scan reports \(OperationText.quoted(entry.key)) as damaged")
        }
        if values {
            guard record.isIntact(for: entry.key), entry.key.partition == partition else {
                throw ConformanceFailure("\(OperationText.quoted(entry.key)): a scan serves a record that is wrong")
            }
            records[entry.key] = record
        } else if records[entry.key]?.version != record.version {
            throw ConformanceFailure("\(OperationText.quoted(entry.key)): scans with and without values differ")
        }
    }

    private mutating func readMetadata(
        _ backend: any StorageBackend, _ scope: MetadataScope, _ names: [String]
    ) throws {
        for name in names {
            if let value = try backend.metadata(scope, name) { metadata[scope, default: [:]][name] = value }
        }
    }
}
