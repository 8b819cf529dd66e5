internal import KVProtocols

extension StorageView {
    /// One page of the merged view. Without changes in the overlay it costs what the backend's page costs, otherwise
    /// also O(m log m) for the m overlaid keys of the partition.
    func scan(_ request: ScanRequest) throws(StorageError) -> ScanPage {
        let index = Int(request.partition.rawValue)
        let isWiped = active.partitions[index].isWiped || flushing.partitions[index].isWiped
        let overlaid = overlaidEntries(request)
        if overlaid.isEmpty && !isWiped { return try backend.scan(request) }

        var merge = ScanMerge(overlaid, limit: max(request.limit, 1), values: request.values)
        var below = request
        while true {
            let page = isWiped ? ScanPage(entries: [], isLast: true) : try backend.scan(below)
            guard page.isLast || !page.entries.isEmpty else {
                throw StorageError(.io, "the backend returned an empty page that is not the last one")
            }
            if let result = merge.add(page) { return result }
            // Everything on that page was purged: the caller needs an entry to go on from.
            below.after = page.entries.last?.key
        }
    }

    /// The overlay's entries that the request asks for, newest generation first, in order of keys.
    private func overlaidEntries(_ request: ScanRequest) -> [(key: Key, entry: OverlayEntry)] {
        let index = Int(request.partition.rawValue)
        func isWanted(_ key: Key) -> Bool {
            if let after = request.after, OverlayKey.compare(key, after) <= 0 { return false }
            return request.prefix.isEmpty || key.hasPrefix(request.prefix)
        }
        var result: [(key: Key, entry: OverlayEntry)] = []
        for (key, entry) in active.partitions[index].entries where isWanted(key.key) {
            result.append((key.key, entry))
        }
        if isFlushing, !active.partitions[index].isWiped {
            for (key, entry) in flushing.partitions[index].entries
            where isWanted(key.key) && active.partitions[index].entries[key] == nil {
                result.append((key.key, entry))
            }
        }
        return result.sorted { OverlayKey.compare($0.key, $1.key) < 0 }
    }
}

/// Merges pages of the backend with the overlay's entries, which win.
private struct ScanMerge {
    private let overlaid: [(key: Key, entry: OverlayEntry)]
    private var next = 0
    private let limit: Int
    private let values: Bool
    private var result: [ScanPage.Entry] = []

    init(_ overlaid: [(key: Key, entry: OverlayEntry)], limit: Int, values: Bool) {
        self.overlaid = overlaid
        self.limit = limit
        self.values = values
    }

    /// Takes the next page of the backend; `nil` asks for one more. Keys of the overlay behind the page wait: the backend may
    /// have others before them.
    mutating func add(_ page: ScanPage) -> ScanPage? {
        var index = 0
        let bound = page.isLast ? nil : page.entries.last?.key
        while result.count < limit {
            let stored = index < page.entries.count ? page.entries[index] : nil
            let staged = next < overlaid.count ? overlaid[next] : nil
            guard let staged, isWithin(staged.key, bound) else {
                guard let stored else { break }
                result.append(stored)
                index += 1
                continue
            }
            let order = stored.map { OverlayKey.compare(staged.key, $0.key) } ?? -1
            if order > 0, let stored {
                result.append(stored)
                index += 1
                continue
            }
            if order == 0 { index += 1 }
            next += 1
            if case .record(let record) = staged.entry {
                result.append(ScanPage.Entry(key: staged.key, record: values ? record : withoutValue(record)))
            }
        }
        let isExhausted = page.isLast && index == page.entries.count && next == overlaid.count
        if result.isEmpty && !isExhausted && !page.isLast { return nil }
        return ScanPage(entries: result, isLast: isExhausted)
    }

    private func isWithin(_ key: Key, _ bound: Key?) -> Bool {
        guard let bound else { return true }
        return OverlayKey.compare(key, bound) <= 0
    }

    private func withoutValue(_ record: Record) -> Record {
        var record = record
        if record.value != nil { record.value = [] }
        return record
    }
}
