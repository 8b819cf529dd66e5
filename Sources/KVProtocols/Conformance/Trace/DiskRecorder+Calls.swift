#if os(Linux)
import CTrace
import Glibc

extension DiskRecorder {
    func didLeave(_ call: SystemCall, result: Int64) { _ = record(call, result: result) }

    /// Notes what the call did.
    /// - Returns: the events that are new.
    func record(_ call: SystemCall, result: Int64) -> ArraySlice<DiskChange> {
        let before = trace.events.count
        if result >= 0 { recordSuccess(call, result) }
        return trace.events[before...]
    }

    private func recordSuccess(_ call: SystemCall, _ result: Int64) {
        switch call.kind {
        case .write, .pwrite, .writev, .pwritev, .pwritev2: recordWrite(call, Int(result))
        case .open, .openat, .openat2, .creat: recordOpen(call, Int32(truncatingIfNeeded: result))
        case .truncate, .ftruncate, .fallocate: recordLength(call)
        case .fsync, .fdatasync, .syncfs, .sync: recordSync(call)
        case .rename, .renameat, .renameat2, .link, .linkat: recordName(call)
        case .unlink, .unlinkat, .rmdir, .mkdir, .mkdirat, .symlink, .symlinkat: recordEntry(call)
        case .setxattr, .fsetxattr, .removexattr, .fremovexattr: recordAttribute(call)
        default: recordUnusual(call)
        }
    }

    // MARK: Content

    private func recordWrite(_ call: SystemCall, _ count: Int) {
        let tracee = Tracee(thread: call.thread)
        let isMark = call.kind == .write && call.descriptor(0) == WorkerProcess.markDescriptor
        if isMark {
            let text = String(decoding: tracee.bytes(at: call.arguments[1], count: count), as: UTF8.self)
            if let mark = Mark(text.prefix { $0 != "\n" }) { append(.mark(mark)) }
            return
        }
        guard let file = object(call, 0), count > 0 else { return }
        let hasVector = call.kind != .write && call.kind != .pwrite
        let bytes =
            hasVector
            ? tracee.gather(call.arguments[1], call.integer(2), limit: count)
            : tracee.bytes(at: call.arguments[1], count: count)
        guard bytes.count == count, let status = tracee.status(of: call.descriptor(0)) else {
            return gap("a write to \(trace.paths[file] ?? "?") could not be read")
        }
        var offset = status.position - count
        if call.kind == .pwrite || call.kind == .pwritev || call.kind == .pwritev2 && call.integer(3) >= 0 {
            // pwrite to a descriptor that appends appends.
            let appends = status.flags & O_APPEND != 0 || writeFlags(call) & Int(KV_RWF_APPEND) != 0
            offset = appends ? length(of: call) - count : call.integer(3)
        }
        append(.write(file, offset: offset, bytes: bytes))
        if !ignoresSyncs, isWrittenThrough(call, status.flags) {
            append(.sync(.event(trace.events.count - 1), covers: trace.events.count))
        }
    }

    private func writeFlags(_ call: SystemCall) -> Int { call.kind == .pwritev2 ? call.integer(5) : 0 }

    /// Whether a write returns when it is on the medium.
    private func isWrittenThrough(_ call: SystemCall, _ flags: Int32) -> Bool {
        flags & O_DSYNC != 0 || writeFlags(call) & Int(KV_RWF_DSYNC | KV_RWF_SYNC) != 0
    }

    private func length(of call: SystemCall) -> Int {
        var status = stat()
        return stat(Tracee(thread: call.thread).path(of: call.descriptor(0)), &status) == 0 ? Int(status.st_size) : 0
    }

    private func recordLength(_ call: SystemCall) {
        if call.kind == .truncate {
            guard let file = existing(call, path: 0) else { return }
            return append(.resize(file, length: call.integer(1)))
        }
        guard let file = object(call, 0) else { return }
        if call.kind == .ftruncate { return append(.resize(file, length: call.integer(1))) }
        // Mode: 1 keeps the length, 2 makes a hole, 0x10 writes zeroes, others move content.
        let mode = call.integer(1)
        guard mode & ~0x13 == 0 else { return gap("fallocate with mode \(mode) is not understood") }
        if mode & 0x12 != 0 {
            append(.zero(file, offset: call.integer(2), count: call.integer(3), extends: mode & 1 == 0))
        } else if mode == 0 {
            append(.zero(file, offset: call.integer(2) + call.integer(3), count: 0, extends: true))
        }
    }

    private func recordAttribute(_ call: SystemCall) {
        let isByPath = call.kind == .setxattr || call.kind == .removexattr
        guard let file = isByPath ? existing(call, path: 0) : object(call, 0) else { return }
        let tracee = Tracee(thread: call.thread)
        let isSet = call.kind == .setxattr || call.kind == .fsetxattr
        append(
            .attribute(
                file, name: tracee.text(at: call.arguments[1]),
                bytes: isSet ? tracee.bytes(at: call.arguments[2], count: call.integer(3)) : nil))
    }

    private func recordSync(_ call: SystemCall) {
        if call.kind == .sync { return appendSync(.everything, call) }
        guard let object = object(call, 0) else { return }
        if call.kind == .syncfs { return appendSync(.everything, call) }
        let isFolder = isFolder(object)
        appendSync(isFolder ? .folder(object) : .file(object, attributes: call.kind == .fsync), call)
    }

    /// Whether the call makes something below the folder durable, and then, whether it writes that, too.
    func isSync(_ call: SystemCall) -> Bool? {
        switch call.kind {
        case .sync: return false
        case .fsync, .fdatasync, .syncfs: return object(call, 0) == nil ? nil : false
        case .write, .pwrite, .writev, .pwritev, .pwritev2:
            guard object(call, 0) != nil,
                let flags = Tracee(thread: call.thread).status(of: call.descriptor(0))?.flags
            else { return nil }
            return isWrittenThrough(call, flags) ? true : nil
        default: return nil
        }
    }

    // MARK: Names

    private func recordOpen(_ call: SystemCall, _ descriptor: Int32) {
        let hasFolder = call.kind == .openat || call.kind == .openat2
        let flags: Int32 =
            switch call.kind {
            case .creat: O_CREAT | O_TRUNC | O_WRONLY
            case .open: call.descriptor(1)
            case .openat: call.descriptor(2)
            default:
                Int32(truncatingIfNeeded: Tracee(thread: call.thread).number(at: call.arguments[2]))
            }
        guard flags & (O_CREAT | O_TRUNC | Int32(KV_O_TMPFILE)) != 0,
            let place = place(call, path: hasFolder ? 1 : 0, from: hasFolder ? 0 : nil)
        else { return }
        if flags & Int32(KV_O_TMPFILE) != 0 { return gap("a file without a name is not followed") }
        let path = Tracee(thread: call.thread).path(of: descriptor)
        guard hasEntry(place.folder, place.name) else {
            if flags & O_CREAT != 0 { appendNew(place.folder, place.name, isFolder: false, at: path) }
            return
        }
        if flags & O_TRUNC != 0, let file = existing(call, path: hasFolder ? 1 : 0, from: hasFolder ? 0 : nil) {
            append(.resize(file, length: 0))
        }
    }

    private func recordName(_ call: SystemCall) {
        let hasFolders = call.kind != .rename && call.kind != .link
        let from = place(call, path: hasFolders ? 1 : 0, from: hasFolders ? 0 : nil)
        let to = place(call, path: hasFolders ? 3 : 1, from: hasFolders ? 2 : nil)
        if from == nil, to == nil { return }
        if call.kind == .renameat2, call.integer(4) & Int(KV_RENAME_EXCHANGE) != 0 {
            return gap("an exchange of two names is not followed")
        }
        guard let from, let to else { return gap("a name was moved into or out of the folder") }
        if call.kind == .link || call.kind == .linkat {
            guard let object = existing(call, path: hasFolders ? 1 : 0, from: hasFolders ? 0 : nil) else {
                return gap("a link to an unknown file is not followed")
            }
            return appendLink(to, to: object)
        }
        appendRename(from, to)
    }

    private func recordEntry(_ call: SystemCall) {
        let hasFolder = call.kind == .unlinkat || call.kind == .mkdirat
        if call.kind == .symlink || call.kind == .symlinkat {
            let place = call.kind == .symlink ? place(call, path: 1) : place(call, path: 2, from: 1)
            if place != nil { gap("symbolic links are not followed") }
            return
        }
        guard let place = place(call, path: hasFolder ? 1 : 0, from: hasFolder ? 0 : nil) else { return }
        guard call.kind == .mkdir || call.kind == .mkdirat else { return appendRemoval(place) }
        let tracee = Tracee(thread: call.thread)
        let path = tracee.path(
            tracee.text(at: call.arguments[hasFolder ? 1 : 0]), from: hasFolder ? call.descriptor(0) : AT_FDCWD)
        appendNew(place.folder, place.name, isFolder: true, at: path)
    }

    // MARK: The rest

    private func recordUnusual(_ call: SystemCall) {
        switch call.kind {
        case .mmap:
            let isShared = call.integer(3) & 0xF == Int(MAP_SHARED) || call.integer(3) & 0xF == 3
            guard isShared, call.integer(2) & Int(PROT_WRITE) != 0, let file = object(call, 4) else { return }
            appendMap(of: file)
        case .copyFileRange, .splice:
            if object(call, 2) != nil { gap("\(call.kind) is not understood") }
        case .sendfile:
            if object(call, 0) != nil { gap("sendfile is not understood") }
        case .ioctl:
            let request = call.arguments[1] & 0xFFFF_FFFF
            if request == UInt64(KV_FICLONE) || request == UInt64(KV_FICLONERANGE), object(call, 0) != nil {
                gap("sharing blocks between files is not understood")
            }
        case .ioUringSetup: gap("io_uring writes without a call for each write")
        case .ioSetup: gap("asynchronous I/O writes without a call for each write")
        default: break
        }
    }
}
#endif
