// Runs engines for the conformance suite: those of the registry, broken ones, and that of docs/writing-a-backend.md, whose
// file is a link to the one of the tests. By hand:
//
//     kv-conformance-worker TYPE FOLDER [TEXT IN NAMES OF CASES] [long] [OPTION=VALUE ...]
//     kv-conformance-worker plugin /tmp "after a power cut" library=.build/plugins/libkv_page.so
import Glibc
import KVBackends
import KVBrokenEngine
import KVConformance
import KVProtocols

let factories = BackendRegistry.standard + BrokenEngine.factories + [GuideBackend.factory]
ConformanceWorker.runIfAsked(CommandLine.arguments, factories)
var words: [String] = []
var options: [String: OptionValue] = [:]
for argument in CommandLine.arguments.dropFirst() {
    if let sign = argument.firstIndex(of: "=") {
        let text = String(argument[argument.index(after: sign)...])
        options[String(argument[..<sign])] = Int64(text).map { .integer($0) } ?? .string(text)
    } else {
        words.append(argument)
    }
}
if words.count >= 2, let factory = factories.first(where: { $0.type == words[0] }) {
    let isLong = words.last == "long"
    var suite = ConformanceSuite(
        factory, options: options, temporaryFolder: words[1], worker: .thisProgram, isLong: isLong)
    suite.progress = { print("         … \($0)") }
    let only = words.dropFirst(2).first { $0 != "long" } ?? ""
    let summary = ConformanceVerification(suite, only: only).run { result in
        print(result.text)
        fflush(nil)
    }
    print(summary.text)
} else {
    print("usage: kv-conformance-worker TYPE FOLDER [TEXT] [long] [OPTION=VALUE ...]")
}
