import KVProtocols
import Synchronization
import Testing

@testable import KVStorage

/// Keeps every moment amid a call of the disk or an operation of the backend: what lay where, and what had been promised.
final class CrashRecorder: Sendable {
    struct Moment: Sendable {
        var image: DiskImage
        var content: FakeBackend.Content
        /// What the flusher may have been doing at the same time.
        var job: FlushJob?
        var acknowledged: UInt64
    }

    private struct Moments: Sendable {
        var image = DiskImage()
        var content: FakeBackend.Content
        var job: FlushJob?
        var acknowledged: UInt64 = 0
        var all: [Moment] = []

        mutating func keep() {
            all.append(Moment(image: image, content: content, job: job, acknowledged: acknowledged))
        }
    }

    private let moments: Mutex<Moments>

    init(backend: FakeBackend, acknowledged: UInt64) {
        let content = backend.state.withLock { $0.content }
        moments = Mutex(Moments(content: content, acknowledged: acknowledged))
    }

    /// Every entry up to here was reported durable.
    var acknowledged: UInt64 { moments.withLock { $0.acknowledged } }

    func acknowledge(_ position: UInt64) {
        moments.withLock { $0.acknowledged = max($0.acknowledged, position) }
    }

    /// Until this is said again, a crash may leave any part of the job behind.
    func flushing(_ job: FlushJob?) { moments.withLock { $0.job = job } }

    func record(_ image: DiskImage) {
        moments.withLock { moments in
            moments.image = image
            moments.keep()
        }
    }

    func record(content: FakeBackend.Content) {
        moments.withLock { moments in
            moments.content = content
            moments.keep()
        }
    }

    func takeAll() -> [Moment] {
        moments.withLock { moments in
            defer { moments.all = [] }
            return moments.all
        }
    }
}

/// Opens what crashes leave behind and compares it with what was promised: every acknowledged entry is there, and what is
/// there is exactly a prefix of what was staged, in records, states, metadata and digests.
struct CrashChecker {
    static let partitions = 2
    static let folder = "/data"

    static var settings: NodeStorage.Settings {
        NodeStorage.Settings(
            seed: StorageFixture.seed, segmentBytes: 8 << 10, overlayLimitBytes: 64 << 10, flushOperations: 4,
            retryMilliseconds: 1)
    }

    static func open(
        _ disk: SimulatedDisk, _ backend: FakeBackend, _ events: EventQueue
    ) throws(StorageError) -> NodeStorage {
        let folder = try DataFolder(path: folder, backendType: "fake", disk: disk, newIdentity: 7)
        do {
            let storage = try NodeStorage(
                folder: folder, backend: backend, partitions: partitions, settings: settings, driver: .caller
            ) { events.append($0) }
            storage.tick(nowMilliseconds: 1)
            return storage
        } catch {
            folder.release()
            throw error
        }
    }

    let contents: [StorageWorld.Content]
    private let kind: FakeBackend
    private(set) var states = 0

    init(_ world: StorageWorld) {
        contents = world.contents
        kind = world.backend
    }

    /// Opens after each power cut that `moment` may have suffered.
    mutating func check(_ moment: CrashRecorder.Moment, drawn: Int, _ randomness: inout Randomness) throws {
        for image in moment.image.crashes(drawn: drawn, &randomness) {
            let backend = backend(moment, &randomness)
            let disk = try check(image, backend, from: moment.acknowledged)
            // Opening writes too, and the power may go again meanwhile.
            guard randomness.oneIn(3), let again = disk.randomElement(using: &randomness) else { continue }
            _ = try check(again.crashed(&randomness), backend.reopened(), from: moment.acknowledged)
        }
    }

    /// The backend as the crash left it, amid the flusher's job if there was one.
    func backend(_ moment: CrashRecorder.Moment, _ randomness: inout Randomness) -> FakeBackend {
        let backend = kind.reopened()
        backend.state.withLock { $0.content = moment.content }
        guard let job = moment.job else { return backend }
        backend.state.withLock { $0.operationsLeft = Int.random(in: 0..<20, using: &randomness) }
        // The power may go amid the job.
        do { try job.run(backend) } catch {}
        return backend.reopened()
    }

    /// Opens, compares, lets go; returns the moments at which the power may go while it opens.
    private mutating func check(
        _ image: DiskImage, _ backend: FakeBackend, from acknowledged: UInt64
    ) throws -> [DiskImage] {
        states += 1
        let recorder = ImageRecorder()
        let disk = SimulatedDisk(image) { recorder.append($0) }
        let storage = try Self.open(disk, backend, EventQueue())
        defer { storage.abandon() }
        try Self.compare(storage, contents, from: acknowledged)
        return recorder.all
    }

    @discardableResult
    static func compare(
        _ storage: NodeStorage, _ contents: [StorageWorld.Content], from acknowledged: UInt64
    ) throws -> UInt64 {
        let position = storage.durable
        #expect(position == storage.appended)
        try #require(position >= acknowledged, "acknowledged entries are gone")
        try #require(position < contents.count, "entries that were never staged")
        let expected = contents[Int(position)]
        var found = StorageWorld.Content(node: try storage.node("identity"))
        for number in 0..<partitions {
            let partition = PartitionID(UInt16(number))
            let records = try storage.everything(partition, limit: 100)
            if !records.isEmpty { found.records[partition] = records }
            if storage.state(of: partition) != .empty { found.states[partition] = storage.state(of: partition) }
            let matches = storage.digest(of: partition) == digest(of: records)
            try #require(matches, "the digest of partition \(number) at position \(position)")
        }
        // Not within the macro, which would print all of it.
        let isEqual = found == expected
        try #require(isEqual, "the content at position \(position)")
        return position
    }
}

/// What a disk held at each of its calls.
private final class ImageRecorder: Sendable {
    private let images = Mutex<[DiskImage]>([])

    func append(_ image: DiskImage) { images.withLock { $0.append(image) } }

    var all: [DiskImage] { images.withLock { $0 } }
}
