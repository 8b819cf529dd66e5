import KVProtocols

extension ConformanceSuite {
    static let crashCases: [ConformanceCase] = [
        ConformanceCase(
            "after a power cut at any moment every acknowledged batch is there, and a beginning of the interrupted one",
            needs: .worker
        ) { store in
            #if os(Linux)
            try CrashRun(store).run()
            #else
            throw ConformanceSkip("system calls can be traced on Linux only")
            #endif
        }
    ]
}
