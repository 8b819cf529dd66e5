internal import KVProtocols

/// What opening a journal found: the segments that still count, and every entry that the backend lacks, handed out in
/// order.
///
/// Reading stops at the first frame that is not whole and right. That is the end of the journal when nothing was
/// acknowledged behind it, and damage otherwise: damage is reported, never skipped. What a power cut tears and what rots
/// afterwards look alike only in the journal's very last write, and where everything behind some point was zeroed: nothing
/// behind it can prove that it was once whole. Then the position is lower than what this node reported before, which the
/// controller notices (`NodeStorage.durable` only grows).
struct JournalRecovery {
    let files: JournalFolder
    let folder: UInt64
    private(set) var segments: [JournalSegment] = []
    private(set) var spares: [String] = []
    private(set) var nextNumber: UInt64 = 1
    /// The position of the last entry ever made durable in this folder.
    private(set) var lastPosition: UInt64

    /// - Parameters:
    ///   - applied: up to here the backend has everything; `nil` for a backend that keeps nothing, with which a journal
    ///     may begin anywhere.
    ///   - entry: gets each entry above `applied`.
    /// - Throws: `.damaged`, `.foreign`, or what reading the files or `entry` throws.
    init(
        files: JournalFolder, folder: UInt64, segmentBytes: Int, applied: UInt64?,
        entry: (UInt64, JournalEntry) throws(StorageError) -> Void
    ) throws(StorageError) {
        self.files = files
        self.folder = folder
        lastPosition = applied ?? 0
        let numbers = try sortOut(try files.names(), segmentBytes: segmentBytes)
        guard let lastNumber = numbers.last else {
            guard (applied ?? 0) == 0 else { throw Journal.damaged("every segment is missing") }
            return
        }
        guard lastNumber <= SegmentHeader.highest else {
            throw Journal.damaged("a segment has a name that none can have", path: "segment-\(hexadecimal(lastNumber))")
        }
        nextNumber = lastNumber + 1
        var next: UInt64?
        for number in numbers {
            next = try read(
                number, isLast: number == lastNumber, next: next, applied: applied ?? 0, isDurable: applied != nil,
                entry: entry)
        }
        lastPosition = (next ?? 1) - 1
        guard lastPosition >= applied ?? 0 else { throw Journal.damaged("it ends before what the backend has") }
    }

    /// Adopts reusable files, deletes others, and returns the numbers of the segments in ascending order.
    private mutating func sortOut(_ names: [String], segmentBytes: Int) throws(StorageError) -> [UInt64] {
        for name in names.sorted() where name.hasPrefix("spare-") {
            let file = try files.open(name)
            let fits = file.length == segmentBytes
            file.close()
            if fits && spares.count < 2 { spares.append(name) } else { try files.remove(name) }
        }
        // Their names must be durable before they get a new header, see `Journal.release`.
        if !spares.isEmpty { try files.sync() }
        return names.compactMap(SegmentHeader.number(of:)).sorted()
    }

    /// Reads one segment; returns the position that must follow it.
    private mutating func read(
        _ number: UInt64, isLast: Bool, next: UInt64?, applied: UInt64, isDurable: Bool,
        entry: (UInt64, JournalEntry) throws(StorageError) -> Void
    ) throws(StorageError) -> UInt64 {
        let name = "segment-\(hexadecimal(number))"
        let file = try files.open(name)
        let header = try Self.header(file, name)
        guard header.folder == folder else {
            throw StorageError(.foreign, "the journal belongs to another data folder", path: name)
        }
        guard header.number == number else { throw Journal.damaged("a segment has another's name", path: name) }
        guard file.length >= header.length else { throw Journal.damaged("a segment was cut off", path: name) }
        // A hole is harmless only where the backend has everything in it.
        let expected = next ?? (isDurable ? min(header.firstPosition, applied + 1) : header.firstPosition)
        guard header.firstPosition >= expected else { throw Journal.damaged("segments overlap", path: name) }
        guard header.firstPosition == expected || (isDurable && header.firstPosition <= applied + 1) else {
            throw Journal.damaged("entries \(expected) to \(header.firstPosition - 1) are missing", path: name)
        }
        var segment = JournalSegment(
            header: header, file: file, lastPosition: header.firstPosition - 1, end: SegmentHeader.length)
        if !header.isEmpty { try Self.readFrames(&segment, isLast: isLast, applied: applied, entry: entry) }
        segments.append(segment)
        return segment.lastPosition + 1
    }

    private static func header(_ file: any StorageFile, _ name: String) throws(StorageError) -> SegmentHeader {
        let block = UnsafeMutableRawBufferPointer.allocate(byteCount: SegmentHeader.length, alignment: 16)
        defer { block.deallocate() }
        let length = try file.read(at: 0, into: block)
        return try SegmentHeader(UnsafeRawBufferPointer(rebasing: block[..<length]), path: name)
    }

    private static func readFrames(
        _ segment: inout JournalSegment, isLast: Bool, applied: UInt64,
        entry: (UInt64, JournalEntry) throws(StorageError) -> Void
    ) throws(StorageError) {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: segment.file.length, alignment: 16)
        defer { memory.deallocate() }
        let length = try segment.file.read(at: 0, into: memory)
        let bytes = UnsafeRawBufferPointer(rebasing: memory[..<length])
        let name = segment.header.name
        let salt = segment.header.salt
        while let frame = StoredFrame(bytes, at: segment.end, salt: salt),
            frame.firstPosition == segment.lastPosition + 1
        {
            try decode(frame, applied: applied, path: name, entry: entry)
            segment.lastPosition = frame.lastPosition
            segment.end += frame.length
        }
        guard isLast else { return }
        let position = segment.lastPosition + 1
        try requireTornEnd(bytes, from: segment.end, salt: salt, position: position, path: name)
        try makeDurable(segment.file, bytes, upTo: segment.end, isNeeded: position > applied + 1)
    }

    private static func decode(
        _ frame: StoredFrame, applied: UInt64, path: String,
        entry: (UInt64, JournalEntry) throws(StorageError) -> Void
    ) throws(StorageError) {
        guard frame.lastPosition > applied else { return }
        var reader = ByteReader(frame.payload)
        for position in frame.firstPosition...frame.lastPosition {
            guard let decoded = JournalEntry(&reader) else {
                throw Journal.damaged("entry \(position) can't be read", path: path)
            }
            if position > applied { try entry(position, decoded) }
        }
        guard reader.isAtEnd else { throw Journal.damaged("a frame holds more than its entries", path: path) }
    }

    /// A frame behind the end that was written when `position` was already durable proves that the frame at the end was
    /// once whole, and acknowledged.
    private static func requireTornEnd(
        _ bytes: UnsafeRawBufferPointer, from end: Int, salt: UInt64, position: UInt64, path: String
    ) throws(StorageError) {
        var offset = end
        while offset + JournalFrame.headerLength <= bytes.count {
            // The cheap test first: what earlier uses of the file left behind is from lower positions.
            if StoredFrame.mayStart(bytes, at: offset, durableFrom: position),
                StoredFrame(bytes, at: offset, salt: salt) != nil
            {
                throw Journal.damaged("entry \(position) fails verification", path: path)
            }
            offset += JournalFrame.alignment
        }
    }

    /// What was read may be in the system's cache only: written but not synced before the process died, or marked clean
    /// by a sync that failed. Writing it once more, and syncing, makes it what it seems to be.
    private static func makeDurable(
        _ file: any StorageFile, _ bytes: UnsafeRawBufferPointer, upTo end: Int, isNeeded: Bool
    ) throws(StorageError) {
        guard isNeeded else { return }
        try file.write([UnsafeRawBufferPointer(rebasing: bytes[SegmentHeader.length..<end])], at: SegmentHeader.length)
        try file.sync()
    }
}
