import Foundation

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Standard output and standard error.
enum Terminal {
    enum Stream: Int32 {
        case output = 1
        case error = 2

        /// Whether a person reads it.
        var isTerminal: Bool { isatty(rawValue) == 1 }

        /// Colours only where a person reads, and not where the person said no (https://no-color.org).
        var hasColour: Bool {
            let environment = ProcessInfo.processInfo.environment
            return isTerminal && (environment["NO_COLOR"] ?? "").isEmpty && environment["TERM"] != "dumb"
        }
    }

    /// Writes all bytes, in as few calls as possible, so that lines of several processes don't mix. What can't be
    /// written (nobody reads any more) is dropped.
    static func write(_ bytes: [UInt8], to stream: Stream = .output) {
        _ = writeAll(bytes, to: stream.rawValue)
    }

    static func print(_ text: String) { write(Array((text + "\n").utf8)) }

    /// A line for the person on standard error.
    static func say(_ text: String) { write(Array((text + "\n").utf8), to: .error) }

    /// A failure: every line names the program once.
    static func complain(_ text: String) { say("kv: " + printable(text, keepingLines: true)) }

    /// The text without control characters, which could command the terminal.
    static func printable(_ text: String, keepingLines: Bool = false) -> String {
        let isHarmless = { (scalar: Unicode.Scalar) in
            !(scalar.value < 0x20 || 0x7F...0x9F ~= scalar.value) || (keepingLines && scalar == "\n")
        }
        if text.unicodeScalars.allSatisfy(isHarmless) { return text }
        var result = ""
        for scalar in text.unicodeScalars {
            if isHarmless(scalar) {
                result.unicodeScalars.append(scalar)
            } else {
                result += "\\u{" + String(scalar.value, radix: 16) + "}"
            }
        }
        return result
    }

    /// Blocks until everything is written.
    /// - Returns: `false` when the rest could not be written.
    static func writeAll(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
        bytes.withUnsafeBytes { buffer in
            var rest = UnsafeRawBufferPointer(buffer)[...]
            while !rest.isEmpty {
                let slice = UnsafeRawBufferPointer(rebasing: rest)
                #if canImport(Glibc)
                let count = Glibc.write(descriptor, slice.baseAddress, slice.count)
                #else
                let count = Darwin.write(descriptor, slice.baseAddress, slice.count)
                #endif
                if count < 0, errno == EINTR { continue }
                if count < 0, errno == EAGAIN {
                    var wanted = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    _ = poll(&wanted, 1, -1)
                    continue
                }
                guard count > 0 else { return false }
                rest = rest.dropFirst(count)
            }
            return true
        }
    }
}
