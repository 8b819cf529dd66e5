internal import KVProtocols

/// The sequential log in front of the backend: segment files of frames, preallocated and recycled.
///
/// Plain blocking code for one thread at a time. **Order of durability:** a segment is named `segment-...` only after
/// its header is durable, frames go into it only after its name is, and a later segment gets frames only after every
/// frame of the earlier one was synced. So a segment without a valid header, or a hole between two segments, is damage
/// and never the trace of a crash.
final class Journal {
    /// Vectors of one write; Linux takes 1,024.
    private static let framesPerWrite = 512
    /// Files kept for reuse.
    private static let spareLimit = 2

    private let files: JournalFolder
    private let folder: UInt64
    private let segmentBytes: Int
    /// Ascending; the last one takes the frames.
    private var segments: [JournalSegment]
    private var spares: [String]
    /// Every entry up to here is on the disk.
    private(set) var durable: UInt64
    private(set) var syncs: UInt64 = 0

    /// Takes what `JournalRecovery` found and starts a new segment behind it: what a torn write left in the old one
    /// can then never be mistaken for a frame.
    /// - Throws: `.full`, or whatever else keeps a segment from being made.
    init(_ recovered: JournalRecovery, segmentBytes: Int) throws(StorageError) {
        files = recovered.files
        folder = recovered.folder
        self.segmentBytes = max(segmentBytes, SegmentHeader.length * 2)
        segments = recovered.segments
        spares = recovered.spares
        durable = recovered.lastPosition
        try startSegment(number: recovered.nextNumber, room: 0)
    }

    var segmentCount: Int { segments.count }
    var bytes: UInt64 { segments.reduce(0) { $0 + UInt64($1.file.length) } }

    /// Writes the frames, in order, and syncs; one write and one sync as long as they fit into the segment. Removes from
    /// `frames` those that became durable, and hands them to `done`.
    /// - Throws: `.full`: the frames that are left were not synced and may be given again. Anything else: the journal
    ///   must not be used any more.
    func write(
        _ frames: inout ArraySlice<JournalFrame>, done: (ArraySlice<JournalFrame>) -> Void
    ) throws(StorageError) {
        while let first = frames.first {
            if room < first.paddedLength {
                try startSegment(number: segments[segments.count - 1].header.number + 1, room: first.paddedLength)
            }
            let active = segments.count - 1
            let salt = segments[active].header.salt
            var parts: [UnsafeRawBufferPointer] = []
            var length = 0
            for frame in frames.prefix(Journal.framesPerWrite) {
                guard length + frame.paddedLength <= room else { break }
                parts.append(frame.seal(salt: salt, durable: durable))
                length += frame.paddedLength
            }
            let group = frames.prefix(parts.count)
            try segments[active].file.write(parts, at: segments[active].end)
            try Journal.sync(segments[active].file)
            syncs += 1
            segments[active].end += length
            frames = frames.dropFirst(parts.count)
            if let last = group.last { durable = last.lastPosition }
            segments[active].lastPosition = durable
            done(group)
        }
    }

    /// Lets go of the segments whose entries the backend has, all but the one in use. O(segments released).
    func release(upTo position: UInt64) throws(StorageError) {
        var count = 0
        while count < segments.count - 1, segments[count].lastPosition <= position {
            do {
                try letGo(segments[count])
            } catch  where error.code == .full {
                // No room even for a name: the rest stays until the next time.
                break
            }
            segments[count].file.close()
            count += 1
        }
        guard count > 0 else { return }
        // The new names must be durable before a header overwrites the content that the old names stand for.
        try files.sync()
        segments.removeFirst(count)
    }

    private func letGo(_ segment: JournalSegment) throws(StorageError) {
        guard spares.count < Journal.spareLimit, segment.file.length == segmentBytes else {
            return try files.remove(segment.header.name)
        }
        let spare = Journal.spareName(segment.header.number)
        try files.rename(segment.header.name, to: spare)
        spares.append(spare)
    }

    /// Leaves one empty segment, provided that the backend has everything: opening again then reads its header only.
    /// Nothing may be written afterwards.
    func empty(applied: UInt64) throws(StorageError) {
        guard applied == durable, let active = segments.last else { return }
        try startSegment(number: active.header.number + 1, room: 0, isEmpty: true)
        try release(upTo: applied)
    }

    func close() {
        for segment in segments { segment.file.close() }
    }

    /// An error that tells what is at stake and what to do.
    static func damaged(_ what: String, path: String = "") -> StorageError {
        StorageError(
            .damaged,
            "the journal is damaged (\(what)), acknowledged writes may be missing; move the data folder away, "
                + "so that the node joins again as an empty one and gets its data from the other replicas", path: path)
    }

    static func spareName(_ number: UInt64) -> String { "spare-\(hexadecimal(number))" }

    private var room: Int {
        segments.last.map { $0.file.length - $0.end } ?? 0
    }

    /// After a failed sync the system may have marked the pages clean: a second one would succeed and prove nothing.
    private static func sync(_ file: any StorageFile) throws(StorageError) {
        do {
            try file.sync()
        } catch {
            throw StorageError(
                .poisoned,
                "a sync of the journal failed: what the disk holds is unknown, nothing is acknowledged any "
                    + "more; check the disk, then restart the node", cause: error.cause, path: error.path)
        }
    }

    /// Makes the next segment, with room for one frame of `room` bytes at least.
    private func startSegment(number: UInt64, room: Int, isEmpty: Bool = false) throws(StorageError) {
        let length = max(segmentBytes, SegmentHeader.length + room)
        let header = SegmentHeader(
            folder: folder, number: number, firstPosition: durable + 1, length: length, isEmpty: isEmpty)
        let spare: String
        let file: any StorageFile
        if length == segmentBytes, let name = spares.popLast() {
            spare = name
            file = try files.open(name)
        } else {
            spare = Journal.spareName(number)
            file = try files.create(spare, length: length)
        }
        do {
            try file.write(header.bytes, at: 0)
            try Journal.sync(file)
            try files.rename(spare, to: header.name)
        } catch let error {
            // Not named a segment yet: as good as never begun, a full disk lets it be tried again.
            file.close()
            if length == segmentBytes { spares.append(spare) } else { try files.remove(spare) }
            throw error
        }
        do {
            try files.sync()
        } catch {
            throw StorageError(
                .poisoned, "a sync of the journal's folder failed; check the disk, then restart the node",
                cause: error.cause, path: error.path)
        }
        segments.append(
            JournalSegment(
                header: header, file: file, lastPosition: header.firstPosition - 1, end: SegmentHeader.length))
    }
}
