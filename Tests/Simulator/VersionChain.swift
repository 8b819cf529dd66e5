import KVProtocols
import KVReplication

/// Checks one key's history by the versions that answers name, in O(n log n): made for histories too long to search.
///
/// Every record has its own version, so the versions are the order in which a correct store did things. The checker puts
/// what was observed into that order and asks: do two answers disagree about a version? Does the order contradict real
/// time? Was a value shown that nobody wrote, that was refused, or that was gone already? Did a conditional write follow
/// directly what it was compared with? It accepts every linearizable history, and some that are not: where an unknown
/// write could explain an answer, it is taken to. `LinearizabilityChecker` misses nothing, in short histories.
///
/// Values of puts must be unique to their call.
public struct VersionChainChecker {
    /// What is wrong, in words; at most ten for each key.
    public private(set) var violations: [String] = []

    /// A point of the chain: at `version`, or after whatever it stands for was replaced.
    struct Bound {
        var version: Version = .zero
        var isPassed = false

        mutating func raise(to other: Bound) {
            if other.version > version || other.version == version && other.isPassed { self = other }
        }
    }

    struct Link {
        let version: Version
        /// `nil` while only the version is known.
        var value: Value?
        /// The call whose own write this is; a link without one was written again by a leader, or by a call whose outcome
        /// is unknown.
        var writer: Int?
        var firstReader: Int

        enum Value: Hashable {
            case tombstone
            case bytes([UInt8])
        }
    }

    let calls: [Observation]
    private(set) var links: [Link] = []
    /// When the first write began of which it is not known where in the chain it is: of deletes and values with an expiry,
    /// of increments, of all.
    var unknownDeletes: UInt64 = .max
    var unknownIncrements: UInt64 = .max
    var unknownWrites: UInt64 = .max
    /// Whether any value of the key has an expiry.
    let anyExpires: Bool

    /// - Parameter history: all calls on one key.
    public init(_ history: [Call]) {
        calls = history.compactMap { Observation($0) }
        anyExpires = calls.contains(where: \.mayExpire)
        for call in calls where Self.isUnplaced(call) {
            unknownWrites = min(unknownWrites, call.start)
            if call.mayExpire || call.value == nil && !Self.isIncrement(call) {
                unknownDeletes = min(unknownDeletes, call.start)
            }
            if Self.isIncrement(call) { unknownIncrements = min(unknownIncrements, call.start) }
        }
        collectLinks()
        checkRealTime()
        checkValues()
        checkConditions()
    }

    /// A write that may have happened at a place of the chain that no answer names.
    static func isUnplaced(_ call: Observation) -> Bool {
        call.ending == .unknown || call.ending == .written(nil)
    }

    static func isIncrement(_ call: Observation) -> Bool {
        if case .increment = call.action { true } else { false }
    }

    mutating func report(_ text: String) {
        if violations.count < 10 { violations.append(text) }
    }

    func name(_ place: Int) -> String { "#\(calls[place].id)" }

    // MARK: - The chain

    private mutating func collectLinks() {
        var seen: [Link] = []
        for (place, call) in calls.enumerated() {
            switch call.ending {
            case .written(let version?):
                let value = call.value.map { Link.Value.bytes($0) } ?? .tombstone
                seen.append(Link(version: version, value: value, writer: place, firstReader: place))
            case .shown(let version, let value):
                seen.append(Link(version: version, value: .bytes(value), writer: nil, firstReader: place))
            case .failed(let version?):
                seen.append(Link(version: version, value: nil, writer: nil, firstReader: place))
            default: break
            }
        }
        seen.sort { $0.version != $1.version ? $0.version < $1.version : $0.firstReader < $1.firstReader }
        for link in seen {
            guard var last = links.last, last.version == link.version else {
                links.append(link)
                continue
            }
            if let mine = last.writer, let theirs = link.writer {
                report("\(name(mine)) and \(name(theirs)) were both answered with version \(link.version)")
            }
            if let known = last.value, let other = link.value, known != other {
                report(
                    "version \(link.version) has two contents: \(Self.text(known)) by \(name(last.firstReader)), "
                        + "\(Self.text(other)) by \(name(link.firstReader))")
            }
            last.value = last.value ?? link.value
            last.writer = last.writer ?? link.writer
            links[links.count - 1] = last
        }
    }

    static func text(_ value: Link.Value?) -> String {
        switch value {
        case .bytes(let bytes): "\"\(String(decoding: bytes.prefix(40), as: UTF8.self))\""
        case .tombstone: "no value"
        case nil: "something"
        }
    }

    /// The place of the first link whose version is at least `version`.
    func place(of version: Version) -> Int {
        var low = 0
        var high = links.count
        while low < high {
            let middle = (low + high) / 2
            if links[middle].version < version { low = middle + 1 } else { high = middle }
        }
        return low
    }

    // MARK: - Real time

    /// Walks through starts and ends in order of time. `floor` is how far the chain had got for certain.
    private mutating func checkRealTime() {
        let starts = calls.indices.sorted { (calls[$0].start, $0) < (calls[$1].start, $1) }
        let ends = calls.indices.filter { calls[$0].end != .max }.sorted { (calls[$0].end, $0) < (calls[$1].end, $1) }
        let ceilings = ceilings(starts)
        var atStart = [Bound](repeating: Bound(), count: calls.count)
        var floor = Bound()
        var next = 0
        for end in ends {
            while next < starts.count, calls[starts[next]].start <= calls[end].end {
                atStart[starts[next]] = floor
                next += 1
            }
            if let reached = judge(end, from: atStart[end], ceiling: ceilings[end]) { floor.raise(to: reached) }
        }
    }

    /// For each call: the lowest version that a call begun after its end wrote; what it saw must lie below.
    private func ceilings(_ starts: [Int]) -> [Version?] {
        var result = [Version?](repeating: nil, count: calls.count)
        let ends = calls.indices.filter { calls[$0].end != .max }.sorted { calls[$0].end > calls[$1].end }
        var lowest: Version?
        var left = starts.count
        for end in ends {
            while left > 0, calls[starts[left - 1]].start > calls[end].end {
                left -= 1
                if case .written(let version?) = calls[starts[left]].ending {
                    lowest = lowest.map { min($0, version) } ?? version
                }
            }
            result[end] = lowest
        }
        return result
    }

    /// Judges one answer against what was certain when its call began; says what is certain once it ended.
    private mutating func judge(_ place: Int, from floor: Bound, ceiling: Version?) -> Bound? {
        let call = calls[place]
        switch call.ending {
        case .written(let version?):
            if version <= floor.version {
                report(
                    "\(name(place)) wrote version \(version), but \(floor.version) was there before it began: "
                        + "versions went back")
            }
            return Bound(version: version)
        case .written(nil):
            return Bound(version: floor.version, isPassed: true)
        case .shown(let version, _), .failed(let version?):
            if version < floor.version {
                report("\(name(place)) showed version \(version), but \(floor.version) was there before it began")
            } else if version == floor.version, floor.isPassed {
                report(
                    "\(name(place)) showed version \(version), which had been deleted or had expired before it began")
            }
            return Bound(version: version)
        case .absent:
            return absence(place, from: floor, ceiling: ceiling)
        case .failed(nil), .unknown, .notApplied:
            return nil
        }
    }

    /// The earliest place of the chain at which the key can have been without a value.
    private mutating func absence(_ place: Int, from floor: Bound, ceiling: Version?) -> Bound? {
        if floor.isPassed || floor.version == .zero { return floor }
        let at = self.place(of: floor.version)
        if links[at].value == .tombstone { return floor }
        let passed = Bound(version: floor.version, isPassed: true)
        if unknownDeletes < calls[place].end || canExpire(links[at]) { return passed }
        for link in links[at...].dropFirst() {
            if let ceiling, link.version >= ceiling { break }
            if link.writer != nil, calls[link.firstReader].start > calls[place].end { break }
            if link.value == .tombstone { return Bound(version: link.version) }
            if canExpire(link) { return passed }
        }
        report(
            "\(name(place)) found nothing, but version \(floor.version) was there before it began, and nothing "
                + "deleted it: an acknowledged write is lost")
        return nil
    }

    /// Whether the record may have run out: its own write said so, or who wrote it is not known.
    private func canExpire(_ link: Link) -> Bool {
        guard anyExpires else { return false }
        guard let writer = link.writer else { return true }
        return calls[writer].mayExpire || Self.isIncrement(calls[writer])
    }
}
