import KVProtocols
import Synchronization
import Testing

@testable import kv

/// What is asked again, for how long, and what is said in the end.
@Suite struct RepetitionTests {
    /// A clock that only goes on in pauses.
    private final class Clock: Sendable {
        private let state = Mutex((now: ContinuousClock.now, pauses: 0))

        var pauses: Int { state.withLock { $0.pauses } }

        func repetition(_ limit: Duration) -> Repetition {
            Repetition(for: limit) {
                self.state.withLock { $0.now }
            } pause: { duration in
                self.state.withLock {
                    $0.now += duration
                    $0.pauses += 1
                }
            }
        }
    }

    private func page(incomplete: [Int] = []) -> KeysDocument {
        KeysDocument(keys: [], nextCursor: nil, incomplete: incomplete)
    }

    @Test func `a page that lacks nothing is taken at once`() async throws {
        let clock = Clock()
        let taken = try await SaveSnapshot.page(clock.repetition(.seconds(30))) { page() }
        #expect(taken.incomplete == [])
        #expect(clock.pauses == 0)
    }

    @Test func `what a partition could not tell is asked for again`() async throws {
        let clock = Clock()
        var answers = [page(incomplete: [3]), page(incomplete: [3, 4]), page()]
        let taken = try await SaveSnapshot.page(clock.repetition(.seconds(30))) { answers.removeFirst() }
        #expect(taken.incomplete == [])
        #expect(clock.pauses == 2)
    }

    @Test func `half a minute is a time, and in the end the last failure is told with its code`() async throws {
        let clock = Clock()
        var asked = 0
        let failure = await #expect(throws: CommandFailure.self) {
            try await SaveSnapshot.page(clock.repetition(.seconds(30))) {
                asked += 1
                if asked < 5 { return page(incomplete: [1]) }
                throw CommandFailure(.error, "no answer", mayPass: true)
            }
        }
        #expect(clock.pauses == 60)
        #expect(failure?.code == .error)
        #expect(failure?.message.hasPrefix("no answer, and a snapshot without some keys") == true)

        let incomplete = await #expect(throws: CommandFailure.self) {
            try await SaveSnapshot.page(Clock().repetition(.seconds(1))) { page(incomplete: [1, 2]) }
        }
        #expect(incomplete?.code == .noQuorum)
        #expect(incomplete?.message.hasPrefix("2 partitions can't tell") == true)
    }

    @Test func `what won't pass is an end, and told as it is`() async throws {
        let clock = Clock()
        let failure = CommandFailure(.error, "a bad cursor")
        await #expect(throws: failure) {
            try await SaveSnapshot.page(clock.repetition(.seconds(30))) { throw failure }
        }
        await #expect(throws: failure) {
            try await RestoreWriter.put("k", clock.repetition(.seconds(60))) { throw failure }
        }
        #expect(clock.pauses == 0)
    }

    @Test func `a key is put again while that may help`() async throws {
        let clock = Clock()
        var failures = [
            CommandFailure(.noQuorum, "electing", mayPass: true),
            CommandFailure(.outcomeUnknown, "late", mayPass: true),
            // Deleted between the attempt to create it and the look at it.
            CommandFailure(.notFound, "gone"),
        ]
        let outcome = try await RestoreWriter.put("k", clock.repetition(.seconds(60))) {
            if !failures.isEmpty { throw failures.removeFirst() }
            return .present
        }
        #expect(outcome == .present)
        #expect(clock.pauses == 3)
    }

    @Test func `a key that can't be put for a minute is named, with the last failure's code`() async throws {
        let clock = Clock()
        let failure = await #expect(throws: CommandFailure.self) {
            try await RestoreWriter.put("the key", clock.repetition(.seconds(60))) {
                throw CommandFailure(.outcomeUnknown, "late", mayPass: true)
            }
        }
        #expect(clock.pauses == 120)
        #expect(failure?.code == .outcomeUnknown)
        #expect(failure?.message.hasPrefix("the key could not be written: late") == true)
    }
}
