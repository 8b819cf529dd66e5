internal import KVProtocols

/// Two folders while one's data is carried over into the other, and what is left of the first one afterwards.
///
/// In `.kv` of the new folder stands `converting` until everything is there and verified: without a marker nobody opens
/// it. In `.kv` of the old folder stands `converted` from then on: both have one identity, and only one may go on.
extension DataFolder {
    static let convertingName = "converting"
    static let convertedName = "converted"

    static func refuseConverted(_ path: String, _ disk: any StorageDisk) throws(StorageError) {
        guard let successor = try successor(of: path, disk) else { return }
        throw StorageError(
            .foreign,
            "the data of this folder was converted and lives on in \(successor); use that one, and remove this",
            path: path)
    }

    /// Where the folder's data went; `nil` while it is here, and for a folder that isn't there.
    static func successor(of path: String, _ disk: any StorageDisk) throws(StorageError) -> String? {
        guard try notes(in: path, disk).contains(convertedName) else { return nil }
        return try readText("\(path)/.kv/\(convertedName)", disk)
    }

    /// The names in the `.kv` of a folder; none when one of them isn't there.
    private static func notes(in path: String, _ disk: any StorageDisk) throws(StorageError) -> [String] {
        do {
            guard try disk.names(in: path).contains(".kv") else { return [] }
            return try disk.names(in: "\(path)/.kv")
        } catch  where ["ENOENT", "ENOTDIR"].contains(error.cause) {
            return []
        }
    }

    /// Before the marker is there the data is not: a node that began here would be in its way.
    static func refuseConverting(_ path: String, _ disk: any StorageDisk) throws(StorageError) {
        let notes = try disk.names(in: "\(path)/.kv")
        guard notes.contains(convertingName), !notes.contains(markerName) else { return }
        throw StorageError(
            .foreign,
            "a conversion into this folder was not finished; call `kv backend convert` again as before, which finishes it",
            path: path)
    }

    /// Makes the folder that data is to be converted into, or takes up the one in which the same conversion was interrupted.
    /// - Parameter note: what is converted, and in which state; a conversion of anything else is not taken up.
    /// - Returns: the lock that keeps others out, and whether an interrupted conversion was taken up.
    static func beginConversion(
        into path: String, note: ConversionNote, _ disk: any StorageDisk
    ) throws(StorageError) -> (lock: any StorageLock, isResumed: Bool) {
        try makeDurable(path, disk)
        try checkPermissions(path, disk)
        let hidden = "\(path)/.kv"
        let names = try disk.names(in: path)
        if let first = names.filter(isContent).sorted().first, !names.contains(".kv") {
            throw StorageError(
                .foreign, "the folder to convert into already holds '\(first)'; choose an empty one", path: path)
        }
        try makeDurable(hidden, disk)
        let lock = try disk.lock("\(hidden)/lock")
        let isResumed: Bool
        do throws(StorageError) {
            let notes = try disk.names(in: hidden)
            isResumed = notes.contains(convertingName)
            guard !notes.contains(asideName) else {
                throw StorageError(
                    .foreign, "what the folder to convert into held is still being set aside; choose another",
                    path: path)
            }
            try makeDurable("\(hidden)/journal", disk)
            guard !notes.contains(markerName) else {
                throw StorageError(.foreign, "the folder to convert into holds a node's data already", path: path)
            }
            if isResumed {
                guard try readText("\(hidden)/\(convertingName)", disk) == note.text else {
                    throw StorageError(
                        .foreign,
                        "an interrupted conversion of other data, or of an earlier state of this data, is in the folder; "
                            + "remove the folder and begin again", path: path)
                }
            } else {
                guard !names.contains(where: isContent) else {
                    throw StorageError(.foreign, "the folder to convert into is not empty; choose another", path: path)
                }
                try writeText(note.text, hidden, convertingName, disk)
            }
        } catch {
            lock.release()
            throw error
        }
        return (lock, isResumed)
    }

    /// Forgets a conversion that has written nothing yet, unless an engine has begun in the folder: only that one can go on
    /// there. The folder's lock is held.
    static func abandonConversion(into path: String, _ disk: any StorageDisk) throws(StorageError) {
        guard try !disk.names(in: path).contains(where: isContent) else { return }
        try disk.remove("\(path)/.kv/\(convertingName)")
        try disk.syncFolder("\(path)/.kv")
    }

    /// The note of a conversion into the folder, which has everything; `nil` when there is none.
    static func conversionNote(in path: String, _ disk: any StorageDisk) throws(StorageError) -> ConversionNote? {
        let hidden = "\(path)/.kv"
        guard try notes(in: path, disk).contains(convertingName) else { return nil }
        guard let note = ConversionNote(try readText("\(hidden)/\(convertingName)", disk)) else {
            throw StorageError(
                .damaged, "the note of the conversion can't be read", path: "\(hidden)/\(convertingName)")
        }
        return note
    }

    /// Carries the journal over: after a clean stop it holds nothing but the position from which the next entries count.
    static func copyJournal(from source: String, to target: String, _ disk: any StorageDisk) throws(StorageError) {
        let (from, to) = ("\(source)/.kv/journal", "\(target)/.kv/journal")
        for name in try disk.names(in: to) { try disk.remove("\(to)/\(name)") }
        for name in try disk.names(in: from).sorted() where SegmentHeader.number(of: name) != nil {
            let file = try disk.open("\(from)/\(name)")
            defer { file.close() }
            let copy = try disk.create("\(to)/\(name)", length: file.length)
            defer { copy.close() }
            try copyContent(of: file, to: copy)
            try copy.sync()
        }
        try disk.syncFolder(to)
    }

    private static func copyContent(
        of file: any StorageFile, to copy: any StorageFile
    ) throws(StorageError) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
        defer { buffer.deallocate() }
        var offset = 0
        while offset < file.length {
            let count = try file.read(at: offset, into: buffer)
            guard count > 0 else { return }
            let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
            // The rest of a segment is zero, as it is in a new file.
            if !bytes.allSatisfy({ $0 == 0 }) { try copy.write([bytes], at: offset) }
            offset += count
        }
    }

    /// Hands the data over: from here on the old folder can't be opened, then the new one can. Interrupted in between, it
    /// is finished by another call. The new folder's lock is held.
    static func finishConversion(
        from source: String, to target: String, type: String, identity: UInt64, _ disk: any StorageDisk
    ) throws(StorageError) {
        // What an earlier call wrote it may not have made durable.
        if try successor(of: source, disk) == nil {
            try writeText(target, "\(source)/.kv", convertedName, disk)
        } else {
            try disk.syncFolder("\(source)/.kv")
        }
        if try disk.names(in: "\(target)/.kv").contains(markerName) {
            try disk.syncFolder("\(target)/.kv")
        } else {
            try writeMarker("\(target)/.kv", type: type, identity: identity, disk)
        }
        try disk.remove("\(target)/.kv/\(convertingName)")
        try disk.syncFolder("\(target)/.kv")
    }
}
