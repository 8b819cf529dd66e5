import KVNode
import KVProtocols
import KVReplication
import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// A node whose answers are scripted, and which remembers what it was asked.
final class ScriptedNode: NodeService {
    let name = "worker1"
    let maximumValueLength = 1 << 20

    struct Script: Sendable {
        var outcome: Outcome = .absent
        var leader: String? = "worker2"
        var localRecord: Record?
        var localError: StorageError?
        var keys: [Key] = []
        var incomplete: [PartitionID] = []
        var replicas = ReplicasReply(partition: PartitionID(3), leader: nil, replicas: [])
        var isReady = true
        var reasons: [String] = []
        var operations: [Operation] = []
        var timeouts: [Int] = []
        var lists: [ListRequest] = []
        /// The value of every listed key; the key itself when `nil`.
        var listedValue: [UInt8]?
        /// Where pages without an entry end, one after the other.
        var emptyPagesUpTo: [Key] = []
        var isHolding = false
        var held: [@Sendable () -> Void] = []
    }

    let script = Mutex(Script())

    func submit(
        _ operation: Operation, timeoutMilliseconds: Int, completion: @escaping @Sendable (Answer) -> Void
    ) {
        let answer: Answer? = script.withLock { script in
            script.operations.append(operation)
            script.timeouts.append(timeoutMilliseconds)
            let answer = Answer(outcome: script.outcome, leader: script.leader)
            guard script.isHolding else { return answer }
            script.held.append { completion(answer) }
            return nil
        }
        if let answer { completion(answer) }
    }

    /// Lets operations wait from now on.
    func holdAnswers() { script.withLock { $0.isHolding = true } }

    /// Answers those that wait, and lets none wait any more.
    func releaseAnswers() {
        let held = script.withLock { script in
            script.isHolding = false
            defer { script.held = [] }
            return script.held
        }
        for answer in held { answer() }
    }

    /// Blocks until an operation was asked for.
    func whenAsked(_ body: () -> Void) {
        while operations.isEmpty { usleep(1_000) }
        body()
    }

    func local(_ key: Key) async throws(StorageError) -> Record? {
        let (record, error) = script.withLock { ($0.localRecord, $0.localError) }
        if let error { throw error }
        return record
    }

    func list(_ request: ListRequest) async -> ListReply {
        script.withLock { script in
            script.lists.append(request)
            let matching = script.keys.sorted().filter { key in
                key.hasPrefix(request.prefix) && request.after.map { $0 < key } ?? true
            }
            if let reach = script.emptyPagesUpTo.first, request.after.map({ $0 < reach }) ?? true {
                script.emptyPagesUpTo.removeFirst()
                return ListReply(entries: [], reach: reach, incomplete: [])
            }
            let page = matching.prefix(request.limit).map { key in
                let value = script.listedValue ?? key.bytes
                return ListReply.Entry(key: key, record: Record(key: key, version: .one, value: value))
            }
            let reach = matching.count > page.count ? page.last?.key : nil
            return ListReply(entries: page, reach: reach, incomplete: script.incomplete)
        }
    }

    func replicas(of key: Key) async -> ReplicasReply {
        script.withLock { $0.replicas }
    }

    func status() async -> NodeStatus {
        let (isReady, reasons) = script.withLock { ($0.isReady, $0.reasons) }
        return NodeStatus(
            name: name, id: NodeID(1), clusterName: "demo", mapEpoch: 7, backend: "memory", isReady: isReady,
            reasons: reasons, replicas: 48, leading: 16, leaderless: 0, connectedPeers: 3, peers: 3, keys: 5,
            bytesOnDisk: 4_096, bytesFree: 1 << 30, overlayBytes: 0, journalDurable: 99,
            counters: [.init(name: "elections_won", help: "Elections won.", value: 2)],
            backendFigures: [.init(name: "pages", help: "Pages.", value: 1)])
    }

    func answer(_ outcome: Outcome) { script.withLock { $0.outcome = outcome } }
    var operations: [Operation] { script.withLock { $0.operations } }
}

extension Version {
    static let one = Version(ballot: Ballot(counter: 3, node: NodeID(2)), sequence: 17)
    static let two = Version(ballot: Ballot(counter: 3, node: NodeID(2)), sequence: 18)
}

extension Key {
    static func of(_ text: String) -> Key { try! Key(text) }
}

extension Record {
    static func of(_ key: String, _ value: [UInt8], expiresAt: UInt64 = 0) -> Record {
        Record(key: .of(key), version: .one, value: value, expiresAt: expiresAt)
    }
}
