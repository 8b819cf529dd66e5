import KVFileBackend
import KVMemoryBackend
import KVPluginBackend
public import KVProtocols

#if LMDB
import KVLMDBBackend
#endif
#if SQLite
import KVSQLiteBackend
#endif

/// The one list of backends. A third party's engine is one more line in `standard`.
///
/// Factories of this list (all but `memory`) write a small file `.backend-type` into a data folder and refuse a folder
/// that holds another backend's data or was made for another number of partitions; see `FolderMarker`.
public enum BackendRegistry {
    /// Every backend that was compiled in, in the order in which `kv backend list` shows them.
    public static let standard: [BackendFactory] = {
        var list = [MemoryBackend.factory, FolderMarker.guarding(FileBackend.factory)]
        #if SQLite
        list.append(FolderMarker.guarding(SQLiteBackend.factory))
        #endif
        #if LMDB
        list.append(FolderMarker.guarding(LMDBBackend.factory))
        #endif
        list.append(
            FolderMarker.guarding(PluginBackend.factory) { context throws(StorageError) in
                try PluginBackend.folderType(context)
            })
        return list
    }()

    /// Backends that exist but may have been left out when the program was compiled: type and package trait.
    private static let traits = ["sqlite": "SQLite", "lmdb": "LMDB"]

    /// The factory whose `type` is exactly `type`. O(number of backends).
    /// - Parameter list: where to look; `standard` unless an embedding program has its own list.
    /// - Throws: `.unsupported` when the backend exists but was not compiled in, `.invalid` when there is none of that
    ///   name; both messages list the types that may be used.
    public static func factory(
        type: String, in list: [BackendFactory] = standard
    ) throws(StorageError) -> BackendFactory {
        if let found = list.first(where: { $0.type == type }) { return found }
        let known = list.map(\.type).joined(separator: ", ")
        if let trait = traits[type] {
            throw StorageError(
                .unsupported,
                "the backend \"\(type)\" was not compiled in; build with --traits \(trait), or use one of: "
                    + known)
        }
        throw StorageError(.invalid, "there is no backend \"\(type)\"; use one of: \(known)")
    }

    /// Opens `context.path` with the backend `type`, after checking the names of its options, which for a library's
    /// engine the library does.
    /// - Throws: what `factory(type:in:)` and the backend's `open` throw, and `.invalid` for an option it doesn't have.
    public static func open(
        type: String, _ context: BackendContext, in list: [BackendFactory] = standard
    ) throws(StorageError) -> any StorageBackend {
        let factory = try factory(type: type, in: list)
        let isAnyOptionKnown = factory.loadsLibrary
        let unknown = context.options.keys.filter { !isAnyOptionKnown && !factory.options.contains($0) }.sorted()
        guard unknown.isEmpty else {
            let known = factory.options.isEmpty ? "it has none" : "it has: " + factory.options.joined(separator: ", ")
            throw StorageError(
                .invalid, "the backend \"\(type)\" has no option \(unknown.joined(separator: ", ")); \(known)")
        }
        return try factory.open(context)
    }
}
