/// What went wrong in a storage engine, in the journal, or in a data folder.
public struct StorageError: Error, Sendable, CustomStringConvertible {
    /// Stable names: they appear in logs, metrics and problem documents.
    public enum Code: String, Hashable, Sendable, CaseIterable {
        /// No space or no inodes left. Nothing is lost; writing works again once there is space.
        case full
        /// The disk or the folder can't be written.
        case readOnly = "read_only"
        /// A commit or fsync failed before: nothing is acknowledged until the folder is opened again.
        case poisoned
        /// Stored bytes fail verification.
        case damaged
        /// Another process uses the folder.
        case inUse = "in_use"
        /// The folder holds something else: another backend, a newer format, another cluster's or node's data.
        case foreign
        /// A key, value, name or option is outside the limits.
        case invalid
        /// The file system or library lacks something that the engine needs.
        case unsupported
        /// Reading failed, or another error of the operating system or engine.
        case io
        case closed
    }

    public var code: Code
    /// What happened and what to do about it, in one or two sentences. Never holds a value.
    public var message: String
    /// The engine's or system's own word, such as `ENOSPC` or `SQLITE_CORRUPT (11)`; empty when there is none.
    public var cause: String
    /// The file or folder, if the error has one.
    public var path: String

    public init(_ code: Code, _ message: String, cause: String = "", path: String = "") {
        self.code = code
        self.message = message
        self.cause = cause
        self.path = path
    }

    public var description: String {
        var text = "\(code.rawValue): \(message)"
        if !path.isEmpty { text += " [\(path)]" }
        if !cause.isEmpty { text += " (\(cause))" }
        return text
    }
}
