import CPlugin
import KVProtocols

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// An engine in a shared library: loaded and looked at, but nothing opened yet. Stays loaded as long as the process: an
/// engine may have threads, and code that is unmapped under a thread ends the process.
struct PluginLibrary: Sendable {
    /// As it was configured.
    let name: String
    /// The engine's own name, 1 to 32 bytes of `a-z0-9_`.
    let type: String
    let capabilities: BackendCapabilities
    let functions: Functions

    /// The function pointers of the table, all of which are there.
    struct Functions: Sendable {
        typealias Open =
            @convention(c) (
                UnsafePointer<kv_open>?, UnsafeMutablePointer<OpaquePointer?>?, UnsafeMutablePointer<kv_error>?
            ) -> Int32
        typealias Read =
            @convention(c) (
                OpaquePointer?, UInt32, UInt32, kv_span, Int, kv_sink?, UnsafeMutableRawPointer?,
                UnsafeMutablePointer<kv_error>?
            ) -> Int32
        typealias Scan =
            @convention(c) (
                OpaquePointer?, UnsafePointer<kv_scan>?, kv_visit?, UnsafeMutableRawPointer?,
                UnsafeMutablePointer<kv_error>?
            ) -> Int32
        typealias Apply =
            @convention(c) (
                OpaquePointer?, UnsafePointer<kv_operation>?, Int, UnsafeMutablePointer<kv_error>?
            ) -> Int32
        typealias Statistics =
            @convention(c) (
                OpaquePointer?, UnsafeMutablePointer<kv_statistics>?, UnsafeMutablePointer<kv_error>?
            ) -> Int32
        typealias End = @convention(c) (OpaquePointer?, UnsafeMutablePointer<kv_error>?) -> Int32

        let open: Open
        let read: Read
        let scan: Scan
        let apply: Apply
        let statistics: Statistics
        let close: End
        let destroy: End

        /// `nil` when one is missing.
        init?(_ table: kv_backend_table) {
            guard let open = table.open, let read = table.read, let scan = table.scan, let apply = table.apply,
                let statistics = table.statistics, let close = table.close, let destroy = table.destroy
            else { return nil }
            self.open = open
            self.read = read
            self.scan = scan
            self.apply = apply
            self.statistics = statistics
            self.close = close
            self.destroy = destroy
        }
    }

    /// Loads the library, which runs its initializers, and checks its table. Cheap when it is loaded already.
    /// - Parameter name: a path with a slash, relative to the working directory, or a bare name, which is looked for
    ///   where the system looks for libraries.
    /// - Throws: `.invalid` when there is no such library or it can't be loaded, `.unsupported` when it is none of ours
    ///   or of another version.
    init(_ name: String) throws(StorageError) {
        let table = try PluginLibrary.table(PluginLibrary.symbol(PluginLibrary.load(name), name), name)
        func unusable(_ what: String) -> StorageError { PluginLibrary.unusable(name, what) }
        guard let functions = Functions(table) else { throw unusable("its table lacks a function") }
        guard let type = PluginText.bounded(table.type, 32), PluginText.isWord(type) else {
            throw unusable("its type is not 1 to 32 bytes of a-z0-9_")
        }
        let longest = table.maximum_value_length
        guard longest >= PluginLibrary.leastValueLength else {
            throw unusable("it stores values of at most \(longest) bytes; \(PluginLibrary.leastValueLength) are needed")
        }
        func has(_ flag: Int) -> Bool { table.capabilities & UInt64(flag) != 0 }
        self.name = name
        self.type = type
        self.functions = functions
        capabilities = BackendCapabilities(
            atomicBatches: has(Int(KV_ATOMIC_BATCHES)), durable: has(Int(KV_DURABLE)),
            orderedScan: has(Int(KV_ORDERED_SCAN)),
            // The header of a record is part of what the engine takes for the value.
            maximumValueLength: Int(min(longest - UInt64(RecordHeader.length), UInt64(64 << 20))))
    }

    /// A value of 1 MiB, which every cluster may have, and room for the header in front of it.
    private static let leastValueLength = UInt64(1 << 20 + 64)

    private static func load(_ name: String) throws(StorageError) -> UnsafeMutableRawPointer {
        guard 1...4095 ~= name.utf8.count, !name.utf8.contains(0) else {
            throw StorageError(.invalid, "the name of a library has 1 to 4095 bytes without NUL")
        }
        // Named before the loader tries, whose words for it differ between systems.
        if name.utf8.contains(UInt8(ascii: "/")), access(name, F_OK) != 0, errno == ENOENT {
            throw StorageError(
                .invalid, "there is no library at this path; paths are relative to the working directory",
                cause: "ENOENT", path: name)
        }
        guard let handle = dlopen(name, RTLD_NOW | RTLD_LOCAL) else {
            throw StorageError(
                .invalid,
                "the library can't be loaded; give the path, with a slash, of a shared library that was built for this "
                    + "system, and install the libraries that it needs", cause: loaderMessage(), path: name)
        }
        return handle
    }

    private static func symbol(_ handle: UnsafeMutableRawPointer, _ name: String) throws(StorageError) -> Entry {
        guard let symbol = dlsym(handle, "kv_backend_plugin") else {
            throw unusable(name, "it has no function kv_backend_plugin", cause: loaderMessage())
        }
        return unsafeBitCast(symbol, to: Entry.self)
    }

    private typealias Entry = @convention(c) (UInt32) -> UnsafePointer<kv_backend_table>?

    private static func table(_ entry: Entry, _ name: String) throws(StorageError) -> kv_backend_table {
        let host = UInt32(KV_BACKEND_ABI)
        guard let pointer = entry(host) else {
            throw unusable(name, "it does not offer version \(host) of the interface, the one of this program")
        }
        // All versions start with these two numbers; a table of another version may be shorter than ours.
        let raw = UnsafeRawPointer(pointer)
        let version = raw.loadUnaligned(as: UInt32.self)
        guard version == host else {
            throw unusable(name, "it offers version \(version) of the interface; this program has \(host)")
        }
        let size = Int(raw.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
        guard size >= sizeOfVersion1 else {
            throw unusable(name, "its table has \(size) bytes; version \(host) has \(sizeOfVersion1)")
        }
        // Zeroes for what was added since the library was built.
        var table = kv_backend_table()
        withUnsafeMutableBytes(of: &table) { target in
            target.copyMemory(from: UnsafeRawBufferPointer(start: raw, count: min(size, target.count)))
        }
        return table
    }

    /// Four numbers, two texts and seven functions. What is added to the table later is behind these, and no library of this
    /// version needs it.
    private static let sizeOfVersion1 = 24 + 9 * MemoryLayout<UnsafeRawPointer>.size

    private static func unusable(_ name: String, _ what: String, cause: String = "") -> StorageError {
        StorageError(
            .unsupported,
            "the library is no engine for this program: \(what); build it with this version's kv_backend.h",
            cause: cause, path: name)
    }

    private static func loaderMessage() -> String { dlerror().map { String(cString: $0) } ?? "" }
}
