import KVStorage
import KVTransport
import Synchronization

/// The engine's only entrance: anybody puts commands in, the engine takes all that waits at once.
final class Mailbox: Sendable {
    private struct State {
        var commands: [EngineCommand] = []
        /// Somebody was told to wake the engine, and it has not come yet.
        var isAwake = false
        var isClosed = false
    }

    /// Peer messages are dropped beyond this many commands: their senders repeat them.
    static let limit = 100_000

    private let state = Mutex(State())

    /// `isTaken` is `false` when the engine has stopped, or is so far behind that a peer's messages were dropped. `wakes`
    /// says that the caller must see to it that `take` is called.
    func put(_ command: EngineCommand) -> (isTaken: Bool, wakes: Bool) {
        state.withLock { state in
            guard !state.isClosed else { return (false, false) }
            if case .peer(.received(_, _)) = command, state.commands.count >= Mailbox.limit { return (false, false) }
            state.commands.append(command)
            defer { state.isAwake = true }
            return (true, !state.isAwake)
        }
    }

    /// Everything that waits; may be nothing.
    func take() -> [EngineCommand] {
        state.withLock { state in
            let commands = state.commands
            state.commands = []
            state.commands.reserveCapacity(min(commands.count, 1_024))
            state.isAwake = false
            return commands
        }
    }

    /// Refuses everything from now on and returns what was left.
    func close() -> [EngineCommand] {
        state.withLock { state in
            state.isClosed = true
            defer { state.commands = [] }
            return state.commands
        }
    }
}
