// Runs engines for the conformance suite: those of the registry, and broken ones. By hand:
//
//     kv-conformance-worker TYPE FOLDER [TEXT IN NAMES OF CASES] [long]
import Glibc
import KVBackends
import KVBrokenEngine
import KVConformance
import KVProtocols

let factories = BackendRegistry.standard + BrokenEngine.factories
ConformanceWorker.runIfAsked(CommandLine.arguments, factories)
let arguments = CommandLine.arguments.dropFirst()
if arguments.count >= 2, let factory = factories.first(where: { $0.type == arguments[1] }) {
    var suite = ConformanceSuite(
        factory, temporaryFolder: arguments[2], worker: .thisProgram, isLong: arguments.last == "long")
    suite.progress = { print("         … \($0)") }
    let only = arguments.dropFirst(2).first.flatMap { $0 == "long" ? nil : $0 } ?? ""
    let summary = ConformanceVerification(suite, only: only).run { result in
        print(result.text)
        fflush(nil)
    }
    print(summary.text)
} else {
    print("usage: kv-conformance-worker TYPE FOLDER [TEXT] [long]")
}
