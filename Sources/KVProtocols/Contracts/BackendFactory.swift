/// Opens one type of backend. The registry is a list of these; a third party adds its own to the list.
public struct BackendFactory: Sendable {
    /// The word in the configuration file: `a-z0-9_`.
    public let type: String
    /// One line for `kv backend list`.
    public let summary: String
    /// The names that `options` may have.
    public let options: [String]
    /// Whether the engine comes out of a shared library. The option `library` names it, in the configuration file a field
    /// beside `options`; which other options there are is known to that library alone.
    public let loadsLibrary: Bool
    /// Opens the engine in `context.path`, which exists, belongs to this process alone and has mode 0700; creates it when empty.
    public let open: @Sendable (BackendContext) throws(StorageError) -> any StorageBackend

    public init(
        type: String, summary: String, options: [String] = [], loadsLibrary: Bool = false,
        open: @escaping @Sendable (BackendContext) throws(StorageError) -> any StorageBackend
    ) {
        self.type = type
        self.summary = summary
        self.options = options
        self.loadsLibrary = loadsLibrary
        self.open = open
    }

    /// The option with which a factory that `loadsLibrary` is told the library.
    public static let libraryOption = "library"
}

/// What an engine is opened with.
public struct BackendContext: Sendable {
    /// The data folder. Entries that start with `.kv` belong to the node (journal, lock), not to the engine; an engine that must
    /// have hidden files names them `.backend...`.
    public var path: String
    /// The number of partitions of the cluster; the same at every open of a folder.
    public var partitions: Int
    public var options: [String: OptionValue]

    public init(path: String, partitions: Int, options: [String: OptionValue] = [:]) {
        self.path = path
        self.partitions = partitions
        self.options = options
    }
}

/// A value of an engine's `options` in the configuration file.
public enum OptionValue: Hashable, Sendable {
    case string(String)
    case integer(Int64)
    case number(Double)
    case boolean(Bool)

    public var integer: Int64? {
        if case .integer(let value) = self { value } else { nil }
    }
    public var string: String? {
        if case .string(let value) = self { value } else { nil }
    }
    public var boolean: Bool? {
        if case .boolean(let value) = self { value } else { nil }
    }
}
