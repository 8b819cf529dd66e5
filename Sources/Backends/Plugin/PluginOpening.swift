import CPlugin
import KVProtocols

/// Opens an engine's store: texts of the configuration become C strings for the time of the call.
enum PluginOpening {
    static func open(_ library: PluginLibrary, _ context: BackendContext) throws(StorageError) -> OpaquePointer {
        let options = context.options.filter { $0.key != PluginBackend.libraryOption }.sorted { $0.key < $1.key }
        var texts = Texts()
        let path = try texts.append(context.path, "the path of the data folder")
        var places: [(name: Int, value: Int)] = []
        for (name, value) in options {
            places.append((try texts.append(name, "an option's name"), try texts.append(text(value), "option \(name)")))
        }
        guard let partitions = UInt32(exactly: context.partitions), 1...Slot.count ~= context.partitions else {
            throw StorageError(.invalid, "\(context.partitions) partitions; use 1 to \(Slot.count)")
        }
        var error = kv_error()
        var handle: OpaquePointer?
        let code = texts.bytes.withUnsafeBufferPointer { bytes -> Int32 in
            // The texts are never empty: the path ends with a NUL.
            func pointer(_ place: Int) -> UnsafePointer<CChar>? { bytes.baseAddress.map { $0 + place } }
            let list = places.map { kv_option(name: pointer($0.name), value: pointer($0.value)) }
            return list.withUnsafeBufferPointer { list in
                var request = kv_open(
                    path: pointer(path), partitions: partitions, option_count: UInt32(list.count),
                    options: list.baseAddress)
                return library.functions.open(&request, &handle, &error)
            }
        }
        guard code == Int32(KV_OK) else {
            throw StorageError(
                pluginCode: code, error, doing: "the store can't be opened", type: library.type, path: context.path)
        }
        guard let handle else {
            throw StorageError(
                .io, "the plugin \(library.type) opened the store and gave none; tell its author", path: context.path)
        }
        return handle
    }

    /// An option as the engine gets it: numbers in decimal, and `true` or `false`.
    static func text(_ value: OptionValue) -> String {
        switch value {
        case .string(let text): text
        case .integer(let number): "\(number)"
        case .number(let number): "\(number)"
        case .boolean(let value): value ? "true" : "false"
        }
    }

    /// Texts one after the other, each with its final NUL.
    private struct Texts {
        private(set) var bytes: [CChar] = []

        /// - Returns: where the text starts.
        mutating func append(_ text: String, _ what: String) throws(StorageError) -> Int {
            guard !text.utf8.contains(0) else { throw StorageError(.invalid, "\(what) contains a NUL") }
            let place = bytes.count
            bytes += text.utf8CString
            return place
        }
    }
}
