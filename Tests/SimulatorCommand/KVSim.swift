import Foundation
import KVSimulator

/// `kv-sim`: runs simulated replica groups, tells the story of one, checks histories.
@main struct KVSim {
    static let usage = """
        usage: kv-sim run --seeds 'A..<B' [--profile NAME] [--jobs N] [--mode safety|liveness] [--operations N] [--failures N]
               kv-sim replay SEED [--profile NAME] [--mode safety|liveness] [--operations N] [--last N]
               kv-sim check HISTORY.jsonl [--search N]

        run     runs every seed of the range (also A...B), N at the same time; stops after --failures (1) failed seeds.
        replay  runs one seed and tells what happened; --last N keeps the last N events (400), 0 keeps none.
        check   judges a history, one JSON object a line; keys with at most --search (200) calls are searched in full.

        Profiles: \(Weather.allCases.map(\.rawValue).joined(separator: ", ")).
        Exit code: 0 all is well, 1 a safety property is violated, 2 only liveness or convergence, 64 wrong usage.
        """

    static func main() async {
        do throws(UsageError) {
            var arguments = Arguments(CommandLine.arguments.dropFirst())
            switch arguments.next() {
            case "run": exit(try await RunCommand(&arguments).run())
            case "replay": exit(try ReplayCommand(&arguments).run())
            case "check": exit(try CheckCommand(&arguments).run())
            case "help", "--help", "-h":
                print(usage)
            case let other:
                throw UsageError(other.map { "there is no command \($0)" } ?? "a command is needed")
            }
        } catch {
            FileHandle.standardError.write(Data("kv-sim: \(error.message)\n\n\(usage)\n".utf8))
            exit(64)
        }
    }
}
