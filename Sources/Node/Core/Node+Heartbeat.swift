import KVProtocols
import KVStorage
import KVTransport
import Logging

extension Node {
    /// What came of one heartbeat.
    enum Beat {
        /// The next one is wanted after so many milliseconds, or as usual.
        case answered(next: Int?)
        /// A new identity was taken: it counts only once the node shows itself under it.
        case again
        case unreachable
        case stopped
    }

    /// Tells the controller about this node until cancelled. The node works on while the controller is away.
    func heartbeats() async {
        var wasReachable = true
        while !Task.isCancelled {
            let started = Clocks.monotonicMilliseconds()
            var interval = settings.heartbeatMilliseconds
            switch await beat(isFirstFailure: wasReachable) {
            case .stopped: return
            case .again: continue
            case .unreachable: wasReachable = false
            case .answered(let next):
                if !wasReachable { logger.notice("the controller answers again") }
                wasReachable = true
                interval = Self.interval(usual: settings.heartbeatMilliseconds, wanted: next)
            }
            let spent = Clocks.monotonicMilliseconds() - started
            let rest = Int64(interval) - Int64(spent)
            do { try await Task.sleep(for: .milliseconds(max(10, rest))) } catch { return }
        }
    }

    /// The controller may ask for more heartbeats, within reason, and never for fewer: its judgement of who is alive rests
    /// on them.
    static func interval(usual: UInt64, wanted: Int?) -> UInt64 {
        guard let wanted else { return usual }
        return min(usual, UInt64(max(50, wanted)))
    }

    /// Shows the controller this boot before any peer hears of it: a folder that was rolled back must not vote. When the
    /// controller is away the node goes on with what it knows, and its peers judge its boot counter.
    func introduce() async {
        for _ in 0..<3 {
            guard case .again = await beat(isFirstFailure: true) else { return }
        }
    }

    private func beat(isFirstFailure: Bool) async -> Beat {
        guard let report = await engine.report() else { return .stopped }
        do {
            let reply = try await controller.heartbeat(heartbeat(from: report))
            return await take(reply, report) ? .again : .answered(next: reply.nextMilliseconds)
        } catch is CancellationError {
            return .stopped
        } catch {
            if isFirstFailure {
                logger.warning("the controller can't be reached", metadata: ["error": "\(error)"])
            }
            return .unreachable
        }
    }

    private func heartbeat(from report: EngineReport) -> Heartbeat {
        let identity = report.identity
        return Heartbeat(
            name: settings.name, node: identity?.node ?? NodeID(0), cluster: identity?.cluster ?? 0,
            incarnation: identity?.incarnation ?? 0, boot: identity?.boot ?? 0, durable: report.durable,
            address: settings.address, peerAddress: settings.peerAddress, zone: settings.zone,
            mapEpoch: report.map?.epoch ?? 0, backend: settings.backend, health: health(report),
            keys: report.statistics?.backend.keys ?? 0, bytesOnDisk: report.statistics?.backend.bytesOnDisk ?? 0,
            leading: report.leading, version: settings.version, weight: settings.weight)
    }

    func health(_ report: EngineReport) -> Heartbeat.Health {
        Heartbeat.Health(failure: report.failure, degradation: report.degradation)
    }

    /// Does what the controller says; `true` when it wants to hear of it at once.
    private func take(_ reply: HeartbeatReply, _ report: EngineReport) async -> Bool {
        switch reply.verdict {
        case .welcome:
            if report.refusal != nil { engine.put(.refusal(nil)) }
        case .refused:
            if report.refusal != reply.reason {
                logger.error("the controller refuses this node", metadata: ["reason": "\(reply.reason)"])
                engine.put(.refusal(reply.reason))
            }
            return false
        case .newIdentity:
            guard var identity = report.identity else { return false }
            logger.notice(
                "the controller gives this node a new identity",
                metadata: ["kv.node": "\(reply.node)", "reason": "\(reply.reason)"])
            identity.cluster = reply.cluster
            identity.node = reply.node
            guard let adopted = await engine.adopt(identity), await engine.durable() else { return false }
            network.update(identity: adopted)
        }
        if let map = reply.map {
            engine.put(.map(map))
            network.update(peers: Self.peers(of: map, besides: reply.node))
        }
        return reply.verdict == .newIdentity
    }
}

extension Heartbeat.Health {
    /// A disk that is full or can't be written is a limit and no failure: nothing is lost, others lead meanwhile, and it
    /// passes by itself, while copies of the replicas would fill disks that may be as full.
    init(failure: StorageError?, degradation: StorageError?) {
        var reasons: [String] = []
        if let failure { reasons.append("storage failed: \(failure.description)") }
        if let degradation { reasons.append("storage is degraded: \(degradation.description)") }
        let isLimit = [nil, .full, .readOnly].contains(degradation?.code)
        self.init(ok: failure == nil && isLimit, reasons: reasons)
    }
}
