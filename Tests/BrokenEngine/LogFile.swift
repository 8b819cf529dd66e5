import Glibc
import KVProtocols

/// The files of `BrokenEngine`.
struct LogFile: Sendable {
    private let path: String
    private let fault: BrokenEngine.Fault
    private let descriptor: Int32
    private let folder: Int32
    /// Up to where batches are committed.
    private(set) var end: Int

    init(_ path: String, _ fault: BrokenEngine.Fault) throws(StorageError) {
        self.path = path
        self.fault = fault
        folder = try LogFile.open(path, O_RDONLY | O_DIRECTORY, fault)
        do throws(StorageError) {
            let sync = fault == .ignoresFailedDirectWrite ? O_DSYNC : 0
            descriptor = try LogFile.open("\(path)/log", O_RDWR | O_CREAT | sync, fault)
        } catch {
            Glibc.close(folder)
            throw error
        }
        end = 0
        do throws(StorageError) {
            end = try committedEnd()
            // Whoever reads what another process renamed needs it to stay.
            if fault != .renamesWithoutFolderSync, fault != .opensWithoutSync { try sync(folder) }
            var status = stat()
            guard fstat(descriptor, &status) == 0, Int(status.st_size) >= end || fault == .losesOldRecords else {
                throw StorageError(.damaged, "the log was cut off; restore it", path: path)
            }
        } catch {
            close()
            throw error
        }
    }

    func close() {
        Glibc.close(descriptor)
        Glibc.close(folder)
    }

    private static func open(_ path: String, _ flags: Int32, _ fault: BrokenEngine.Fault) throws(StorageError) -> Int32
    {
        let descriptor = Glibc.open(path, flags | O_CLOEXEC, 0o600)
        if descriptor < 0, errno == EMFILE, fault == .diesWithoutDescriptor { abort() }
        guard descriptor >= 0 else { throw failure(path) }
        return descriptor
    }

    private static func failure(_ path: String) -> StorageError {
        let cause = String(cString: strerror(errno))
        return errno == ENOSPC
            ? StorageError(.full, "the disk is full; free some space", cause: cause, path: path)
            : StorageError(.io, "the file can't be used", cause: cause, path: path)
    }

    private func committedEnd() throws(StorageError) -> Int {
        let file = Glibc.open("\(path)/end", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else {
            if errno == ENOENT { return 0 }
            throw LogFile.failure(path)
        }
        defer { Glibc.close(file) }
        var words: [UInt64] = [0, 0]
        let count = words.withUnsafeMutableBytes { Glibc.pread(file, $0.baseAddress, 16, 0) }
        guard count >= 0 else { throw LogFile.failure(path) }
        guard count == 16, words[1] == ~words[0] else { throw StorageError(.damaged, "end is damaged", path: path) }
        return Int(words[0])
    }

    /// The length of the log, committed or not.
    var length: Int {
        var status = stat()
        return fstat(descriptor, &status) == 0 ? Int(status.st_size) : 0
    }

    func read(_ offset: Int, _ count: Int) throws(StorageError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let got = count == 0 ? 0 : pread(descriptor, &bytes, count, off_t(offset))
        if got < 0, fault != .inventsOnFailedRead { throw LogFile.failure(path) }
        guard got == count || fault == .inventsOnFailedRead || fault == .servesWithoutChecksum else {
            throw StorageError(.damaged, "the log is too short", path: path)
        }
        return bytes
    }

    private func write(_ bytes: [UInt8], _ file: Int32, _ offset: Int) throws(StorageError) {
        var done = 0
        while done < bytes.count {
            let got = bytes.withUnsafeBytes {
                pwrite(file, $0.baseAddress?.advanced(by: done), bytes.count - done, off_t(offset + done))
            }
            if got < 0, fault == .ignoresFull { return }
            guard got >= 0 else { throw LogFile.failure(path) }
            done += got
        }
    }

    /// Writes the log such that it is durable when this returns; unless the fault says otherwise.
    private func writeThrough(_ bytes: [UInt8]) throws(StorageError) {
        switch fault {
        case .acknowledgesBeforeSync: try write(bytes, descriptor, end)
        case .ignoresFailedDirectWrite: _ = pwrite(descriptor, bytes, bytes.count, off_t(end))
        case .ignoresFailedFlaggedWrite:
            var bytes = bytes
            _ = bytes.withUnsafeMutableBytes { buffer in
                var part = iovec(iov_base: buffer.baseAddress, iov_len: buffer.count)
                return LogFile.pwritev2?(descriptor, &part, 1, off_t(end), LogFile.sync)
            }
        default:
            try write(bytes, descriptor, end)
            try sync(descriptor)
        }
    }

    /// `RWF_DSYNC` and `pwritev2`, which Swift's Glibc module leaves out.
    private static let sync: Int32 = 2
    private static let pwritev2 = dlsym(nil, "pwritev2").map {
        unsafeBitCast($0, to: (@convention(c) (Int32, UnsafePointer<iovec>, Int32, off_t, Int32) -> Int).self)
    }

    private func sync(_ file: Int32) throws(StorageError) {
        if fault == .neverSyncs { return }
        guard fsync(file) == 0 || fault == .ignoresFailedSync else {
            throw StorageError(
                .poisoned, "a sync failed; open the folder again", cause: String(cString: strerror(errno)), path: path)
        }
    }

    mutating func commit(_ bytes: [UInt8]) throws(StorageError) {
        let next = end + bytes.count
        if fault == .commitsBeforeLog { try replaceEnd(next) }
        try writeThrough(bytes)
        if fault != .commitsBeforeLog { try replaceEnd(next) }
        end = next
    }

    /// The log behind a commit.
    func committing(_ bytes: [UInt8]) throws(StorageError) -> LogFile {
        var log = self
        try log.commit(bytes)
        return log
    }

    private func replaceEnd(_ end: Int) throws(StorageError) {
        let file = try LogFile.open("\(path)/end.new", O_WRONLY | O_CREAT | O_TRUNC, fault)
        defer { Glibc.close(file) }
        let bytes = [UInt64(end), ~UInt64(end)].withUnsafeBytes { Array($0) }
        try write(bytes, file, 0)
        try sync(file)
        guard rename("\(path)/end.new", "\(path)/end") == 0 else { throw LogFile.failure(path) }
        if fault != .renamesWithoutFolderSync { try sync(folder) }
    }
}
