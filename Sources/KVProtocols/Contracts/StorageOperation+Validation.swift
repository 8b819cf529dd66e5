extension StorageOperation {
    /// Checks the contract's limits: the partition exists, the key has 1 to 480 bytes, the value fits, the name is legal.
    ///
    /// For engines: call it for every operation of a batch before the first one is applied, so that a batch outside the
    /// limits changes nothing. O(1), except for names of metadata.
    /// - Throws: `.invalid` that says which limit and by how much.
    public func validate(partitions: Int, maximumValueLength: Int) throws(StorageError) {
        try check(partitions: partitions, maximumValueLength: maximumValueLength)
    }

    /// Does `validate` for every operation of a batch. Cheaper than a call for each: nothing is copied.
    public static func validate(
        _ batch: [StorageOperation], partitions: Int, maximumValueLength: Int
    ) throws(StorageError) {
        for operation in batch { try operation.check(partitions: partitions, maximumValueLength: maximumValueLength) }
    }

    /// Looks at lengths only, and leaves messages to others, so that a loop over it counts no references.
    @inline(__always)
    private func check(partitions: Int, maximumValueLength: Int) throws(StorageError) {
        switch self {
        case .put(let partition, let key, let record):
            try partition.validate(partitions: partitions)
            try key.validateLength()
            let length = record.value?.count ?? 0
            guard length <= maximumValueLength else {
                throw StorageOperation.tooLong(length, maximumValueLength)
            }
        case .purge(let partition, let key):
            try partition.validate(partitions: partitions)
            try key.validateLength()
        case .metadata(let scope, let name, let value):
            if case .partition(let partition) = scope { try partition.validate(partitions: partitions) }
            try MetadataScope.validate(name: name)
            let length = value?.count ?? 0
            guard length <= MetadataScope.maximumValueLength else {
                throw StorageError(
                    .invalid, "metadata \(name) has \(length) bytes; at most \(MetadataScope.maximumValueLength) fit")
            }
        case .wipe(let partition):
            try partition.validate(partitions: partitions)
        }
    }

    @inline(never)
    private static func tooLong(_ length: Int, _ maximum: Int) -> StorageError {
        StorageError(.invalid, "a value has \(length) bytes; this backend stores at most \(maximum)")
    }
}

extension MetadataScope {
    /// The longest metadata value in bytes.
    public static let maximumValueLength = 1 << 20

    /// - Throws: `.invalid` unless the name is 1 to 64 bytes of `a-z0-9_`.
    public static func validate(name: String) throws(StorageError) {
        let isLegal = name.utf8.allSatisfy { byte in
            UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte
                || byte == UInt8(ascii: "_")
        }
        guard isLegal, 1...64 ~= name.utf8.count else {
            throw StorageError(.invalid, "metadata names are 1 to 64 bytes of a-z0-9_")
        }
    }
}

extension PartitionID {
    /// - Throws: `.invalid` unless the number is less than `partitions`.
    @inline(__always)
    public func validate(partitions: Int) throws(StorageError) {
        guard Int(rawValue) < partitions else { throw PartitionID.missing(rawValue, partitions) }
    }

    @inline(never)
    private static func missing(_ number: UInt16, _ partitions: Int) -> StorageError {
        StorageError(.invalid, "there is no partition \(number): this folder has \(partitions)")
    }
}

extension Key {
    @inline(__always)
    fileprivate func validateLength() throws(StorageError) {
        guard 1...Key.maximumLength ~= bytes.count else { throw Key.illegal(length: bytes.count) }
    }

    @inline(never)
    private static func illegal(length: Int) -> StorageError {
        StorageError(.invalid, "a key has \(length) bytes; use 1 to \(Key.maximumLength)")
    }
}
