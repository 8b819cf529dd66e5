import KVBackendBench
import NIOCore
import NIOPosix
import Synchronization

/// Some connections on one event loop, and what they do. Everything but `finished` is for that loop only.
///
/// `@unchecked Sendable`: handed to the loop once, after which only the loop touches it; `finished` is atomic.
final class LoadWorker<Dialect: LoadDialect>: @unchecked Sendable {
    /// Operations that ended, for whoever watches.
    let finished = Atomic<Int>(0)
    let loop: any EventLoop
    var servers: Int { plan.endpoints.count }
    private let plan: LoadPlan
    private let holdings: [LoadHoldings]
    private let makeDialect: @Sendable (Int) -> Dialect
    private var chooser: LoadChooser
    var random: BenchRandom
    private let stop: LoadStop
    private var connections: [LoadConnection<Dialect>] = []
    /// Those that wait until something is due, where times are fixed.
    private var idle = LoadIdle<Dialect>()
    /// Operations without an answer.
    private var underWay = 0
    /// Since when a server has had no connection from here.
    private var absences: [UInt64?]
    private var phase: LoadPhase?
    private var isClosing = false
    private var over: EventLoopPromise<LoadTally>?
    private var tally: LoadTally
    /// How many operations of the phase came due and were sent, where times are fixed.
    private var scheduled = 0
    private var alarm: Scheduled<Void>?
    /// By server; one for all where every server answers for every record.
    private var loading: [LoadCursor] = []
    private var inserting: [LoadCursor]
    private var inserted: [Int] = []

    /// - Parameters:
    ///   - place: among `plan.threads` workers.
    ///   - holdings: of each server.
    ///   - stop: set, and obeyed, when loading has failed.
    init(
        _ plan: LoadPlan, place: Int, loop: any EventLoop, holdings: [LoadHoldings], ranks: ZipfRanks?,
        stop: LoadStop = LoadStop(), makeDialect: @escaping @Sendable (Int) -> Dialect
    ) {
        self.plan = plan
        self.loop = loop
        self.holdings = holdings
        self.stop = stop
        absences = [UInt64?](repeating: nil, count: plan.endpoints.count)
        self.makeDialect = makeDialect
        let seed = plan.seed &* 1_000_003 &+ UInt64(place)
        chooser = LoadChooser(
            plan.mix.distribution, records: plan.records, ranks: ranks, seed: seed,
            first: plan.records / plan.threads * place)
        random = BenchRandom(seed: seed &+ 0x5EED)
        tally = LoadTally(servers: plan.endpoints.count)
        let cursors = holdings.contains { $0.slots != nil } ? plan.endpoints.count : 1
        let from = { (first: Int, end: Int) in
            [LoadCursor](repeating: LoadCursor(next: first + place, step: plan.threads, end: end), count: cursors)
        }
        loading = from(0, plan.records)
        inserting = from(plan.records, .max / 2)
    }

    // MARK: - Connections

    /// Opens the connections with these numbers among all; those of different servers alternate.
    func connect(_ numbers: [Int]) -> EventLoopFuture<Void> {
        EventLoopFuture.andAllSucceed(numbers.map { open(server: $0 % plan.endpoints.count) }, on: loop)
    }

    private func open(server: Int) -> EventLoopFuture<Void> {
        let endpoint = plan.endpoints[server]
        let bootstrap = ClientBootstrap(group: loop)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .connectTimeout(.seconds(5))
        return bootstrap.channelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                let connection = LoadConnection(server: server, dialect: self.makeDialect(server), worker: self)
                try channel.pipeline.syncOperations.addHandler(connection)
            }
        }
        .connect(host: endpoint.host, port: endpoint.port).map { _ in }
    }

    func opened(_ connection: LoadConnection<Dialect>) {
        connections.append(connection)
        absences[connection.server] = nil
        if phase != nil { feed(connection) }
    }

    func closed(_ connection: LoadConnection<Dialect>) {
        connections.removeAll { $0 === connection }
        idle.remove { $0 === connection }
        if !connections.contains(where: { $0.server == connection.server }) {
            absences[connection.server] = Machine.now()
        }
        reopen(connection.server)
    }

    /// Not at once: a server that is down would be asked without end.
    private func reopen(_ server: Int) {
        guard !isClosing else { return }
        loop.scheduleTask(in: .milliseconds(200)) {
            guard !self.isClosing else { return }
            self.open(server: server).whenFailure { _ in self.reopen(server) }
        }
    }

    func closeAll() {
        isClosing = true
        for connection in connections { connection.close() }
    }

    // MARK: - Phases

    /// Works until the phase is over and every operation under way has ended.
    func run(_ phase: LoadPhase) -> EventLoopFuture<LoadTally> {
        let promise = loop.makePromise(of: LoadTally.self)
        over = promise
        tally = LoadTally(servers: plan.endpoints.count)
        scheduled = 0
        self.phase = phase
        let patience = UInt64(plan.timeoutSeconds) * 1_000_000_000
        let ticker = loop.scheduleRepeatedTask(
            initialDelay: .milliseconds(100), delay: .milliseconds(100)
        ) { _ in
            let now = Machine.now()
            if now > patience {
                for connection in self.connections { connection.expire(before: now - patience) }
                self.giveUp(absentBefore: now - patience)
            }
            self.finishIfOver(now)
        }
        promise.futureResult.whenComplete { _ in ticker.cancel() }
        for connection in connections { feed(connection) }
        return promise.futureResult
    }

    /// Loading would wait for ever for a server that doesn't come back; other phases end by themselves.
    private func giveUp(absentBefore time: UInt64) {
        guard phase?.kind == .loading, !stop.isSet else { return }
        for (server, since) in absences.enumerated() where since.map({ $0 < time }) ?? false {
            tally.fail("no connection to \(plan.endpoints[server]) for \(plan.timeoutSeconds) s")
            stop.set()
        }
    }

    func ended(
        _ connection: LoadConnection<Dialect>, _ operation: LoadConnection<Dialect>.Pending,
        _ outcome: LoadAnswer.Outcome
    ) {
        let now = Machine.now()
        let kind = operation.question.operation
        underWay -= 1
        tally.record(kind, outcome, latency: now - min(now, operation.due), second: phase?.second(now))
        if kind == .insert, outcome == .done, phase?.kind == .mix { inserted.append(operation.number) }
        if phase?.kind == .loading, outcome != .done { stop.set() }
        finished.add(1, ordering: .relaxed)
        feed(connection)
    }

    /// Something is wrong that belongs to no operation.
    func failed(_ name: String) { tally.fail(name) }

    /// Gives a free connection its next operation, if one is due. A connection that isn't free any more is none to give
    /// one to, and yet what it did may have been the last.
    private func feed(_ connection: LoadConnection<Dialect>) {
        guard let phase else { return }
        let now = Machine.now()
        guard now < phase.end, !(phase.kind == .loading && stop.isSet) else { return finishIfOver(now) }
        guard connection.isFree else { return }
        guard phase.interval != nil else { return send(on: connection, due: max(now, phase.begin), phase) }
        idle.add(connection)
        sendDue(phase)
    }

    /// Sends what is due at fixed times over connections that are free, in turn, so that every server gets its part.
    private func sendDue(_ phase: LoadPhase) {
        var now = Machine.now()
        while now < phase.end, !idle.isEmpty {
            let due = phase.due(scheduled)
            guard due <= now else { return wake(at: due, now, phase) }
            guard let connection = idle.take() else { return }
            // Nobody asks over one that is being closed.
            guard connection.isFree else { continue }
            scheduled += 1
            send(on: connection, due: due, phase)
            now = Machine.now()
        }
    }

    /// One alarm for all connections that wait. Never for the end of the phase or later, when nothing is sent, and only
    /// for times to come: an alarm without delay that sets itself again keeps the loop from looking for answers.
    private func wake(at due: UInt64, _ now: UInt64, _ phase: LoadPhase) {
        guard alarm == nil, due < phase.end, due > now else { return }
        alarm = loop.scheduleTask(in: .nanoseconds(Int64(due - now))) {
            self.alarm = nil
            if let phase = self.phase { self.sendDue(phase) }
        }
    }

    private func send(on connection: LoadConnection<Dialect>, due: UInt64, _ phase: LoadPhase) {
        let holding = holdings[connection.server]
        var operation = LoadOperation.insert
        let number: Int
        if phase.kind == .loading {
            guard let next = loading[cursor(of: connection)].take(where: holding.contains) else {
                return finishIfOver(Machine.now())
            }
            number = next
        } else {
            operation = plan.mix.operation(chooser.below(100))
            if operation == .insert {
                guard let next = inserting[cursor(of: connection)].take(where: holding.contains) else { return }
                number = next
            } else {
                number = chooser.next(inserted: inserted, where: holding.contains)
            }
        }
        tally.send(connection.server)
        underWay += 1
        connection.send(operation, number, due: due, isChecked: phase.isChecked)
    }

    private func cursor(of connection: LoadConnection<Dialect>) -> Int {
        loading.count == 1 ? 0 : connection.server
    }

    private func finishIfOver(_ now: UInt64) {
        guard let phase, let over, underWay == 0 else { return }
        switch phase.kind {
        case .loading: guard stop.isSet || loading.allSatisfy({ $0.next >= $0.end }) else { return }
        case .mix: guard now >= phase.end else { return }
        }
        tally.neverSent = max(0, phase.count - scheduled)
        idle.remove { _ in true }
        alarm?.cancel()
        alarm = nil
        self.phase = nil
        self.over = nil
        over.succeed(tally)
    }
}
