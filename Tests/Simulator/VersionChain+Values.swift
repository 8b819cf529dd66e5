import KVProtocols

/// What the version-chain checker makes of values and conditions.
extension VersionChainChecker {
    /// A version that no answer calls its own holds what was there before it, written again by a leader; or the value of a
    /// write whose outcome is unknown, which takes effect once.
    mutating func checkValues() {
        var unknown: [[UInt8]: (place: Int, isSpent: Bool)] = [:]
        for (place, call) in calls.enumerated() where Self.isUnplaced(call) {
            if let value = call.value { unknown[value] = (place, false) }
        }
        var before: Link.Value = .tombstone
        for link in links {
            guard let value = link.value else { continue }
            defer { before = value }
            guard link.writer == nil, case .bytes(let bytes) = value, value != before else { continue }
            if let (place, isSpent) = unknown[bytes] {
                if isSpent {
                    report(
                        "\(name(link.firstReader)) showed \(Self.text(value)) of \(name(place)) at \(link.version), "
                            + "after it had been replaced: it came back")
                } else if calls[place].start > calls[link.firstReader].end {
                    report("\(name(link.firstReader)) showed \(Self.text(value)) before \(name(place)) wrote it")
                }
                unknown[bytes] = (place, true)
            } else if !(unknownIncrements < calls[link.firstReader].end && isNumber(bytes)) {
                report(
                    "\(name(link.firstReader)) showed \(Self.text(value)) at \(link.version), which nobody wrote there"
                        + origin(of: bytes))
            }
        }
    }

    private func isNumber(_ bytes: [UInt8]) -> Bool { Int64(String(decoding: bytes, as: UTF8.self)) != nil }

    private func origin(of bytes: [UInt8]) -> String {
        guard let writer = calls.firstIndex(where: { $0.value == bytes }) else { return "" }
        switch calls[writer].ending {
        case .notApplied: return ": it is of \(name(writer)), which was answered with not applied"
        case .written(let version): return ": it is of \(name(writer)), written at \(version?.description ?? "?")"
        default: return ": it is of \(name(writer))"
        }
    }

    /// A conditional write happened directly after what it was compared with.
    mutating func checkConditions() {
        for (place, call) in calls.enumerated() {
            if case .failed(let current?) = call.ending { checkFailure(place, current) }
            guard case .written(let version?) = call.ending else { continue }
            let at = self.place(of: version)
            let before = at > 0 ? links[at - 1] : nil
            switch call.action {
            case .compare(let expected):
                guard let highest = expected.filter({ $0 < version }).max() else {
                    report(
                        "\(name(place)) happened at \(version), before any version on condition of which it was made")
                    continue
                }
                if let before, !expected.contains(before.version), before.version > highest {
                    report(
                        "\(name(place)) happened at \(version) on condition of \(highest), but \(before.version) "
                            + "came in between")
                } else if let before, expected.contains(before.version), before.value == .tombstone {
                    report("\(name(place)) happened on condition of \(before.version), which deletes the key")
                }
            case .create:
                guard let before, case .bytes? = before.value else { continue }
                if !mayBeGone(before, until: call) {
                    report("\(name(place)) created the key at \(version), but \(before.version) was there")
                }
            case .replace:
                if before == nil || before?.value == .tombstone, unknownWrites > call.end {
                    report("\(name(place)) replaced the key's value at \(version), but there was none")
                }
            case .increment(let amount):
                checkSum(place, amount, before: before)
            case .read, .put, .delete: break
            }
        }
    }

    private func mayBeGone(_ link: Link, until call: Observation) -> Bool {
        unknownDeletes < call.end || anyExpires
    }

    private mutating func checkFailure(_ place: Int, _ current: Version) {
        switch calls[place].action {
        case .compare(let expected):
            if expected.contains(current) {
                report("\(name(place)) failed, although the current version \(current) is one that it expected")
            }
        case .create, .increment:
            let at = self.place(of: current)
            if at < links.count, links[at].version == current, links[at].value == .tombstone {
                report("\(name(place)) failed for the value of \(current), which deletes the key")
            }
        case .read, .put, .replace, .delete: break
        }
    }

    /// Without an unknown write or an expiry nearby, a sum is exactly what was there and the amount.
    private mutating func checkSum(_ place: Int, _ amount: Int64, before: Link?) {
        let call = calls[place]
        guard unknownWrites > call.end, !anyExpires, let sum = number(call.value) else { return }
        let start: Int64
        switch before?.value {
        case nil: if before == nil { start = 0 } else { return }
        case .tombstone: start = 0
        case .bytes(let bytes):
            guard let number = number(bytes) else { return }
            start = number
        }
        if start &+ amount != sum {
            report(
                "\(name(place)) added \(amount) to \(start) and was told \(sum): an increment is lost or was done twice"
            )
        }
    }

    private func number(_ bytes: [UInt8]?) -> Int64? { bytes.flatMap { Int64(String(decoding: $0, as: UTF8.self)) } }
}
