import KVProtocols

/// Keys of one partition whose records in the backend fail verification, from when the scrub or a listing found them until
/// they are replaced. Confined to the engine's thread.
///
/// Until then their versions count as unknown, even where a header can still be read: so the partition's digest differs
/// from everybody's, walks show them as damaged, and the leader sends what it has.
struct DamagedKeys {
    /// More wait for the next pass of the scrub.
    static let limit = 4_096

    private(set) var keys: Set<Key> = []

    /// Returns `false` when the key is there already, or there are too many.
    mutating func insert(_ key: Key) -> Bool {
        keys.count < DamagedKeys.limit && keys.insert(key).inserted
    }

    /// Returns whether it was there.
    mutating func remove(_ key: Key) -> Bool {
        !keys.isEmpty && keys.remove(key) != nil
    }

    mutating func removeAll() { keys.removeAll() }

    func contains(_ key: Key) -> Bool { !keys.isEmpty && keys.contains(key) }
}
