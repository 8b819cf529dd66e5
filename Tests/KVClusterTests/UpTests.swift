import Foundation
import Testing

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// `kv up`: a whole cluster from one command.
@Suite struct UpTests {
    @Test func `kv up starts everything, restarts what dies, and stops cleanly with its data kept`() async throws {
        try await Cluster.with(starting: false) { cluster in
            let up = try start(cluster)
            do {
                try await runs(cluster, up)
                try await startsWhatDied(cluster, up)
                try await refusesASecond(cluster)
                #expect(try await cluster.controller.get("/kv/kept").json["value"].string == "value")
                try await stops(cluster, up)
            } catch {
                Issue.record("kv up said:\n\(up.errors)")
                _ = await up.stop(SIGTERM)
                throw error
            }
            let again = try start(cluster)
            defer { again.signal(SIGTERM) }
            try await cluster.healthy()
            #expect(try await cluster.node("worker3").get("/kv/kept").json["value"].string == "value")
            #expect(await again.stop(SIGTERM) == 0)
        }
    }

    @Test func `kv up ends with the reason when a process can't start`() async throws {
        try await Cluster.with(starting: false) { cluster in
            let holder = try #require(Listener(cluster.addresses.listen[2]))
            defer { holder.close() }
            let result = try await run(
                cluster.executable, ["up", "--config", cluster.configuration], log: "\(cluster.folder)/up",
                folder: cluster.folder)
            #expect(result.status == 1)
            #expect(result.errors.contains("127.0.0.1:\(cluster.addresses.listen[2]) is in use"))
            #expect(result.errors.contains("worker3"))
            for folder in cluster.nodes { #expect(running(cluster, folder) == nil, "\(folder) was left running") }
        }
    }

    private func start(_ cluster: Cluster) throws -> TestProcess {
        try TestProcess(
            cluster.executable, ["up", "--config", cluster.configuration], log: "\(cluster.folder)/up",
            folder: cluster.folder)
    }

    private func runs(_ cluster: Cluster, _ up: TestProcess) async throws {
        let address = "http://127.0.0.1:\(cluster.addresses.controller)"
        try await eventually("the address of the web page is shown") {
            try #require(up.isRunning)
            return (up.output + up.errors).contains("open \(address)")
        }
        try await cluster.healthy()
        let page = try await cluster.controller.get("/")
        #expect(page.status == 200)
        #expect(page.headers["content-type"]?.hasPrefix("text/html") == true)
        #expect(try await cluster.node("worker1").put("kept", "value").status == 200)
    }

    private func startsWhatDied(_ cluster: Cluster, _ up: TestProcess) async throws {
        for name in ["worker2", "controller"] {
            let process = try #require(running(cluster, name))
            #expect(kill(process, SIGKILL) == 0)
            try await eventually("\(name) is started again") {
                let other = running(cluster, name)
                return other != nil && other != process
            }
            #expect(up.errors.contains("\(name) "))
            try await cluster.healthy()
        }
    }

    private func refusesASecond(_ cluster: Cluster) async throws {
        let second = try await cluster.failing("up", "--config", cluster.configuration)
        #expect(second.status == 1)
        #expect(second.errors.contains("this cluster is running already"), "\(second.errors)")
    }

    private func stops(_ cluster: Cluster, _ up: TestProcess) async throws {
        let processes = (cluster.nodes + ["controller"]).compactMap { running(cluster, $0) }
        #expect(processes.count == 5)
        #expect(await up.stop(SIGINT) == 0)
        for process in processes { #expect(kill(process, 0) != 0, "process \(process) is left") }
        #expect(up.errors.contains("is stopped"))
        #expect(!up.errors.contains("did not stop cleanly"), "\(up.errors)")
    }

    /// The process that has this data folder open, by what it wrote into its lock.
    private func running(_ cluster: Cluster, _ name: String) -> pid_t? {
        let lock = "\(cluster.folder)/data/\(name)/.kv/lock"
        guard let data = FileManager.default.contents(atPath: lock) else { return nil }
        let text = String(decoding: data, as: UTF8.self)
        guard let process = pid_t(text.trimmingCharacters(in: .whitespacesAndNewlines)) else { return nil }
        return kill(process, 0) == 0 ? process : nil
    }
}
