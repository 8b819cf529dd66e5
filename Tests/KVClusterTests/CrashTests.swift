import Testing

/// Everything is killed at once while clients write.
@Suite struct CrashTests {
    static let clusters: [[String]] = [
        ["file", "file", "file", "file"], ["sqlite", "sqlite", "sqlite", "sqlite"], ["lmdb", "lmdb", "lmdb", "lmdb"],
        ["file", "sqlite", "lmdb", "file"],
    ]

    @Test(arguments: clusters)
    func `every acknowledged write survives kill -9 of everything`(_ backends: [String]) async throws {
        var settings = ClusterSettings()
        settings.backends = backends
        settings.controllerBackend = backends[1]
        try await Cluster.with(settings) { cluster in
            let log = WriteLog()
            for round in 1...2 {
                try await writeUntilTheCrash(cluster, log, round: round)
                try await cluster.start()
                try await log.verify(at: cluster.servers())
            }
            for key in log.keys.prefix(40) {
                try await eventually("\(key) is the same everywhere") { try await cluster.agrees(key) }
            }
            print("\(backends): \(log.count) acknowledged writes of \(log.keys.count) keys survived two crashes")
        }
    }

    /// Eight clients, each with keys of its own, until 400 writes are acknowledged; then the crash, in the middle of it.
    private func writeUntilTheCrash(_ cluster: Cluster, _ log: WriteLog, round: Int) async throws {
        let servers = cluster.servers()
        let goal = log.count + 400
        try await withThrowingTaskGroup(of: Void.self) { group in
            for client in 0..<8 {
                group.addTask {
                    var turn = 0
                    while !Task.isCancelled {
                        turn += 1
                        let key = "client-\(client)-\(turn % 40)"
                        await log.put(key, "\(round).\(turn)", to: servers[(client + turn) % servers.count])
                    }
                }
            }
            group.addTask {
                try await eventually("400 writes are acknowledged", within: .seconds(90)) { log.count >= goal }
                await cluster.destroyAll()
            }
            // The first to end is the crash, or the time's end.
            try await group.next()
            group.cancelAll()
        }
    }
}
