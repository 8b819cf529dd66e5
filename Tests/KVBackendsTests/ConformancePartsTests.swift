#if os(Linux)
import Glibc
import KVBackends
import KVProtocols
import Testing

@testable import KVConformance

/// Parts of the conformance suite that no engine reaches for certain.
@Suite struct ConformancePartsTests {
    private func point(_ number: Int, _ what: String) -> FaultPoint {
        FaultPoint(number: number, phase: .begin(1), what: what)
    }

    @Test("as many points as there may be are all chosen")
    func fewPoints() {
        let points = (0..<5).map { point($0, "fsync ./log") }
        #expect(FaultPoint.some(of: points, atMost: 5, seed: 1).map(\.number) == [0, 1, 2, 3, 4])
    }

    @Test(
        "of many points the rare ones are chosen too, in their order, each once",
        arguments: 1...20 as ClosedRange<UInt64>)
    func rarePoints(seed: UInt64) {
        var points = (0..<200).map { point($0, "pwrite ./values/\($0)") }
        points[17].what = "fsync ./index"
        points[123].what = "rename ./end.new"
        points[150].what = "rename ./end.new"
        let chosen = FaultPoint.some(of: points, atMost: 16, seed: seed).map(\.number)
        #expect(chosen.count == 16 && Set(chosen).count == 16)
        #expect(chosen == chosen.sorted())
        #expect(chosen.contains(17) && chosen.contains(123) && chosen.contains(150))
        #expect(chosen == FaultPoint.some(of: points, atMost: 16, seed: seed).map(\.number))
    }

    @Test("points are alike when call, folder and the end of the name are")
    func likeness() {
        let first = point(0, "openat ./keys/a-1.new").likeness
        #expect(point(1, "openat ./keys/b.new").likeness == first)
        for other in ["unlinkat ./keys/b.new", "openat ./values/b.new", "openat ./keys/b.old"] {
            #expect(point(2, other).likeness != first)
        }
    }

    @Test("RocksDB is not opened while what is in its folder can't be listed, which is synced first")
    func unlisted() throws {
        let engine = try #require(Engine.named("plugin:rocksdb"), "see `PluginLibraryTests.examples`")
        let worker = try #require(ConformanceWorker.forTests, "the worker was not built")
        let suite = try engine.suite(worker: worker)
        func play(_ target: Int?) throws -> (points: [FaultPoint], marks: [Mark]) {
            let scratch = try ScratchFolder.inMemory(for: suite)
            let folder = try scratch.empty("store")
            let observer = FaultObserver(try suite.recorder(of: folder), .failedRead, target: target)
            let job = suite.job(.faults, in: folder)
            let marks = try TracedRun.run(suite.worker, job, scratch: "\(scratch.path)/worker", observer)
            return (observer.points, marks)
        }
        let first = try play(nil).points.first { $0.phase == .opening && $0.what == "getdents rocksdb" }
        let marks = try play(#require(first).number).marks
        #expect(marks.prefix(2) == [.opening, .refused(-1, code: "io")])
    }

    #if SQLite
    @Test("a folder that can't be listed is not taken for an empty one, which may change its type")
    func unlistedType() throws {
        let folder = try TestFolder()
        let file = try #require(Engine.named("file")).open(folder)
        try file.put(Key("k"), [1])
        try file.close()
        let worker = try #require(ConformanceWorker.forTests, "the worker was not built")
        let suite = try #require(Engine.named("sqlite")).suite(worker: worker)
        for (target, refusal) in [(nil, "foreign"), (0, "io")] as [(Int?, String)] {
            let scratch = try ScratchFolder.inMemory(for: suite)
            let recorder = ListingObserver(try suite.recorder(of: folder.path), target: target)
            let marks = try TracedRun.run(
                suite.worker, suite.job(.inspection, in: folder.path), scratch: "\(scratch.path)/worker", recorder)
            #expect(marks.contains(.note("refused: \(refusal)")), "\(marks)")
            #expect(try FolderMarker.type(of: folder.path) == "file")
        }
    }

    /// Lets one listing of a folder fail.
    private final class ListingObserver: TraceObserver {
        private let recorder: DiskRecorder
        private let target: Int?
        private var count = 0

        init(_ recorder: DiskRecorder, target: Int?) {
            self.recorder = recorder
            self.target = target
        }

        func willEnter(_ call: SystemCall) -> Intervention {
            guard call.kind == .getdents, recorder.object(call, 0) != nil else { return .none }
            defer { count += 1 }
            return count == target ? .fail(EIO) : .none
        }

        func didLeave(_ call: SystemCall, result: Int64) {}
    }
    #endif

    /// Calls of this process on a folder, as a tracer would show them; other threads are made up.
    private struct Calls {
        let scratch: ScratchFolder
        let descriptor: Int32

        init() throws {
            scratch = try ScratchFolder(in: "/tmp")
            descriptor = Glibc.open(scratch.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        }

        func observer(target: Int?) throws -> KillObserver {
            KillObserver(try DiskRecorder(folder: scratch.path, rebuildable: []), target: target)
        }

        func call(_ kind: CallKind, by thread: pid_t? = nil) -> SystemCall {
            let file = UInt64(truncatingIfNeeded: descriptor)
            return SystemCall(thread: thread ?? getpid(), kind: kind, arguments: [file, 0, 0, 0, 0, 0])
        }
    }

    @Test("a worker is killed at the sync that is meant, and all that it did before is known")
    func killed() throws {
        let calls = try Calls()
        defer { close(calls.descriptor) }
        let observer = try calls.observer(target: 1)
        #expect(observer.willEnter(calls.call(.fsync)) == .none)
        observer.didLeave(calls.call(.fsync), result: 0)
        #expect(observer.events == [0: 0])
        // What another thread has done, or only reads, is no gap.
        _ = observer.willEnter(calls.call(.rename, by: 1))
        observer.didLeave(calls.call(.rename, by: 1), result: -2)
        _ = observer.willEnter(calls.call(.pread, by: 1))
        #expect(!observer.hasKilled)
        #expect(observer.willEnter(calls.call(.fdatasync)) == .kill)
        #expect(observer.hasKilled && observer.isComplete)
        // The dying process gets no further sync.
        #expect(observer.willEnter(calls.call(.fsync)) == .none)
        observer.didLeave(calls.call(.fsync), result: 0)
        #expect(observer.events == [0: 0])
    }

    @Test(
        "amid a change of another thread nobody knows what the killed process did",
        arguments: [CallKind.write, .rename])
    func incomplete(kind: CallKind) throws {
        let calls = try Calls()
        defer { close(calls.descriptor) }
        let observer = try calls.observer(target: 0)
        _ = observer.willEnter(calls.call(kind, by: 1))
        #expect(observer.willEnter(calls.call(.fsync)) == .kill)
        #expect(observer.hasKilled && !observer.isComplete)
    }
}
#endif
