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
        },
        ConformanceCase(
            "what a killed process left unsynced and the next one shows or builds upon survives a power cut",
            needs: .worker
        ) { store in
            #if os(Linux)
            try SecondLives(store).run()
            #else
            throw ConformanceSkip("system calls can be traced on Linux only")
            #endif
        },
    ]
}
