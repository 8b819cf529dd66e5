import KVProtocols
import Synchronization

extension FileBackend {
    /// What is left to do once the new names of a run are durable.
    struct Removals {
        enum Origin {
            /// A record in another folder has taken its place.
            case predecessor
            case purge(PartitionID, Key, KeyIndex.Place)
            case metadata
        }

        fileprivate var files: [(folder: Folder, name: String, origin: Origin)] = []
        fileprivate var folders: [Folder] = []
        /// Folders that got new names.
        private(set) var written: [Folder] = []

        mutating func add(_ folder: Folder, _ name: String, _ origin: Origin) {
            files.append((folder, name, origin))
            if !folders.contains(where: { $0 === folder }) { folders.append(folder) }
        }

        mutating func wrote(_ folder: Folder) {
            if !written.contains(where: { $0 === folder }) { written.append(folder) }
        }
    }

    /// Takes what shall be forgotten out of the index, so that no reader looks for a file that is about to go.
    func unlist(
        _ operation: StorageOperation, _ folders: FileFolders, _ removals: inout Removals
    ) throws(StorageError) {
        switch operation {
        case .purge(let partition, let key):
            if let place = shards[Int(partition.rawValue)].state.withLock({ $0.index.remove(key) }) {
                removals.add(folders[place], FileName.name(of: key), .purge(partition, key, place))
            }
        case .metadata(let scope, let name, nil):
            removals.add(folders.metadata, FileFolders.name(scope, name), .metadata)
        default: break
        }
    }

    /// Removes the files, in order, and makes that durable.
    /// - Throws: `.poisoned` when a predecessor stays: opening the folder decides between the two, and this run can't end
    ///   before. Else what the system said; the rest is listed again, as if the batch had ended there.
    func remove(_ removals: Removals, _ folders: FileFolders) throws(StorageError) {
        for (index, file) in removals.files.enumerated() {
            do throws(StorageError) {
                try file.folder.remove(file.name)
            } catch {
                for (_, _, origin) in removals.files[index...] {
                    switch origin {
                    case .predecessor: throw FileBackend.unfinished(error)
                    case .purge(let partition, let key, let place):
                        shards[Int(partition.rawValue)].state.withLock { _ = $0.index.set(key, place) }
                    case .metadata: break
                    }
                }
                try folders.synced(removals.folders)
                throw error
            }
        }
        try folders.synced(removals.folders)
    }

    func wipe(_ partition: PartitionID, _ folders: FileFolders, _ number: inout UInt64) throws(StorageError) {
        number += 1
        let temporary = String(number, radix: 16)
        let code = try folders.temporary.newFile(temporary).sync()
        guard code == 0 else { throw .poisoning(code, path: folders.temporary.path) }
        try folders.temporary.move(temporary, to: folders.metadata, as: FileFolders.wipeMark(partition))
        try folders.synced([folders.metadata])
        let keys = shards[Int(partition.rawValue)].state.withLock { shard in
            let keys = shard.index.page(after: nil, prefix: [], limit: .max).keys
            shard.index = KeyIndex()
            return keys
        }
        do throws(StorageError) {
            try folders.finishWipe(partition, keys)
        } catch {
            // The mark stays: opening the folder would wipe what was written behind it.
            throw FileBackend.unfinished(error)
        }
    }

    private static func unfinished(_ error: StorageError) -> StorageError {
        if error.code == .poisoned { return error }
        return StorageError(
            .poisoned,
            "a file can't be removed, so the batch was left half done; restart the node, which finishes it "
                + "(\(error.message))", cause: error.cause, path: error.path)
    }
}
