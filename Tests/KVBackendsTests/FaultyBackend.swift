import KVBackends
import KVProtocols

/// The memory backend with one fault, to see that the suite notices it.
final class FaultyBackend: StorageBackend {
    enum Fault: CaseIterable {
        case keepsPurged, losesTombstones, ignoresWipe, scansUnordered, ignoresAfter, ignoresPrefix, neverLastPage
        case servesDamaged, forgetsExpiry, dropsEmptyValues, losesMetadata, worksWhenClosed
    }

    private let fault: Fault
    private let inner: any StorageBackend
    private let context: BackendContext

    init(_ fault: Fault, _ context: BackendContext) {
        self.fault = fault
        self.context = context
        do {
            inner = try BackendRegistry.factory(type: "memory").open(context)
        } catch {
            fatalError("\(error)")
        }
    }

    var capabilities: BackendCapabilities { inner.capabilities }

    func read(_ partition: PartitionID, _ key: Key) throws(StorageError) -> Record? {
        do {
            return try inner.read(partition, key)
        } catch  where fault == .servesDamaged && error.code == .damaged {
            return record(key, [1])
        }
    }

    func scan(_ request: ScanRequest) throws(StorageError) -> ScanPage {
        var request = request
        if fault == .ignoresAfter { request.after = nil }
        if fault == .ignoresPrefix { request.prefix = [] }
        var page = try inner.scan(request)
        if fault == .scansUnordered { page.entries.reverse() }
        if fault == .neverLastPage { page.isLast = false }
        return page
    }

    func apply(_ batch: [StorageOperation]) throws(StorageError) {
        try inner.apply(batch.filter { !isForgotten($0) }.map(altered))
    }

    private func isForgotten(_ operation: StorageOperation) -> Bool {
        switch operation {
        case .purge: fault == .keepsPurged
        case .wipe: fault == .ignoresWipe
        case .metadata: fault == .losesMetadata
        case .put(_, _, let record):
            fault == .losesTombstones && record.isTombstone || fault == .dropsEmptyValues && record.value == []
        }
    }

    private func altered(_ operation: StorageOperation) -> StorageOperation {
        guard fault == .forgetsExpiry, case .put(let partition, let key, let record) = operation else {
            return operation
        }
        return .put(partition, key, Record(key: key, version: record.version, value: record.value))
    }

    func metadata(_ scope: MetadataScope, _ name: String) throws(StorageError) -> [UInt8]? {
        try inner.metadata(scope, name)
    }

    func statistics() throws(StorageError) -> BackendStatistics { try inner.statistics() }

    func close() throws(StorageError) {
        if fault != .worksWhenClosed { try inner.close() }
    }

    func destroy() throws(StorageError) { try inner.destroy() }
}
