import Foundation
import KVBackends
import KVPluginBackend
import KVProtocols
import Testing

/// Which libraries are taken for engines, and what is said of the others.
@Suite struct PluginLibraryTests {
    /// An engine whose functions do nothing, to be changed in one place.
    private static let source = """
        #define _GNU_SOURCE
        #include <string.h>
        #include <sys/mman.h>
        #include <unistd.h>
        #include "kv_backend.h"
        #ifndef ABI
        #define ABI KV_BACKEND_ABI
        #endif
        #ifndef SIZE
        #define SIZE sizeof(kv_backend_table)
        #endif
        #ifndef TYPE
        #define TYPE "test"
        #endif
        #ifndef LONGEST
        #define LONGEST 2 << 20
        #endif
        #ifndef READ
        #define READ read_value
        #endif
        #ifndef DESTROY
        #define DESTROY end
        #endif
        static int32_t open_store(const kv_open *request, kv_store **store, kv_error *error) {
            (void)request; (void)error;
            *store = (kv_store *)&open_store;
            return KV_OK;
        }
        int32_t read_value(kv_store *store, uint32_t space, uint32_t partition, kv_span key, size_t max_bytes,
                           kv_sink sink, void *context, kv_error *error) {
            (void)store; (void)space; (void)partition; (void)key; (void)max_bytes; (void)sink; (void)context; (void)error;
            return KV_OK;
        }
        static int32_t scan(kv_store *store, const kv_scan *request, kv_visit visit, void *context, kv_error *error) {
            (void)store; (void)request; (void)visit; (void)context; (void)error;
            return KV_OK;
        }
        static int32_t apply(kv_store *store, const kv_operation *operations, size_t count, kv_error *error) {
            (void)store; (void)operations; (void)count; (void)error;
            return KV_OK;
        }
        static int32_t statistics(kv_store *store, kv_statistics *statistics, kv_error *error) {
            (void)store; (void)statistics; (void)error;
            return KV_OK;
        }
        int32_t end(kv_store *store, kv_error *error) { (void)store; (void)error; return KV_OK; }
        const kv_backend_table *kv_backend_plugin(uint32_t host_abi) {
            static const kv_backend_table table = {
                ABI, SIZE, TYPE, "for\\ntests", KV_ATOMIC_BATCHES | 1ull << 63, LONGEST,
                open_store, READ, scan, apply, statistics, end, DESTROY,
            };
        #ifdef NO_TABLE
            (void)table; (void)host_abi;
            return NULL;
        #elif defined(AT_THE_EDGE)
            // Whoever reads behind the table's end is ended.
            size_t page = (size_t)sysconf(_SC_PAGESIZE);
            char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (pages == MAP_FAILED || mprotect(pages + page, page, PROT_NONE)) return NULL;
            return host_abi == KV_BACKEND_ABI ? memcpy(pages + page - sizeof table, &table, sizeof table) : NULL;
        #else
            return host_abi == KV_BACKEND_ABI ? &table : NULL;
        #endif
        }
        """

    private func open(_ library: String, _ folder: TestFolder) throws(StorageError) -> any StorageBackend {
        try BackendRegistry.open(
            type: "plugin",
            BackendContext(
                path: folder.path, partitions: 8, options: ["library": .string(library), "other": .integer(1)]))
    }

    private func failure(_ library: String, _ folder: TestFolder) -> StorageError? {
        #expect(throws: StorageError.self) { _ = try open(library, folder) }
    }

    @Test("the example engines compile without warnings")
    func examples() {
        #expect(PluginExamples.failure == nil)
    }

    @Test("a library with a whole table is an engine, with the capabilities that it claims")
    func good() throws {
        let folder = try TestFolder()
        let data = try TestFolder()
        let library = try PluginExamples.compile(Self.source, in: folder.path)
        let backend = try open(library, data)
        #expect(
            backend.capabilities
                == BackendCapabilities(
                    atomicBatches: true, durable: false, orderedScan: false,
                    maximumValueLength: 2 << 20 - RecordHeader.length))
        #expect(try backend.read(PartitionID(0), Key("k")) == nil)
        #expect(try FolderMarker.type(of: data.path) == "plugin:test")
        try backend.close()
    }

    @Test(
        "of a newer, longer table what is known is read; one may store more than a cluster may have",
        arguments: ["sizeof(kv_backend_table)+64", "200", "UINT32_MAX"])
    func longer(size: String) throws {
        let folder = try TestFolder()
        let library = try PluginExamples.compile(
            Self.source, in: folder.path, flags: ["-DSIZE=\(size)", "-DAT_THE_EDGE", "-DLONGEST=UINT64_MAX"])
        let backend = try open(library, try TestFolder())
        #expect(backend.capabilities.maximumValueLength == 64 << 20)
        try backend.close()
    }

    @Test(
        "a library that is no engine for this program is refused with the reason",
        arguments: [
            ("-DABI=2", "it offers version 2 of the interface; this program has 1"),
            ("-DABI=0", "it offers version 0"),
            ("-DNO_TABLE", "it does not offer version 1"),
            ("-DSIZE=8", "its table has 8 bytes"),
            // What version 1 of the interface has, however long the table of this program is.
            ("-DSIZE=95", "its table has 95 bytes; version 1 has 96"),
            ("-DREAD=NULL", "its table lacks a function"),
            ("-DDESTROY=NULL", "its table lacks a function"),
            ("-DTYPE=NULL", "its type is not"),
            ("-DTYPE=\"\"", "its type is not"),
            ("-DTYPE=\"Rocks\"", "its type is not"),
            ("-DTYPE=\"a b\"", "its type is not"),
            ("-DTYPE=\"a/../b\"", "its type is not"),
            ("-DTYPE=\"abcdefghijklmnopqrstuvwxyz0123456\"", "its type is not"),
            ("-DLONGEST=1000", "it stores values of at most 1000 bytes"),
            ("-Dkv_backend_plugin=another_name", "it has no function kv_backend_plugin"),
        ])
    func refused(flag: String, reason: String) throws {
        let folder = try TestFolder()
        let data = try TestFolder()
        let library = try PluginExamples.compile(Self.source, in: folder.path, flags: [flag])
        let error = failure(library, data)
        #expect(error?.code == .unsupported)
        #expect(error?.path == library)
        #expect(error?.message.contains(reason) == true, "\(String(describing: error))")
        #expect(data.files.isEmpty, "the folder is not marked")
    }

    @Test("a path without a library, and a file that is none, are named")
    func noLibrary() throws {
        let folder = try TestFolder()
        let absent = failure("\(folder.path)/absent.so", folder)
        #expect(absent?.code == .invalid && absent?.path == "\(folder.path)/absent.so")
        #expect(absent?.message.contains("there is no library at this path") == true)
        let text = "\(folder.path)/text.so"
        try "no library".write(toFile: text, atomically: true, encoding: .utf8)
        for path in [text, folder.path, "libkv_that_nobody_has.so"] {
            let error = failure(path, folder)
            #expect(error?.code == .invalid && error?.path == path, "\(path)")
            #expect(error?.message.contains("can't be loaded") == true, "\(path)")
            #expect(error?.cause.isEmpty == false, "\(path): the system's own word is missing")
        }
        for path in ["", "a\u{0}b", String(repeating: "x", count: 4096)] {
            #expect(failure(path, folder)?.code == .invalid, "\(path)")
        }
    }

    @Test("a library that needs a symbol that nobody has is refused when it is loaded, not when it is used")
    func missingSymbol() throws {
        let folder = try TestFolder()
        let source = Self.source + "\nextern int nobody_has_this(void);\nint use(void) { return nobody_has_this(); }\n"
        let error = failure(try PluginExamples.compile(source, in: folder.path), folder)
        #expect(error?.code == .invalid)
        #expect(error?.cause.contains("nobody_has_this") == true)
    }

    @Test("a plugin without a library is refused")
    func noOption() throws {
        let folder = try TestFolder()
        let context = BackendContext(path: folder.path, partitions: 8)
        let error = #expect(throws: StorageError.self) { _ = try BackendRegistry.open(type: "plugin", context) }
        #expect(error?.code == .invalid)
        #expect(error?.message.contains("library") == true)
    }

    @Test("one plugin's folder is refused by another")
    func marker() throws {
        let folder = try TestFolder()
        let data = try TestFolder()
        let one = try PluginExamples.compile(Self.source, in: folder.path, name: "one", flags: ["-DTYPE=\"one\""])
        let two = try PluginExamples.compile(Self.source, in: folder.path, name: "two", flags: ["-DTYPE=\"two\""])
        try open(one, data).close()
        try "data".write(toFile: "\(data.path)/file", atomically: true, encoding: .utf8)
        let error = failure(two, data)
        #expect(error?.code == .foreign)
        #expect(error?.message.contains("\"plugin:one\", not \"plugin:two\"") == true)
        try open(one, data).close()
    }
}
