import KVProtocols
import Synchronization

@testable import KVStorage

/// A backend in memory whose content outlives it, as a disk would, and which fails when told to.
final class FakeBackend: StorageBackend {
    struct Content {
        var records: [PartitionID: [Key: Record]] = [:]
        var metadata: [MetadataScope: [String: [UInt8]]] = [:]
    }

    struct State {
        var content = Content()
        var isPoisoned = false
        var isClosed = false
        /// The next calls of `apply` that throw this.
        var failures: [StorageError] = []
        /// Operations until the power goes.
        var operationsLeft: Int?
        var batches: [[StorageOperation]] = []
        var damaged: Set<Key> = []
        /// Names of metadata that fail verification.
        var damagedMetadata: Set<String> = []
        var reads = 0
        /// Gets the content amid each `apply`, wherever a crash may leave it.
        var observe: (@Sendable (Content) -> Void)?
    }

    let state = Mutex(State())
    /// Holds every `apply` while true.
    let isHeld = Monitor(false)
    let capabilities: BackendCapabilities
    /// The most entries in one page, below what a request may ask for.
    let pageLimit: Int

    /// A crash may leave any operations of a batch, not just the first ones: as a file system may that orders names only
    /// within a folder.
    let isUnordered: Bool

    init(atomic: Bool = true, durable: Bool = true, unordered: Bool = false, pageLimit: Int = 5) {
        isUnordered = unordered
        capabilities = BackendCapabilities(
            atomicBatches: atomic, durable: durable, orderedScan: true)
        self.pageLimit = pageLimit
    }

    /// Another process opens the same disk.
    func reopened() -> FakeBackend {
        let other = FakeBackend(
            atomic: capabilities.atomicBatches, durable: capabilities.durable, unordered: isUnordered,
            pageLimit: pageLimit)
        let now = state.withLock { $0 }
        other.state.withLock {
            $0.content = now.content
            $0.damaged = now.damaged
            $0.damagedMetadata = now.damagedMetadata
        }
        return other
    }

    private func check(_ state: State) throws(StorageError) {
        if state.isClosed { throw StorageError(.closed, "closed") }
        if state.isPoisoned { throw StorageError(.poisoned, "poisoned") }
    }

    func read(_ partition: PartitionID, _ key: Key) throws(StorageError) -> Record? {
        try state.withLock { state throws(StorageError) in
            try check(state)
            state.reads += 1
            if state.damaged.contains(key) { throw StorageError(.damaged, "damaged") }
            return state.content.records[partition]?[key]
        }
    }

    func scan(_ request: ScanRequest) throws(StorageError) -> ScanPage {
        try state.withLock { state throws(StorageError) in
            try check(state)
            let records = state.content.records[request.partition] ?? [:]
            let keys = records.keys.sorted().filter { key in
                key.hasPrefix(request.prefix) && (request.after.map { $0 < key } ?? true)
            }
            let page = keys.prefix(min(request.limit, pageLimit))
            let entries = page.map { key in
                var record = state.damaged.contains(key) ? nil : records[key]
                if !request.values, record?.value != nil { record?.value = [] }
                return ScanPage.Entry(key: key, record: record)
            }
            return ScanPage(entries: entries, isLast: page.count == keys.count)
        }
    }

    func apply(_ batch: [StorageOperation]) throws(StorageError) {
        isHeld.wait { $0 ? nil : () }
        try state.withLock { state throws(StorageError) in
            try check(state)
            if let failure = state.failures.first {
                state.failures.removeFirst()
                if failure.code == .poisoned { state.isPoisoned = true }
                throw failure
            }
            var kept = batch[...]
            if let left = state.operationsLeft {
                if left < batch.count {
                    let count = capabilities.atomicBatches ? 0 : left
                    kept = isUnordered ? batch.suffix(count) : batch.prefix(count)
                    state.isPoisoned = true
                }
                state.operationsLeft = max(left - batch.count, 0)
            }
            if let observe = state.observe { observeParts(batch, state.content, observe) }
            for operation in kept { FakeBackend.apply(operation, &state) }
            state.observe?(state.content)
            if state.isPoisoned { throw StorageError(.poisoned, "the power is off") }
            state.batches.append(batch)
        }
    }

    /// What a crash amid `batch` may leave.
    private func observeParts(_ batch: [StorageOperation], _ content: Content, _ observe: (Content) -> Void) {
        guard !capabilities.atomicBatches else { return }
        var part = State(content: content)
        for (index, operation) in batch.enumerated() {
            if isUnordered {
                part.content = content
                for other in batch[index...] { FakeBackend.apply(other, &part) }
                observe(part.content)
                part.content = content
            }
            FakeBackend.apply(operation, &part)
            observe(part.content)
        }
    }

    private static func apply(_ operation: StorageOperation, _ state: inout State) {
        switch operation {
        case .put(let partition, let key, let record):
            state.content.records[partition, default: [:]][key] = record
            state.damaged.remove(key)
        case .purge(let partition, let key):
            state.content.records[partition]?[key] = nil
            state.damaged.remove(key)
        case .metadata(let scope, let name, let bytes): state.content.metadata[scope, default: [:]][name] = bytes
        case .wipe(let partition):
            state.content.records[partition] = nil
            state.content.metadata[.partition(partition)] = nil
        }
    }

    func metadata(_ scope: MetadataScope, _ name: String) throws(StorageError) -> [UInt8]? {
        try state.withLock { state throws(StorageError) in
            try check(state)
            if state.damagedMetadata.contains(name) { throw StorageError(.damaged, "metadata fails verification") }
            return state.content.metadata[scope]?[name]
        }
    }

    func statistics() throws(StorageError) -> BackendStatistics {
        state.withLock { state in
            BackendStatistics(
                keys: UInt64(state.content.records.values.reduce(0) { $0 + $1.count }), bytesOnDisk: 0, bytesFree: 0)
        }
    }

    func close() throws(StorageError) { state.withLock { $0.isClosed = true } }
    func destroy() throws(StorageError) { try close() }
}
