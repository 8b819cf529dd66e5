internal import KVProtocols
internal import Logging
internal import NIOCore

/// Who is let in.
extension PeerHub {
    /// Someone who dialled shows who it is.
    func hello(_ hello: PeerHello, on connection: PeerConnection) {
        if let objection = objection(to: hello) ?? staleness(of: hello) {
            // Before both sides have the same map, strangers are nothing unusual.
            let isUsual = !hasIdentity || links[hello.identity.node] == nil
            reportTurnedAway(objection, level: isUsual ? .info : .warning)
            connection.close(saying: "node \(identity.name): \(objection)")
            return
        }
        guard let link = links[hello.identity.node] else { return connection.close() }
        learn(boot: hello.identity.boot, of: link)
        let replaced = link.incoming
        adopt(hello, on: connection)
        link.incoming = connection
        replaced?.close()
        let answer = PeerHello(identity: identity, meant: hello.identity.node, generation: hello.generation)
        connection.say(answer.frame(.welcome, allocator: connection.channel.allocator))
        report(link)
    }

    /// Someone whom this node dialled lets it in, and shows who it is.
    func welcome(_ hello: PeerHello, on connection: PeerConnection) {
        guard case .dialled(let node) = connection.role, let link = links[node], link.outgoing === connection else {
            return connection.close()
        }
        guard hello.identity.node == node else {
            return reject(
                connection, link,
                "\(link.address.host):\(link.address.port) is node \(hello.identity.node), not \(node)")
        }
        if let objection = objection(to: hello) { return reject(connection, link, objection) }
        adopt(hello, on: connection)
        learn(boot: hello.identity.boot, of: link)
        connection.outbox = link.outbox
        link.establishedAt = .now()
        report(link)
        connection.drain()
    }

    /// The other side said why it does not let this node in. The map on one side may be late: dialled again, but slowly.
    func refused(_ reason: String, on connection: PeerConnection) {
        guard case .dialled(let node) = connection.role, let link = links[node], link.outgoing === connection else {
            return connection.close()
        }
        // Whoever refused has logged how bad that is.
        reject(connection, link, "this node was refused: \(reason)", level: .info)
    }

    private func reject(
        _ connection: PeerConnection, _ link: PeerLink, _ reason: String, level: Logger.Level = .warning
    ) {
        reportTurnedAway(reason, level: level)
        link.wait = settings.redialMaximum
        connection.close()
    }

    private func adopt(_ hello: PeerHello, on connection: PeerConnection) {
        connection.node = hello.identity.node
        connection.boot = hello.identity.boot
        connection.generation = hello.generation
        connection.isEstablished = true
    }

    /// Why the sender of this hello is not to be believed; `nil` when it is.
    private func objection(to hello: PeerHello) -> String? {
        let other = hello.identity
        let who = "node \(other.node) (\(other.name))"
        guard hasIdentity else { return "\(who) came before this node has joined a cluster" }
        guard other.cluster == identity.cluster else { return "\(who) belongs to another cluster" }
        guard hello.meant == identity.node else {
            return "\(who) looks for node \(hello.meant), this is node \(identity.node)"
        }
        guard let link = links[other.node] else { return "\(who) is not in this node's cluster map" }
        guard other.incarnation == link.address.incarnation else {
            return "\(who) shows another data folder than the one in the cluster map"
        }
        guard other.boot >= link.boot else {
            return "\(who) shows boot \(other.boot) after boot \(link.boot): its data folder was rolled back"
        }
        return nil
    }

    /// Why this is the older one of two connections of the same process; `nil` when it is not.
    private func staleness(of hello: PeerHello) -> String? {
        guard let incoming = links[hello.identity.node]?.incoming, incoming.boot == hello.identity.boot,
            hello.generation <= incoming.generation
        else { return nil }
        return "node \(hello.identity.node) (\(hello.identity.name)) has dialled again since this connection"
    }
}
