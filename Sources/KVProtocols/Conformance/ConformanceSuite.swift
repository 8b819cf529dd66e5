public import KVProtocols

/// The tests that a storage engine must pass before a node may trust it. Works with any test framework, or none:
///
///     let suite = ConformanceSuite(MyBackend.factory)
///     for test in ConformanceSuite.cases { try suite.run(test) }
///
/// Each case gets a folder and a store of its own, so cases may run in any order and at the same time.
public struct ConformanceSuite: Sendable {
    /// Every case, in the order in which they are best repaired.
    public static let cases: [ConformanceCase] =
        pointCases + limitCases + scanCases + wipeCases + metadataCases + keyCases + reopenCases + errorCases
        + concurrencyCases + randomCases + damageCases + crashCases + faultCases + longCases

    /// Opens the engine under test.
    public let factory: BackendFactory
    /// The engine's options, as in the configuration file.
    public let options: [String: OptionValue]
    /// The folder in which each case creates and afterwards removes its own.
    public let temporaryFolder: String
    /// Where random cases start; a failure names it, and the same seed repeats the same operations.
    public let seed: UInt64
    /// Changes the stored bytes of one record behind the engine's back; see `ConformanceSuite.init`.
    public let damage: Damage
    /// Starts the processes that are killed and hindered.
    public let worker: ConformanceWorker?
    /// Whether cases that take minutes run, and others try a lot more.
    public let isLong: Bool
    /// Ends of the names of files that are written through a memory map, and which the engine makes anew when they are gone
    /// or hold anything. What others hold a power cut can't be simulated for.
    public var rebuildableFiles = ["-shm", "lock.mdb", ".mdb-lock", ".new-lock"]
    /// Called now and then with what a case is at.
    public var progress: @Sendable (String) -> Void = { _ in }

    /// A hook that flips at least one bit of the value of `key`'s stored record in the files of `folder`.
    ///
    /// Called while the store is closed. The record is live and its value occurs nowhere else in the folder.
    public typealias Damage = @Sendable (_ folder: String, _ key: Key, _ value: [UInt8]) throws -> Void

    /// The number of partitions of every store that the suite opens.
    public static let partitions = 8

    /// - Parameters:
    ///   - factory: opens the engine; called with an empty folder of mode 0700, or with one that it filled before.
    ///   - options: handed to the engine at each open.
    ///   - temporaryFolder: an existing folder on the file system to test on.
    ///   - seed: for cases that choose operations at random.
    ///   - damage: flips bits of a stored value; unless given, in the files where the value is found as it is.
    ///   - worker: without it, cases that need a process of their own are skipped.
    ///   - isLong: some cases take seconds otherwise, and then minutes.
    public init(
        _ factory: BackendFactory, options: [String: OptionValue] = [:], temporaryFolder: String = "/tmp",
        seed: UInt64 = 1, damage: @escaping Damage = StoredBytes.flipBit, worker: ConformanceWorker? = nil,
        isLong: Bool = false
    ) {
        self.factory = factory
        self.options = options
        self.temporaryFolder = temporaryFolder
        self.seed = seed
        self.damage = damage
        self.worker = worker
        self.isLong = isLong
    }

    /// Runs one case on a fresh store, and removes its folder afterwards.
    /// - Returns: whether it passed, or why it doesn't concern this engine.
    /// - Throws: what the engine did wrong, with the name of the case.
    @discardableResult
    public func run(_ test: ConformanceCase) throws(ConformanceFailure) -> ConformanceOutcome {
        var figures = ConformanceFigures()
        return try run(test, &figures)
    }

    /// Does the same, and adds to `figures` how much was tried, also when the case fails.
    public func run(
        _ test: ConformanceCase, _ figures: inout ConformanceFigures
    ) throws(ConformanceFailure) -> ConformanceOutcome {
        do {
            let store = try ConformanceStore(self)
            defer {
                figures.add(store.figures)
                store.discard()
            }
            if let reason = reasonToSkip(test.need, store) { return .skipped(reason) }
            try test.body(store)
            return .passed
        } catch let skip as ConformanceSkip {
            return .skipped(skip.reason)
        } catch let failure as ConformanceFailure {
            throw ConformanceFailure("\(factory.type): \(test.name): \(failure.message)")
        } catch {
            throw ConformanceFailure("\(factory.type): \(test.name): unexpected error: \(error)")
        }
    }

    private func reasonToSkip(_ need: ConformanceCase.Need, _ store: ConformanceStore) -> String? {
        let isDurable = store.backend.capabilities.durable
        return switch need {
        case .durability where !isDurable, .damage where !isDurable, .worker where !isDurable, .time where !isDurable:
            "the engine is not durable"
        case .worker where worker == nil: "no worker was given to run the engine in a process of its own"
        case .time where !isLong: "it takes minutes, and time was not given"
        default: nil
        }
    }
}

/// One requirement, and the code that checks it.
public struct ConformanceCase: Sendable, CustomStringConvertible {
    /// What an engine or a caller must provide for a case to make sense.
    public enum Need: Hashable, Sendable {
        /// Nothing: every engine must pass.
        case nothing
        /// `capabilities.durable`.
        case durability
        /// `capabilities.durable`, and values that can be found in the files.
        case damage
        /// `capabilities.durable`, and the suite's worker.
        case worker
        /// `capabilities.durable`, and the suite's `isLong`.
        case time
    }

    /// A sentence: what the engine does when it is right. Unique within the suite.
    public let name: String
    public let need: Need
    /// Throws a `ConformanceFailure` when the store behaves otherwise.
    public let body: @Sendable (ConformanceStore) throws -> Void

    /// A case of one's own is run with `ConformanceSuite.run` as the suite's are.
    public init(
        _ name: String, needs need: Need = .nothing, body: @escaping @Sendable (ConformanceStore) throws -> Void
    ) {
        self.name = name
        self.need = need
        self.body = body
    }

    public var description: String { name }
}

/// What an engine did wrong.
public struct ConformanceFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// What was expected and what happened, for a person.
    public let message: String

    public init(_ message: String) { self.message = message }

    public var description: String { message }
}

/// How a case ended that didn't fail.
public enum ConformanceOutcome: Hashable, Sendable {
    case passed
    /// With the reason.
    case skipped(String)
}

/// Thrown by a case that finds out on its way that it can't judge this engine here.
public struct ConformanceSkip: Error, Hashable, Sendable {
    /// Why, for a person.
    public let reason: String

    public init(_ reason: String) { self.reason = reason }
}

/// How much was tried.
public struct ConformanceFigures: Hashable, Sendable {
    /// States of the disk that a power cut may leave, which were opened and checked.
    public var crashStates = 0
    /// System calls that were made to fail.
    public var faults = 0
    /// Operations of random scripts.
    public var operations = 0
    /// Files that were damaged and then read.
    public var damages = 0

    public init() {}

    public mutating func add(_ other: ConformanceFigures) {
        crashStates += other.crashStates
        faults += other.faults
        operations += other.operations
        damages += other.damages
    }
}
