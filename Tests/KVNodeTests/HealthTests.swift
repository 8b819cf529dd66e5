import KVProtocols
import Testing

@testable import KVNode

@Suite struct HealthTests {
    @Test func heartbeatsMayBeWantedSoonerWithinReasonAndNeverLater() {
        #expect(Node.interval(usual: 500, wanted: nil) == 500)
        #expect(Node.interval(usual: 500, wanted: 100) == 100)
        for wanted in [Int.min, -1, 0, 1] { #expect(Node.interval(usual: 500, wanted: wanted) == 50) }
        #expect(Node.interval(usual: 500, wanted: .max) == 500)
        #expect(Node.interval(usual: 20, wanted: 100) == 20)
    }

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
