import KVProtocols
import Synchronization

/// The least that the controller needs: metadata in memory, and a switch that makes `apply` fail.
final class FakeBackend: StorageBackend {
    private struct Content {
        var metadata: [String: [UInt8]] = [:]
        var failure: StorageError?
        /// How many operations of the next batch are applied before the power fails; `nil` for all.
        var tornAfter: Int?
        var batches = 0
    }

    private let content = Mutex(Content())

    var capabilities: BackendCapabilities {
        BackendCapabilities(atomicBatches: false, durable: true, orderedScan: true)
    }

    var batches: Int { content.withLock { $0.batches } }
    var names: [String] { content.withLock { $0.metadata.keys.sorted() } }

    func fail(with error: StorageError?) { content.withLock { $0.failure = error } }
    func tearNextBatch(after operations: Int) { content.withLock { $0.tornAfter = operations } }
    func set(_ name: String, _ value: [UInt8]?) { content.withLock { $0.metadata[name] = value } }

    /// What a copy of the folder would hold.
    func copy() -> FakeBackend {
        let other = FakeBackend()
        let metadata = content.withLock { $0.metadata }
        other.content.withLock { $0.metadata = metadata }
        return other
    }

    func read(_ partition: PartitionID, _ key: Key) throws(StorageError) -> Record? { nil }
    func scan(_ request: ScanRequest) throws(StorageError) -> ScanPage { ScanPage(entries: [], isLast: true) }

    func apply(_ batch: [StorageOperation]) throws(StorageError) {
        let failure: StorageError? = content.withLock { content in
            if let failure = content.failure { return failure }
            content.batches += 1
            for (index, operation) in batch.enumerated() {
                if let torn = content.tornAfter, index >= torn { return StorageError(.poisoned, "The power failed") }
                guard case .metadata(.node, let name, let value) = operation else { continue }
                precondition((value?.count ?? 0) <= 1 << 20, "metadata values hold 1 MiB at most")
                content.metadata[name] = value
            }
            return nil
        }
        if let failure { throw failure }
    }

    func metadata(_ scope: MetadataScope, _ name: String) throws(StorageError) -> [UInt8]? {
        content.withLock { $0.metadata[name] }
    }

    func statistics() throws(StorageError) -> BackendStatistics {
        BackendStatistics(keys: 0, bytesOnDisk: 0, bytesFree: 0)
    }

    func close() throws(StorageError) {}
    func destroy() throws(StorageError) { content.withLock { $0.metadata = [:] } }
}
