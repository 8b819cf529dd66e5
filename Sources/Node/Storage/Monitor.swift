#if canImport(Glibc)
internal import Glibc
#else
internal import Darwin
#endif

/// State shared between threads, behind a mutex and a condition: every change wakes those who wait.
///
/// `@unchecked Sendable`: `state` is touched only while `mutex` is held.
package final class Monitor<State>: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var state: State
    /// Threads inside `wait`: with none, a change costs no system call.
    private var waiting = 0

    package init(_ state: sending State) {
        self.state = state
        pthread_mutex_init(mutex, nil)
        #if canImport(Glibc)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(changed, &attributes)
        pthread_condattr_destroy(&attributes)
        #else
        pthread_cond_init(changed, nil)
        #endif
    }

    deinit {
        pthread_cond_destroy(changed)
        pthread_mutex_destroy(mutex)
        changed.deallocate()
        mutex.deallocate()
    }

    /// Runs `body` alone, then wakes every thread that waits for a change.
    package func update<Result>(_ body: (inout State) -> Result) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        let result = body(&state)
        if waiting > 0 { pthread_cond_broadcast(changed) }
        return result
    }

    /// Runs `body` alone; wakes nobody.
    package func look<Result>(_ body: (inout State) -> Result) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return body(&state)
    }

    /// Runs `body` now and after every change until it returns something.
    package func wait<Result>(_ body: (inout State) -> Result?) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while true {
            if let result = body(&state) { return result }
            waiting += 1
            pthread_cond_wait(changed, mutex)
            waiting -= 1
        }
    }

    /// Like `wait`, but gives up with `nil` after about `milliseconds`.
    package func wait<Result>(milliseconds: Int, _ body: (inout State) -> Result?) -> Result? {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        let deadline = ContinuousClock.now + .milliseconds(milliseconds)
        while true {
            if let result = body(&state) { return result }
            let left = deadline - ContinuousClock.now
            guard left > .zero else { return nil }
            waiting += 1
            waitForChange(left)
            waiting -= 1
        }
    }

    private func waitForChange(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        let nanoseconds = Int(attoseconds / 1_000_000_000)
        #if canImport(Glibc)
        var until = timespec()
        clock_gettime(CLOCK_MONOTONIC, &until)
        let sum = until.tv_nsec + nanoseconds
        until.tv_sec += Int(seconds) + sum / 1_000_000_000
        until.tv_nsec = sum % 1_000_000_000
        pthread_cond_timedwait(changed, mutex, &until)
        #else
        var interval = timespec(tv_sec: Int(seconds), tv_nsec: nanoseconds)
        pthread_cond_timedwait_relative_np(changed, mutex, &interval)
        #endif
    }
}
