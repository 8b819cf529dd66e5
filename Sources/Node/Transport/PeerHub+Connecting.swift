internal import KVProtocols
internal import Logging
internal import NIOCore
internal import NIOPosix

/// How connections come and go.
extension PeerHub {
    // MARK: - Start

    /// Listens, then dials every known peer. Gives the port.
    func listen(host: String, port: Int) -> EventLoopFuture<Int> {
        guard phase == .idle else {
            return loop.makeFailedFuture(
                phase == .closed
                    ? PeerNetworkError(.closed, "the peer links were shut down")
                    : PeerNetworkError(.started, "the peer links were started before"))
        }
        phase = .starting
        let binding = ServerBootstrap(group: loop)
            .serverChannelOption(.backlog, value: 256)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in self.prepare(channel, role: .accepted) }
            .bind(host: host, port: port)
            .assumeIsolated()
            .flatMap { channel -> EventLoopFuture<Int> in
                guard self.phase == .starting else {
                    return channel.close().flatMapThrowing { () -> Int in
                        throw PeerNetworkError(.closed, "the peer links were shut down while they started")
                    }
                }
                self.phase = .running
                self.listener = channel
                self.startTicking()
                for link in self.links.values { self.dial(link) }
                return self.loop.makeSucceededFuture(channel.localAddress?.port ?? port)
            }
            .nonisolated()
        self.binding = binding
        return binding
    }

    /// Puts a connection's handler into a new channel. Refuses strangers beyond the bound, and everyone at the end.
    private func prepare(_ channel: any Channel, role: PeerConnection.Role) -> EventLoopFuture<Void> {
        let isStranger = role == .accepted
        guard phase == .running,
            !isStranger
                || connections.values.count(where: { $0.role == .accepted && !$0.isEstablished })
                    < settings.maximumStrangers
        else { return loop.makeFailedFuture(ChannelError.inappropriateOperationForState) }
        let connection = PeerConnection(role: role, channel: channel, hub: self)
        let key = ObjectIdentifier(channel)
        connections[key] = connection
        channel.closeFuture.assumeIsolated().whenComplete { _ in self.connections[key] = nil }
        return channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(connection)
        }
    }

    // MARK: - Dialling

    func dial(_ link: PeerLink) {
        guard phase == .running, hasIdentity, link.dialling == nil, link.outgoing == nil,
            links[link.address.node] === link
        else { return }
        link.redial?.cancel()
        link.redial = nil
        lastGeneration = max(lastGeneration + 1, NIODeadline.now().uptimeNanoseconds)
        let generation = lastGeneration
        link.dialling = generation
        let node = link.address.node
        let dialled = ClientBootstrap(group: loop)
            .connectTimeout(TimeAmount(settings.connectTimeout))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.writeBufferWaterMark, value: .init(low: 256 << 10, high: 1 << 20))
            .channelInitializer { channel in self.prepare(channel, role: .dialled(node)) }
            .connect(host: link.address.host, port: link.address.port)
        dials[generation] = dialled
        let address = link.address
        dialled.assumeIsolated().whenComplete { result in
            self.dials[generation] = nil
            self.dialled(link, address, generation, result)
        }
    }

    private func dialled(
        _ link: PeerLink, _ address: PeerAddress, _ generation: UInt64, _ result: Result<any Channel, any Error>
    ) {
        let isWanted = phase == .running && link.dialling == generation
        if link.dialling == generation { link.dialling = nil }
        switch result {
        case .success(let channel):
            guard let connection = connections[ObjectIdentifier(channel)], !connection.isClosed else {
                channel.close(promise: nil)
                return redialLater(link)
            }
            guard isWanted, hasIdentity else { return connection.close() }
            guard address.host == link.address.host, address.port == link.address.port else {
                connection.close()
                return dial(link)
            }
            link.outgoing = connection
            connection.node = address.node
            // The peer may ask over its own link before this one is welcomed: the answer waits instead of being dropped.
            link.outbox.open()
            let hello = PeerHello(identity: identity, meant: address.node, generation: generation)
            connection.say(hello.frame(.hello, allocator: channel.allocator))
        case .failure(let error):
            logger.debug(
                "peer can't be reached",
                metadata: [
                    "kv.peer": "\(address.node)", "kv.address": "\(address.host):\(address.port)",
                    "kv.error": "\(error)",
                ])
            if isWanted { redialLater(link) }
        }
    }

    private func redialLater(_ link: PeerLink) {
        guard phase == .running, links[link.address.node] === link, link.redial == nil else { return }
        // Only a link that held for a while starts again with the short wait.
        if let since = link.establishedAt, NIODeadline.now() - since >= TimeAmount(settings.silence) {
            link.wait = settings.redialMinimum
        }
        link.establishedAt = nil
        link.redial = loop.assumeIsolated().scheduleTask(in: link.nextWait(settings)) {
            link.redial = nil
            self.dial(link)
        }
    }

    /// A connection closed, whoever closed it.
    func closed(_ connection: PeerConnection, dropped: Int) {
        guard let node = connection.node, let link = links[node] else {
            return directory.count { $0.dropped += UInt64(dropped) }
        }
        var lost = dropped
        if link.outgoing === connection {
            link.outgoing = nil
            lost += link.outbox.close()
            report(link)
            redialLater(link)
        } else if link.incoming === connection {
            link.incoming = nil
            report(link)
        }
        if lost > 0 { directory.count { $0.dropped += UInt64(lost) } }
    }

    // MARK: - Time

    private func startTicking() {
        let pause = TimeAmount(min(settings.ping, settings.silence) / 4)
        tickedAt = .now()
        ticker = loop.scheduleRepeatedTask(initialDelay: pause, delay: pause) { _ in self.tick() }
    }

    /// Pings where nothing was said, closes where nothing was heard.
    private func tick() {
        let now = NIODeadline.now()
        // A tick that comes late says that this process was held up, and nothing about the others: what they sent
        // meanwhile may not have been read yet.
        let wasHeldUp = now - tickedAt > TimeAmount(settings.silence / 2)
        tickedAt = now
        for connection in Array(connections.values) {
            guard !connection.isClosed else {
                // The last word to someone who does not read: not waited for any longer.
                connection.channel.close(promise: nil)
                continue
            }
            if connection.hasHeard || wasHeldUp { connection.heardAt = now }
            if connection.hasSaid { connection.saidAt = now }
            connection.hasHeard = false
            connection.hasSaid = false
            let since = connection.isEstablished || wasHeldUp ? connection.heardAt : connection.openedAt
            if now - since >= TimeAmount(settings.silence) {
                logger.debug(
                    "connection closed: silent",
                    metadata: ["kv.peer": "\(connection.node.map(\.description) ?? "unknown")"])
                connection.close()
            } else if connection.isEstablished, now - connection.saidAt >= TimeAmount(settings.ping * 3 / 4) {
                connection.say(PeerNotice.ping(allocator: connection.channel.allocator))
            }
        }
    }

    // MARK: - The end

    /// Closes everything; done when nothing is open any more.
    func shutDown() -> EventLoopFuture<Void> {
        phase = .closed
        ticker?.cancel()
        ticker = nil
        var ends: [EventLoopFuture<Void>] = dials.values.map { $0.map { _ in } }
        ends += connections.values.map { $0.channel.closeFuture }
        if let binding { ends.append(binding.map { _ in }) }
        if let listener {
            ends.append(listener.closeFuture)
            listener.close(promise: nil)
        }
        for link in links.values { link.redial?.cancel() }
        for connection in Array(connections.values) { connection.close() }
        links = [:]
        return EventLoopFuture.andAllComplete(ends, on: loop)
    }
}
