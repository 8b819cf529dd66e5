#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// What a server asks of the operating system before it starts.
enum ProcessLimits {
    /// Allows as many open files as the system lets this process have, and turns writing to a closed pipe from a death
    /// into an error. Children inherit both.
    static func prepare() {
        signal(SIGPIPE, SIG_IGN)
        var limit = rlimit()
        #if canImport(Glibc)
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        #else
        let resource = RLIMIT_NOFILE
        #endif
        guard getrlimit(resource, &limit) == 0, limit.rlim_cur < limit.rlim_max else { return }
        limit.rlim_cur = min(limit.rlim_max, 1 << 20)
        // With the old limit a server runs too, for fewer connections.
        _ = setrlimit(resource, &limit)
    }
}
