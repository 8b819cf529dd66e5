/// What must hold between values of different places.
extension ClusterDraft {
    func checkRelations(_ problems: inout ProblemLog) {
        checkTimes(&problems)
        checkReplicas(&problems)
        checkNetwork(&problems)
        checkNames(&problems)
        checkAddresses(&problems)
        checkFolders(&problems)
    }

    private func checkTimes(_ problems: inout ProblemLog) {
        guard let heartbeat, let failAfter, failAfter.value <= 2 * heartbeat.value else { return }
        problems.report(
            failAfter,
            "\(failAfter.value) must be more than twice heartbeat_ms \(heartbeat.value), "
                + "or one late heartbeat would count as a failure")
    }

    private func checkReplicas(_ problems: inout ProblemLog) {
        guard let replicas, let nodeCount, replicas.value > nodeCount, policy != nil else { return }
        problems.report(
            replicas, "\(replicas.value) replicas need as many nodes, there are \(nodeCount); add nodes or lower it")
    }

    private func checkNetwork(_ problems: inout ProblemLog) {
        guard let allowInsecureNetwork, !allowInsecureNetwork.value else { return }
        for listener in listeners where !listener.address.value.isLoopback {
            problems.report(
                listener.address,
                "other machines could reach \(listener.address.value), and nothing is encrypted or authenticated yet; "
                    + "listen on 127.0.0.1, or, on a network where you trust every machine, "
                    + "set $.cluster.allow_insecure_network to true")
        }
    }

    private func checkNames(_ problems: inout ProblemLog) {
        var seen: [String: String] = [:]
        for name in nodes.compactMap(\.name) {
            if let first = seen[name.value] {
                problems.report(name, "\(quoted(name.value)) is already the name at \(first)")
            } else {
                seen[name.value] = name.path
            }
        }
    }

    /// Advertised addresses differ in the whole cluster; listening ones differ among processes that seem to share a
    /// machine, which is to say those that advertise the same host.
    private func checkAddresses(_ problems: inout ProblemLog) {
        var seen: [Located<NetworkAddress>] = []
        for address in advertised {
            if let first = seen.first(where: { $0.value.collides(with: address.value) }) {
                problems.report(address, "\(address.value) is already the address at \(first.path)")
            } else {
                seen.append(address)
            }
        }
        var taken: [Listener] = []
        for listener in listeners {
            let first = taken.first {
                $0.machine == listener.machine && $0.address.value.collides(with: listener.address.value)
            }
            taken.append(listener)
            // Where the advertised address is the same one by default, the loop above has reported it.
            guard let first, !isReportedAsAdvertised(listener, first) else { continue }
            problems.report(
                listener.address,
                "\(listener.address.value) is already taken on this machine by \(first.address.path)")
        }
    }

    private func isReportedAsAdvertised(_ one: Listener, _ other: Listener) -> Bool {
        guard let left = one.advertised?.value, let right = other.advertised?.value else { return false }
        return left.collides(with: right)
    }

    /// Data folders differ, and none lies in another, among processes that seem to share a machine.
    private func checkFolders(_ problems: inout ProblemLog) {
        var seen: [(path: Located<String>, parts: [Substring], machine: String)] = []
        for server in servers {
            guard let path = server.backend.path, let machine = server.advertise?.value.machine else { continue }
            let parts = ClusterDraft.parts(of: path.value)
            for other in seen where other.machine == machine {
                if parts == other.parts {
                    problems.report(path, "\(quoted(path.value)) is already the data folder at \(other.path.path)")
                } else if parts.starts(with: other.parts) || other.parts.starts(with: parts) {
                    problems.report(
                        path,
                        "\(quoted(path.value)) and \(quoted(other.path.value)) at \(other.path.path) "
                            + "lie one inside the other; give each process a data folder of its own")
                }
            }
            seen.append((path, parts, machine))
        }
    }

    /// The steps of a path without `.` and doubled slashes, and with `..` resolved as far as the text allows. An
    /// absolute path starts with an empty step. Links are not followed: the lock in the data folder finds those.
    private static func parts(of path: String) -> [Substring] {
        var parts: [Substring] = path.hasPrefix("/") ? [""] : []
        for part in path.split(separator: "/") where part != "." {
            if part == "..", let last = parts.last, last != "..", last != "" {
                parts.removeLast()
            } else {
                parts.append(part)
            }
        }
        return parts
    }

    // MARK: Everything of one sort

    private struct Listener {
        var address: Located<NetworkAddress>
        var advertised: Located<NetworkAddress>?
        var machine: String?
    }

    private var servers: [ServerDraft] { [controller].compactMap { $0 } + nodes.map(\.server) }

    private var advertised: [Located<NetworkAddress>] {
        [controller?.advertise].compactMap { $0 }
            + nodes.flatMap { [$0.server.advertise, $0.peerAdvertise].compactMap { $0 } }
    }

    private var listeners: [Listener] {
        func listener(_ address: Located<NetworkAddress>?, _ advertised: Located<NetworkAddress>?) -> Listener? {
            address.map { Listener(address: $0, advertised: advertised, machine: advertised?.value.machine) }
        }
        return [listener(controller?.listen, controller?.advertise)].compactMap { $0 }
            + nodes.flatMap { node in
                [listener(node.server.listen, node.server.advertise), listener(node.peerListen, node.peerAdvertise)]
                    .compactMap { $0 }
            }
    }
}
