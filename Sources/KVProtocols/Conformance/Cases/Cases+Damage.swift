import KVProtocols

extension ConformanceSuite {
    static let damageCases: [ConformanceCase] = [
        ConformanceCase("two stored values that changed places are both noticed", needs: .damage) { store in
            let keys = try [Key("{t}one"), Key("{t}two")]
            let other = try Key("{t}bystander")
            let values = ["the first of two values, 5be1c0de", "the other of the values, 91f3a7d2"].map {
                Array($0.utf8)
            }
            try store.put(other, [9])
            for (key, value) in zip(keys, values) { try store.put(key, value) }
            try store.backend.close()
            try StoredBytes.swap(store.folder, values[0], Array(values[1].prefix(values[0].count)))
            store.figures.damages += 1
            try store.open()
            for key in keys { try store.expect(.damaged, "read of \(key)") { _ = try store.read(key) } }
            try store.expectEqual(store.read(other)?.value, [9], "the record beside them")
        },
        ConformanceCase("metadata damaged on the disk is noticed", needs: .damage) { store in
            let value = Array("metadata that occurs nowhere else: 3d0f77aa".utf8)
            try store.backend.apply([.metadata(.node, "identity", value), .metadata(.node, "other", [1])])
            try store.backend.close()
            try store.suite.damage(store.folder, Key("unused"), value)
            store.figures.damages += 1
            try store.open()
            try store.expect(.damaged, "metadata") { _ = try store.backend.metadata(.node, "identity") }
            try store.expectEqual(store.backend.metadata(.node, "other"), [1], "the metadata beside it")
        },
        ConformanceCase(
            "when any file was cut off the store is refused, or each record is right, an error, or gone with all newer ones",
            needs: .worker
        ) { store in
            try CutOffFiles(store).run()
        },
    ]
}

/// Fills a store, closes it, cuts one file off, and lets a worker look what the engine makes of it.
private struct CutOffFiles {
    let store: ConformanceStore
    private let scratch: ScratchFolder

    init(_ store: ConformanceStore) throws {
        self.store = store
        scratch = try ScratchFolder(in: store.suite.temporaryFolder)
    }

    func run() throws {
        let original = try filled()
        var cuts: [(file: String, length: Int)] = []
        for file in FileTree.files(below: original) {
            let size = FileTree.content(file).count
            let lengths = [0, 1, size / 2, size / 4096 * 4096, size - 4096, size - 512, size - 1]
            for length in Set(lengths).sorted() where 0..<size ~= length { cuts.append((file, length)) }
        }
        var random = RandomNumbers(seed: store.seed)
        let bound = store.suite.isLong ? 2_000 : 40
        while cuts.count > bound { cuts.remove(at: random.below(cuts.count)) }
        for (file, length) in cuts {
            let copy = try scratch.empty("copy")
            try FileTree.copy(original, to: copy)
            let path = file.dropFirst(original.count)
            try FileTree.truncate(copy + path, to: length)
            do {
                try store.runWorker(.inspection, in: copy)
            } catch let failure as ConformanceFailure {
                throw ConformanceFailure("with \(path.dropFirst()) cut off after \(length) bytes: \(failure.message)")
            }
            store.figures.damages += 1
        }
    }

    private func filled() throws -> String {
        let folder = try scratch.empty("original")
        let context = BackendContext(
            path: folder, partitions: ConformanceSuite.partitions, options: store.suite.options)
        let backend = try store.suite.factory.open(context)
        for batch in Workload(seed: store.seed, isLong: false).batches { try backend.apply(batch) }
        try backend.close()
        return folder
    }
}
