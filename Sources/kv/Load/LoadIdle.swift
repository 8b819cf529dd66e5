/// The connections without anything to do, in the order in which they became free. For one event loop.
///
/// Taking and adding cost O(1): thousands of connections may wait for operations that are due at fixed times.
struct LoadIdle<Dialect: LoadDialect> {
    private var ring: [LoadConnection<Dialect>] = []
    private var head = 0

    var isEmpty: Bool { head == ring.count }

    /// Only what isn't in it.
    mutating func add(_ connection: LoadConnection<Dialect>) { ring.append(connection) }

    /// - Returns: the one that has waited longest; `nil` when all are busy.
    mutating func take() -> LoadConnection<Dialect>? {
        guard head < ring.count else { return nil }
        let connection = ring[head]
        head += 1
        // What was taken is dropped when it is half of all.
        if head * 2 > ring.count {
            ring.removeFirst(head)
            head = 0
        }
        return connection
    }

    /// O(n): for connections that end, and for the end of a phase.
    mutating func remove(where isGone: (LoadConnection<Dialect>) -> Bool) {
        ring.removeFirst(head)
        head = 0
        ring.removeAll(where: isGone)
    }
}
