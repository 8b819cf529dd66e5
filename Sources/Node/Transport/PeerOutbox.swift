internal import Synchronization

/// What waits for one peer. Filled by any thread, emptied by the event loop; the lock is held for no longer than it
/// takes to append or to swap an array.
final class PeerOutbox: Sendable {
    private struct State {
        var messages: [PeerMessage] = []
        /// Of `messages`, and of what was taken and not yet released.
        var bytes = 0
        var isOpen = false
        /// The loop will look, or was told to: nobody needs to wake it.
        var isAwake = false
    }

    private let state = Mutex(State())
    private let maximumBytes: Int

    init(maximumBytes: Int) { self.maximumBytes = maximumBytes }

    /// What a waiting message costs: its place in the array and its content.
    static func cost(of message: PeerMessage) -> Int {
        MemoryLayout<PeerMessage>.stride + PeerCodec.length(of: message)
    }

    /// Appends what fits; the rest is dropped. `wake` says that the caller must wake the loop.
    func append(_ messages: [PeerMessage]) -> (wake: Bool, dropped: Int) {
        var cost = 0
        for message in messages { cost += PeerOutbox.cost(of: message) }
        return state.withLock { state in
            guard state.isOpen else { return (false, messages.count) }
            var dropped = 0
            // The second bound makes sure that each of them fits a frame.
            if state.bytes + cost <= min(maximumBytes, PeerCodec.maximumFrameLength) {
                state.messages.append(contentsOf: messages)
                state.bytes += cost
            } else {
                for message in messages {
                    let cost = PeerOutbox.cost(of: message)
                    guard state.bytes == 0 || state.bytes + cost <= maximumBytes, cost <= PeerCodec.maximumFrameLength
                    else {
                        dropped += 1
                        continue
                    }
                    state.messages.append(message)
                    state.bytes += cost
                }
            }
            let wake = !state.isAwake && !state.messages.isEmpty
            if wake { state.isAwake = true }
            return (wake, dropped)
        }
    }

    /// Swaps everything that waits into `messages`, which must be empty. When nothing waits, the next `append` wakes.
    func take(into messages: inout [PeerMessage]) {
        state.withLock { state in
            swap(&state.messages, &messages)
            if messages.isEmpty { state.isAwake = false }
        }
    }

    /// Makes room: messages that were taken and cost this much have left.
    func release(_ bytes: Int) {
        state.withLock { $0.bytes = max(0, $0.bytes - bytes) }
    }

    func open() {
        state.withLock { $0 = State(isOpen: true) }
    }

    /// Drops everything that waits and returns how many messages that were.
    func close() -> Int {
        let waiting = state.withLock { state in
            let messages = state.messages
            state = State()
            return messages
        }
        return waiting.count
    }
}
