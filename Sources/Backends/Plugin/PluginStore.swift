import CPlugin
import KVProtocols
import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// The open store of an engine, behind a gate: many calls at once, none beside or after the one that closes it, none but
/// that one after a failure that leaves the disk's state unknown.
///
/// `@unchecked Sendable`: `handle` is read while `lock` is held at least for reading and changed while it is held for
/// writing; what is behind it may be used by several threads at once, which is the engine's part.
final class PluginStore: @unchecked Sendable {
    let library: PluginLibrary
    let path: String

    /// `nil` once closed.
    private var handle: OpaquePointer?
    private let lock: UnsafeMutablePointer<pthread_rwlock_t>
    /// Set before `lock` is asked for, so that calls that keep coming can't hold up the one that closes.
    private let isClosing = Atomic<Bool>(false)
    private let isPoisoned = Atomic<Bool>(false)

    /// A call of the engine: its answer is the code.
    typealias Call = (OpaquePointer, UnsafeMutablePointer<kv_error>) -> Int32

    /// - Throws: what the engine says, and `.io` when it says that all is well and gives no store.
    init(_ library: PluginLibrary, _ context: BackendContext) throws(StorageError) {
        let handle = try PluginOpening.open(library, context)
        self.library = library
        path = context.path
        self.handle = handle
        lock = .allocate(capacity: 1)
        PluginStore.require(pthread_rwlock_init(lock, nil))
    }

    deinit {
        if let handle {
            var error = kv_error()
            // Nobody is left to be told; the data is durable since `apply` returned.
            _ = library.functions.close(handle, &error)
        }
        pthread_rwlock_destroy(lock)
        lock.deallocate()
    }

    /// Runs a call, together with others.
    /// - Throws: `.closed`, `.poisoned`, or what the engine answers.
    func use(_ doing: String, _ call: Call) throws(StorageError) {
        guard !isClosing.load(ordering: .acquiring) else { throw closed }
        PluginStore.require(pthread_rwlock_rdlock(lock))
        defer { pthread_rwlock_unlock(lock) }
        guard let handle else { throw closed }
        guard !isPoisoned.load(ordering: .acquiring) else { throw poisoned }
        try check(doing, handle, call)
    }

    /// - Throws: `.closed`, `.poisoned`.
    func requireOpen() throws(StorageError) {
        try use("") { _, _ in Int32(KV_OK) }
    }

    /// Runs the last call, by itself.
    /// - Returns: whether the store was open.
    func end(_ doing: String, evenIfPoisoned: Bool, _ call: Call) throws(StorageError) -> Bool {
        let isOver = isClosing.load(ordering: .acquiring)
        guard evenIfPoisoned || isOver || !isPoisoned.load(ordering: .acquiring) else { throw poisoned }
        isClosing.store(true, ordering: .releasing)
        PluginStore.require(pthread_rwlock_wrlock(lock))
        defer { pthread_rwlock_unlock(lock) }
        guard let handle else { return false }
        self.handle = nil
        try check(doing, handle, call)
        return true
    }

    /// From now on every call but the last is refused.
    func poison() { isPoisoned.store(true, ordering: .releasing) }

    private func check(_ doing: String, _ handle: OpaquePointer, _ call: Call) throws(StorageError) {
        var error = kv_error()
        let code = call(handle, &error)
        guard code != Int32(KV_OK) else { return }
        if code == Int32(KV_POISONED) { poison() }
        throw StorageError(pluginCode: code, error, doing: doing, type: library.type, path: path)
    }

    var closed: StorageError { StorageError(.closed, "the store is closed", path: path) }

    private var poisoned: StorageError {
        StorageError(
            .poisoned, "an earlier write failed such that its outcome is unknown; restart the process", path: path)
    }

    /// For an answer that the interface does not allow.
    func breach(_ what: String) -> StorageError {
        StorageError(
            .io, "the plugin \(library.type) breaks the rules of kv_backend.h: \(what); tell its author", path: path)
    }

    /// The lock's calls fail only when it is misused.
    private static func require(_ code: Int32) {
        precondition(code == 0, "a lock of the plugin backend: error \(code)")
    }
}
