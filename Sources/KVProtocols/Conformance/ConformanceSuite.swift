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
        + concurrencyCases + randomCases

    /// Opens the engine under test.
    public let factory: BackendFactory
    /// The engine's options, as in the configuration file.
    public let options: [String: OptionValue]
    /// The folder in which each case creates and afterwards removes its own.
    public let temporaryFolder: String
    /// Where random cases start; a failure names it, and the same seed repeats the same operations.
    public let seed: UInt64
    /// Changes the stored bytes of one record behind the engine's back; see `ConformanceSuite.init`.
    public let damage: Damage?

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
    ///   - damage: without it, cases that need damaged records are skipped.
    public init(
        _ factory: BackendFactory, options: [String: OptionValue] = [:], temporaryFolder: String = "/tmp",
        seed: UInt64 = 1,
        damage: Damage? = nil
    ) {
        self.factory = factory
        self.options = options
        self.temporaryFolder = temporaryFolder
        self.seed = seed
        self.damage = damage
    }

    /// Runs one case on a fresh store, and removes its folder afterwards.
    /// - Returns: whether it passed, or why it doesn't concern this engine.
    /// - Throws: what the engine did wrong, with the name of the case.
    @discardableResult
    public func run(_ test: ConformanceCase) throws(ConformanceFailure) -> ConformanceOutcome {
        do {
            let store = try ConformanceStore(self)
            defer { store.discard() }
            switch test.need {
            case .durability where !store.backend.capabilities.durable:
                return .skipped("the engine is not durable")
            case .damage where damage == nil:
                return .skipped("no hook to damage a record was given")
            default:
                try test.body(store)
                return .passed
            }
        } catch let failure as ConformanceFailure {
            throw ConformanceFailure("\(factory.type): \(test.name): \(failure.message)")
        } catch {
            throw ConformanceFailure("\(factory.type): \(test.name): unexpected error: \(error)")
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
        /// The suite's hook that damages a record.
        case damage
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
