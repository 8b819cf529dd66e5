public import KVProtocols

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// The file `.backend-type` in a data folder: which backend it belongs to and for how many partitions it was made.
///
/// Without it, another backend would find none of its own files, take the folder for a new one, and the node would
/// start empty beside its data.
public enum FolderMarker {
    static let fileName = ".backend-type"
    private static let format = 1

    /// A factory that opens as `factory` does, after comparing the folder's marker, or writing it when there is none.
    ///
    /// A marker in a folder that holds nothing else (entries that start with `.kv` aside) is out of date and replaced.
    /// Additional errors of `open`: `.foreign` for another backend's, partition number's or a newer program's folder;
    /// `.readOnly`, `.full` and `.io` when the marker can't be read or written.
    /// - Parameter type: what the marker names where that depends on what is opened; one word. The factory's type unless
    ///   given.
    public static func guarding(
        _ factory: BackendFactory, type: (@Sendable (BackendContext) throws(StorageError) -> String)? = nil
    ) -> BackendFactory {
        BackendFactory(
            type: factory.type, summary: factory.summary, options: factory.options, loadsLibrary: factory.loadsLibrary
        ) { context throws(StorageError) in
            let type = try type?(context) ?? factory.type
            try check(folder: context.path, type: type, partitions: context.partitions)
            return try factory.open(context)
        }
    }

    /// The backend that the folder's marker names; `nil` when there is no marker.
    /// - Throws: `.foreign` when the marker can't be understood, `.io` when it can't be read.
    public static func type(of folder: String) throws(StorageError) -> String? {
        try contents(folder)?.type
    }

    /// The number of partitions that the folder was made for; `nil` when there is no marker.
    /// - Throws: as `type(of:)`.
    public static func partitions(of folder: String) throws(StorageError) -> Int? {
        try contents(folder)?.partitions
    }

    private static func check(folder: String, type: String, partitions: Int) throws(StorageError) {
        guard let found = try contents(folder), try !isEmpty(folder) else {
            return try replace(folder, "format \(format)\ntype \(type)\npartitions \(partitions)\n")
        }
        guard found.type == type else {
            throw StorageError(
                .foreign,
                "the folder holds data of the backend \"\(found.type)\", not \"\(type)\"; set the type back, use "
                    + "another folder, or convert the data", path: folder)
        }
        guard found.partitions == partitions else {
            throw StorageError(
                .foreign,
                "the folder was made for \(found.partitions) partitions, and the cluster has \(partitions); the "
                    + "number is fixed when a cluster is created", path: folder)
        }
    }

    private static func contents(_ folder: String) throws(StorageError) -> (type: String, partitions: Int)? {
        let path = "\(folder)/\(fileName)"
        let descriptor = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw failure("the folder's marker can't be read", path)
        }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 256)
        let count = read(descriptor, &buffer, buffer.count)
        guard count >= 0 else { throw failure("the folder's marker can't be read", path) }
        var fields: [Substring: Substring] = [:]
        for line in String(decoding: buffer[..<count], as: UTF8.self).split(separator: "\n") {
            let parts = line.split(separator: " ", maxSplits: 1)
            if parts.count == 2 { fields[parts[0]] = parts[1] }
        }
        guard fields["format"] == "\(format)", let type = fields["type"],
            let partitions = fields["partitions"].flatMap({ Int($0) })
        else {
            throw StorageError(
                .foreign,
                "the folder's marker was not written by this version; use the newer program, or another folder",
                path: path)
        }
        return (String(type), partitions)
    }

    /// Whether there is nothing but the marker and what belongs to the node. Nobody knows while the folder can't be listed.
    private static func isEmpty(_ folder: String) throws(StorageError) -> Bool {
        guard let stream = opendir(folder) else { throw failure("the folder can't be listed", folder) }
        defer { closedir(stream) }
        while true {
            // It stays 0 at the end of the folder.
            errno = 0
            guard let entry = readdir(stream) else {
                guard errno == 0 else { throw failure("the folder can't be listed", folder) }
                return true
            }
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != "..", name != fileName, name != "lost+found", !name.hasPrefix(".kv") {
                return false
            }
        }
    }

    private static func replace(_ folder: String, _ text: String) throws(StorageError) {
        let path = "\(folder)/\(fileName)"
        let temporary = path + ".new"
        let bytes = Array(text.utf8)
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure("the folder's marker can't be written", path) }
        let isWritten = write(descriptor, bytes, bytes.count) == bytes.count && fsync(descriptor) == 0
        let error = failure("the folder's marker can't be written", path)
        close(descriptor)
        guard isWritten else { throw error }
        guard rename(temporary, path) == 0 else { throw failure("the folder's marker can't be written", path) }
        let directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { throw failure("the folder can't be opened", folder) }
        defer { close(directory) }
        guard fsync(directory) == 0 else { throw failure("the folder can't be synced", folder) }
    }

    private static func failure(_ doing: String, _ path: String) -> StorageError {
        let cause = String(cString: strerror(errno))
        switch errno {
        case EROFS, EACCES, EPERM:
            return StorageError(
                .readOnly, "\(doing); check the folder's owner, its mode and the mount", cause: cause, path: path)
        case ENOSPC, EDQUOT:
            return StorageError(.full, "\(doing): the disk is full; free some space", cause: cause, path: path)
        default:
            return StorageError(.io, doing, cause: cause, path: path)
        }
    }
}
