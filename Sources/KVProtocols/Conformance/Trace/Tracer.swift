#if os(Linux)
import CTrace
import Glibc

/// Stops every thread of a worker at each of its system calls, shows the call to an observer, and changes its outcome where
/// that one asks for it. All on one thread: the kernel lets only the thread that began to trace go on with it.
final class Tracer {
    private let observer: any TraceObserver
    private var process: pid_t = 0
    private var held: [pid_t] = []
    private var calls: [pid_t: (call: SystemCall, intervention: Intervention)] = [:]

    init(_ observer: any TraceObserver) { self.observer = observer }

    /// Traces the worker from its first instruction after `WorkerProcess.letGo` to its end.
    /// - Throws: `ConformanceSkip` when the system doesn't allow it.
    func run(_ worker: WorkerProcess) throws -> WorkerEnd {
        process = worker.process
        let code = kv_trace_seize(process)
        guard code == 0 else {
            worker.kill()
            throw ConformanceSkip(
                "this process may not trace another (\(String(cString: strerror(code)))); allow ptrace, in a container "
                    + "with the capability SYS_PTRACE")
        }
        guard kv_trace_interrupt(worker.process) == 0 else {
            worker.kill()
            throw ConformanceSkip("the worker can't be stopped")
        }
        var isWaiting = true
        while true {
            var status: Int32 = 0
            let thread = waitpid(-1, &status, Int32(KV_WAIT_ALL_KINDS | KV_WAIT_OWN_THREAD))
            if thread < 0 {
                if errno == EINTR { continue }
                throw ConformanceFailure("the worker was lost: \(String(cString: strerror(errno)))")
            }
            if status & 0x7F != 0x7F {
                calls[thread] = nil
                if thread == worker.process { return WorkerEnd(status: status) }
                continue
            }
            try handleStop(thread, status)
            if !held.isEmpty, !observer.holds {
                for thread in held { check(kv_trace_resume(thread, 0)) }
                held = []
            }
            // Only now is it certain that no call is missed.
            if isWaiting {
                isWaiting = false
                worker.letGo()
            }
        }
    }

    private func handleStop(_ thread: pid_t, _ status: Int32) throws {
        let signal = status >> 8 & 0xFF
        let event = status >> 16
        var delivered: Int32 = 0
        if signal == SIGTRAP | 0x80 {
            if try handleCall(thread) == .hold { return held.append(thread) }
        } else if event == 128, signal != SIGTRAP {
            return check(kv_trace_listen(thread))
        } else if event == 0 {
            delivered = signal
        }
        check(kv_trace_resume(thread, delivered))
    }

    /// A thread that was killed in between can't be told anything; its end is reported next.
    private func check(_ code: Int32) {
        precondition(code == 0 || code == ESRCH, "ptrace: \(String(cString: strerror(code)))")
    }

    /// - Returns: what is to become of a call that begins.
    @discardableResult
    private func handleCall(_ thread: pid_t) throws -> Intervention {
        var stop = kv_trace_stop()
        let code = kv_trace_look(thread, &stop)
        if code == ESRCH { return .none }
        guard code == 0 else {
            throw ConformanceSkip("the kernel doesn't describe system calls to a tracer (Linux 5.3 does)")
        }
        if stop.operation == 1 {
            let kind = CallKind(rawValue: kv_call_of(stop.number)) ?? .other
            guard kind != .other else { return .none }
            let (a, b, c, d, e, f) = stop.arguments
            let call = SystemCall(thread: thread, kind: kind, arguments: [a, b, c, d, e, f])
            let intervention = observer.willEnter(call)
            switch intervention {
            case .none, .failBehind, .killBehind, .hold: break
            case .kill: kill(process, SIGKILL)
            case .fail: check(kv_trace_skip(thread))
            case .shorten(let count): check(kv_trace_set_count(thread, UInt64(count)))
            }
            calls[thread] = (call, intervention)
            return intervention
        } else if stop.operation == 2, let (call, intervention) = calls.removeValue(forKey: thread) {
            var result = stop.result
            switch intervention {
            case .fail(let code), .failBehind(let code):
                result = -Int64(code)
                check(kv_trace_set_result(thread, result))
            default: break
            }
            observer.didLeave(call, result: result)
            if intervention == .killBehind { kill(process, SIGKILL) }
        }
        return .none
    }
}

/// Reads what a stopped thread has in memory, and which files it means.
struct Tracee {
    let thread: pid_t

    /// - Returns: fewer bytes when the rest is not mapped.
    func bytes(at address: UInt64, count: Int) -> [UInt8] {
        guard count > 0 else { return [] }
        return [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            filled = max(0, Int(kv_trace_copy(thread, address, buffer.baseAddress, UInt64(count))))
        }
    }

    /// A text up to its zero byte, at most 4 KiB.
    func text(at address: UInt64) -> String {
        var result: [UInt8] = []
        // Up to the end of each page: the next may not be mapped.
        while result.count < 4096 {
            let position = address + UInt64(result.count)
            let part = bytes(at: position, count: 4096 - Int(position % 4096))
            if part.isEmpty { break }
            if let end = part.firstIndex(of: 0) { return String(decoding: result + part[..<end], as: UTF8.self) }
            result += part
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// The bytes that a vector of buffers holds, at most `limit`.
    func gather(_ vector: UInt64, _ buffers: Int, limit: Int) -> [UInt8] {
        let entries = bytes(at: vector, count: buffers * 16)
        var result: [UInt8] = []
        for index in 0..<entries.count / 16 where result.count < limit {
            let (base, length) = entries.withUnsafeBytes {
                (
                    $0.loadUnaligned(fromByteOffset: index * 16, as: UInt64.self),
                    $0.loadUnaligned(fromByteOffset: index * 16 + 8, as: UInt64.self)
                )
            }
            result += bytes(at: base, count: min(Int(length), limit - result.count))
        }
        return result
    }

    func number(at address: UInt64) -> UInt64 {
        let found = bytes(at: address, count: 8)
        return found.count == 8 ? found.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) } : 0
    }

    /// A path by which the tracer reaches what the descriptor stands for.
    func path(of descriptor: Int32) -> String { "/proc/\(thread)/fd/\(descriptor)" }

    /// A path by which the tracer reaches what a thread calls `path`.
    func path(_ path: String, from descriptor: Int32) -> String {
        if path.hasPrefix("/") { return path }
        return (descriptor == AT_FDCWD ? "/proc/\(thread)/cwd" : self.path(of: descriptor)) + "/" + path
    }

    /// Position and flags of an open file.
    func status(of descriptor: Int32) -> (position: Int, flags: Int32)? {
        guard let file = fopen("/proc/\(thread)/fdinfo/\(descriptor)", "r") else { return nil }
        defer { fclose(file) }
        var buffer = [UInt8](repeating: 0, count: 256)
        let count = fread(&buffer, 1, buffer.count, file)
        let lines = String(decoding: buffer[..<count], as: UTF8.self).split(separator: "\n")
        func field(_ name: String, _ radix: Int) -> Int? {
            lines.first { $0.hasPrefix(name) }.flatMap {
                Int($0.dropFirst(name.count).drop { $0 == "\t" || $0 == " " }, radix: radix)
            }
        }
        guard let position = field("pos:", 10), let flags = field("flags:", 8) else { return nil }
        return (position, Int32(truncatingIfNeeded: flags))
    }
}
#endif
