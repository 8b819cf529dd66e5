public import KVProtocols
import Synchronization

extension FileBackend {
    /// From so many files on, syncing the whole file system is cheaper: on ext4 it takes a quarter of the processor time
    /// per file and a third of the time.
    private static let wholeSyncCount = 32

    /// See `StorageBackend.apply`. One fsync per record and one per folder; of many records, one sync of the file system,
    /// which others that write to it much at the same time make longer. A wipe is all or nothing: it begins with a durable mark, and opening finishes it.
    public func apply(_ batch: [StorageOperation]) throws(StorageError) {
        for operation in batch { try check(operation) }
        try writing.withLock { number throws(StorageError) in
            let folders = try openFolders()
            do throws(StorageError) {
                for run in FileBackend.runs(batch) {
                    if case .wipe(let partition)? = run.first {
                        try wipe(partition, folders, &number)
                    } else {
                        for part in try parts(run, folders) { try apply(part, folders, &number) }
                    }
                }
            } catch {
                if error.code == .poisoned { isPoisoned.store(true, ordering: .relaxed) }
                throw error
            }
        }
    }

    private func check(_ operation: StorageOperation) throws(StorageError) {
        try operation.validate(partitions: partitions, maximumValueLength: capabilities.maximumValueLength)
        guard case .put(let partition, let key, _) = operation else { return }
        guard key.partition(of: partitions) == partition else {
            throw StorageError(
                .invalid,
                "a key was put into partition \(partition), but its slot is in partition "
                    + "\(key.partition(of: partitions)); the file backend stores no other")
        }
        // Most keys are ASCII, and then no string needs to be made.
        guard key.bytes.allSatisfy({ $0 < 0x80 }) || String(validating: key.bytes, as: UTF8.self) != nil else {
            throw StorageError(.invalid, "a key is not UTF-8, so it can't name a file")
        }
    }

    /// Cuts a batch so that within one run no key or name appears twice, removals come last, and a wipe is alone:
    /// within such a run the order of steps that `apply` takes is the order of the operations.
    private static func runs(_ batch: [StorageOperation]) -> [[StorageOperation]] {
        if isAscending(batch) { return [batch] }
        var runs: [[StorageOperation]] = []
        var run: [StorageOperation] = []
        var keys: Set<Key> = []
        var names: Set<String> = []
        var hasRemovals = false
        func end() {
            if !run.isEmpty { runs.append(run) }
            (run, keys, names, hasRemovals) = ([], [], [], false)
        }
        for operation in batch {
            switch operation {
            case .put(_, let key, _):
                if hasRemovals || keys.contains(key) { end() }
                keys.insert(key)
            case .purge(_, let key):
                if keys.contains(key) { end() }
                keys.insert(key)
                hasRemovals = true
            case .metadata(let scope, let name, let value):
                let file = FileFolders.name(scope, name)
                if names.contains(file) || hasRemovals && value != nil { end() }
                names.insert(file)
                hasRemovals = hasRemovals || value == nil
            case .wipe:
                end()
            }
            run.append(operation)
            if case .wipe = operation { end() }
        }
        end()
        return runs
    }

    /// Cuts a run behind every record that takes the place of a tombstone, or the other way round, without being newer. After a
    /// crash between the new name and the removal of the old one, opening keeps the newer of the two, which is then the state
    /// before this operation: none behind it may be there.
    private func parts(
        _ run: [StorageOperation], _ folders: FileFolders
    ) throws(StorageError) -> [ArraySlice<StorageOperation>] {
        var parts: [ArraySlice<StorageOperation>] = []
        var start = 0
        for (index, operation) in run.enumerated() where try replacesNewerElsewhere(operation, folders) {
            parts.append(run[start...index])
            start = index + 1
        }
        if start < run.count { parts.append(run[start...]) }
        return parts
    }

    private func replacesNewerElsewhere(
        _ operation: StorageOperation, _ folders: FileFolders
    ) throws(StorageError) -> Bool {
        guard case .put(let partition, let key, let record) = operation,
            let place = shards[Int(partition.rawValue)].state.withLock({ $0.index.place(of: key) }),
            (place == .tombstone) != record.isTombstone
        else { return false }
        do throws(StorageError) {
            return try folders.header(place, key).map { $0.version >= record.version } ?? false
        } catch  where error.code == .damaged {
            return false
        }
    }

    /// Whether the batch is puts only, each with a higher key or partition than the one before: one run, as callers give
    /// most of theirs.
    private static func isAscending(_ batch: [StorageOperation]) -> Bool {
        var last: (partition: PartitionID, key: Key)?
        for operation in batch {
            guard case .put(let partition, let key, _) = operation else { return false }
            if let last, partition < last.partition || partition == last.partition && key <= last.key { return false }
            last = (partition, key)
        }
        return true
    }

    // MARK: A run

    private func apply(
        _ run: ArraySlice<StorageOperation>, _ folders: FileFolders, _ number: inout UInt64
    ) throws(StorageError) {
        var staged = try stage(run, folders, &number)
        var removals = Removals()
        var failure: StorageError?
        do throws(StorageError) {
            for (operation, temporary) in staged {
                try settle(operation, temporary, folders, &removals)
                staged.removeFirst()
            }
        } catch {
            // A prefix of the run is in place. It is completed below as if it had been the whole run.
            failure = error
            for (_, temporary) in staged { discard(temporary, folders) }
        }
        // New names first, and durable, then old ones away: no crash may leave a key with neither.
        try folders.synced(removals.written)
        if failure == nil {
            for operation in run { try unlist(operation, folders, &removals) }
        }
        try remove(removals, folders)
        if let failure { throw failure }
    }

    /// Writes and syncs a temporary file for every operation that stores something. Nothing is visible yet.
    private func stage(
        _ run: ArraySlice<StorageOperation>, _ folders: FileFolders, _ number: inout UInt64
    ) throws(StorageError) -> ArraySlice<(operation: StorageOperation, temporary: String)> {
        var staged: [(operation: StorageOperation, temporary: String)] = []
        let syncsAll = run.count { $0.storesFile } >= FileBackend.wholeSyncCount
        do throws(StorageError) {
            // Open until they are synced, one by one: fewer than `wholeSyncCount`.
            var open: [StagedFile] = []
            for operation in run where operation.storesFile {
                number += 1
                let name = String(number, radix: 16)
                staged.append((operation, name))
                let file = try folders.temporary.newFile(name)
                try write(operation, to: file)
                if syncsAll { continue }
                file.startWriting()
                open.append(StagedFile(file))
            }
            for file in open { try poisoning(file.file.sync(), folders) }
            if syncsAll { try sync(staged, folders) }
        } catch {
            for (_, temporary) in staged { discard(temporary, folders) }
            throw error
        }
        return staged[...]
    }

    /// A file to be synced; arrays hold no values that can't be copied.
    private final class StagedFile {
        let file: OpenFile
        init(_ file: consuming OpenFile) { self.file = file }
    }

    private func write(_ operation: StorageOperation, to file: borrowing OpenFile) throws(StorageError) {
        switch operation {
        case .put(_, let key, let record):
            if let value = record.value { try file.write(value) }
            try file.setHeader(RecordHeader(record))
            if FileName.withName(of: key, { FileName.isHashed($0) }) {
                try file.setAttribute(OpenFile.keyAttribute, key.bytes)
            }
        case .metadata(let scope, let name, let value?):
            try file.write(FileFolders.metadataContent(FileFolders.name(scope, name), value))
        default: break
        }
    }

    private func poisoning(_ code: Int32, _ folders: FileFolders) throws(StorageError) {
        guard code == 0 else { throw .poisoning(code, path: folders.temporary.path) }
    }

    private func sync(
        _ staged: [(operation: StorageOperation, temporary: String)], _ folders: FileFolders
    ) throws(StorageError) {
        guard let code = folders.temporary.syncFileSystem() else {
            for (_, name) in staged { try sync(name, folders) }
            return
        }
        try poisoning(code, folders)
    }

    private func sync(_ temporary: String, _ folders: FileFolders) throws(StorageError) {
        guard let file = try folders.temporary.file(temporary) else {
            throw StorageError(
                .io, "a temporary file vanished; let nothing else write here", path: folders.temporary.path)
        }
        try poisoning(file.sync(), folders)
    }

    /// Removes a temporary file after a failure; opening the folder would do it as well, so an error changes nothing.
    private func discard(_ temporary: String, _ folders: FileFolders) {
        do throws(StorageError) { try folders.temporary.remove(temporary) } catch {}
    }

    /// Gives a staged file its name, and the index the news.
    private func settle(
        _ operation: StorageOperation, _ temporary: String, _ folders: FileFolders, _ removals: inout Removals
    ) throws(StorageError) {
        switch operation {
        case .put(let partition, let key, let record):
            let place: KeyIndex.Place = record.isTombstone ? .tombstone : .value
            try FileName.withName(of: key) { name throws(StorageError) in
                try folders.temporary.move(temporary, to: folders[place], as: name)
            }
            removals.wrote(folders[place])
            let before = shards[Int(partition.rawValue)].state.withLock { $0.index.set(key, place) }
            if let before, before != place { removals.add(folders[before], FileName.name(of: key), .predecessor) }
        case .metadata(let scope, let name, _):
            try folders.temporary.move(temporary, to: folders.metadata, as: FileFolders.name(scope, name))
            removals.wrote(folders.metadata)
        default: break
        }
    }
}

extension StorageOperation {
    /// Whether a new file holds what this operation stores.
    fileprivate var storesFile: Bool {
        switch self {
        case .put: true
        case .metadata(_, _, let value): value != nil
        case .purge, .wipe: false
        }
    }
}
