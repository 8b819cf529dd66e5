import KVStorage
import KVTransport

/// The engine's only entrance: other threads put commands in, the engine takes all that waits at once.
final class Mailbox: Sendable {
    private struct State {
        var commands: [EngineCommand] = []
        var isClosed = false
    }

    /// Peer messages are dropped beyond this many commands: their senders repeat them.
    static let limit = 100_000

    private let state = Monitor(State())

    /// `false` when the engine has stopped, or is so far behind that a peer's messages were dropped.
    @discardableResult
    func put(_ command: EngineCommand) -> Bool {
        state.update { state in
            guard !state.isClosed else { return false }
            if case .peer(.received(_, _)) = command, state.commands.count >= Mailbox.limit { return false }
            state.commands.append(command)
            return true
        }
    }

    /// Moves everything that waits into `batch`; waits up to `milliseconds` when there is nothing.
    func take(into batch: inout [EngineCommand], milliseconds: Int) {
        batch.removeAll(keepingCapacity: true)
        let taken = state.wait(milliseconds: milliseconds) { state -> [EngineCommand]? in
            guard !state.commands.isEmpty else { return nil }
            let commands = state.commands
            state.commands = []
            state.commands.reserveCapacity(commands.count)
            return commands
        }
        if let taken { batch = taken }
    }

    /// Adds what has come meanwhile, without waiting.
    func takeMore(into batch: inout [EngineCommand]) {
        let more = state.look { state -> [EngineCommand] in
            defer { state.commands = [] }
            return state.commands
        }
        batch.append(contentsOf: more)
    }

    /// Refuses everything from now on and returns what was left.
    func close() -> [EngineCommand] {
        state.update { state in
            state.isClosed = true
            defer { state.commands = [] }
            return state.commands
        }
    }
}
