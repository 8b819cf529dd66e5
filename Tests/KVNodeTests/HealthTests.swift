import KVProtocols
import Testing

@testable import KVNode

@Suite struct HealthTests {
    private let failure = StorageError(.poisoned, "fsync failed before")

    @Test(arguments: [StorageError.Code.full, .readOnly])
    func `a disk without room limits a node and is no failure`(_ code: StorageError.Code) {
        let limited = Heartbeat.Health(failure: nil, degradation: StorageError(code, "nothing can be written"))
        #expect(limited.ok)
        #expect(limited.reasons == ["storage is degraded: \(code.rawValue): nothing can be written"])
        let failed = Heartbeat.Health(failure: failure, degradation: StorageError(code, "nothing can be written"))
        #expect(!failed.ok)
        #expect(failed.reasons.count == 2)
    }

    @Test func `a storage that failed, or does not take what it should, is a failure`() {
        #expect(Heartbeat.Health(failure: nil, degradation: nil) == Heartbeat.Health(ok: true))
        #expect(!Heartbeat.Health(failure: failure, degradation: nil).ok)
        #expect(!Heartbeat.Health(failure: nil, degradation: StorageError(.io, "a flush failed")).ok)
    }
}
