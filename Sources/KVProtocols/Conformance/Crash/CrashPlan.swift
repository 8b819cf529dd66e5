/// Chooses power cuts: at every moment of a trace what is likely, then what is not, at random up to a bound.
struct CrashPlan {
    private let model: CrashModel
    private let bound: Int
    /// So many unsynced events of one moment are lost, kept or torn one by one.
    private let eventsAtMost: Int
    private let subsets: Int
    private let moments: [Int]
    /// The first event behind a kill, if there was one: names from before it may go astray.
    private let kill: Int
    private var random: RandomNumbers
    /// Equal images with equal demands are one state.
    private var seen: Set<UInt64> = []
    private var likely: [CrashState] = []
    private var others: [CrashState] = []

    /// - Parameter secondLife: the moments of a process that opened what a killed one left; unless given, all.
    init(_ model: CrashModel, seed: UInt64, bound: Int, isLong: Bool, secondLife: ClosedRange<Int>? = nil) {
        self.model = model
        self.bound = bound
        // The last first: most is demanded there, of equal images too.
        moments = secondLife.map { $0.reversed() } ?? Array(model.moments)
        kill = secondLife?.lowerBound ?? 0
        eventsAtMost = isLong ? 40 : 10
        subsets = isLong ? 8 : 2
        random = RandomNumbers(seed: seed)
    }

    /// The states, simple ones first.
    mutating func states() -> [CrashState] {
        for moment in moments {
            for names in nameCounts(model.nameCounts(at: moment)) { add(moment, names) }
        }
        let isLast = { (state: CrashState) in kill > 0 && state.moment == moments[0] }
        let last = likely.filter(isLast)
        likely.removeAll(where: isLast)
        let first = sample(likely, max(bound / 2, bound - others.count))
        return last + first + sample(others, bound - first.count)
    }

    private mutating func sample(_ states: [CrashState], _ count: Int) -> [CrashState] {
        guard states.count > count else { return states }
        var indexes = Array(states.indices)
        for position in 0..<count { indexes.swapAt(position, position + random.below(indexes.count - position)) }
        return indexes[..<count].sorted().map { states[$0] }
    }

    private func nameCounts(_ range: ClosedRange<Int>) -> [Int] {
        guard range.count > 6 else { return Array(range) }
        let steps = (0...3).map { range.lowerBound + $0 * (range.count - 1) / 4 }
        return Array(Set(steps + [range.lowerBound + 1, range.upperBound - 1, range.upperBound])).sorted()
    }

    // MARK: One moment

    private mutating func add(_ moment: Int, _ names: Int) {
        let files = Set(model.tree(names: names).files.map(\.file))
        var signature = mix(UInt64(names) << 32 | UInt64(model.acknowledged(at: moment)), 1)
        if let begun = model.begun(at: moment) { signature ^= mix(UInt64(begun), 2) }
        if let shown = model.shown(at: moment) { signature ^= mix(UInt64(shown), 8) }
        var open: [Int] = []
        for event in 0..<moment {
            guard let file = model.trace.events[event].file, files.contains(file) else { continue }
            signature ^= mix(UInt64(event), 3)
            if !model.isFirm(event, at: moment) { open.append(event) }
        }
        let whole = CrashState(moment: moment, names: names)
        add(whole, signature, isLikely: true)
        for names in model.unsyncedNames(names, at: moment) where names.contains(where: { $0 < kill }) {
            var state = whole
            state.astray = names
            add(state, signature, isLikely: true)
        }
        guard !open.isEmpty else { return }
        add(losing(open, whole), signature, isLikely: true)
        for event in chosen(open) {
            add(losing([event], whole), signature, isLikely: false)
            add(losing(open.filter { $0 != event }, whole), signature, isLikely: false)
            guard case .write(_, let offset, let bytes) = model.trace.events[event] else { continue }
            let tears: [CrashState.Tear] =
                CrashState.cut(offset, bytes.count) == nil ? [.hole] : [.beginning, .end, .hole]
            for tear in tears {
                add(tearing(event, tear, open, whole), signature, isLikely: false)
            }
        }
        for _ in 0..<subsets {
            add(losing(open.filter { _ in random.below(2) == 0 }, whole), signature, isLikely: false)
        }
    }

    private func losing(_ events: [Int], _ state: CrashState) -> CrashState {
        var state = state
        state.lost = Set(events)
        return state
    }

    /// A sector reaches the disk with all that was written to it: with a part of a write is lost what came later to the same
    /// sectors.
    private func tearing(_ event: Int, _ tear: CrashState.Tear, _ open: [Int], _ state: CrashState) -> CrashState {
        var state = state
        state.torn = [event: tear]
        guard case .write(let file, let offset, let bytes) = model.trace.events[event] else { return state }
        let sectors = CrashState.lostSectors(of: bytes.count, at: offset, tear)
        for later in open where later > event {
            guard case .write(file, let start, let more) = model.trace.events[later], !more.isEmpty else { continue }
            if sectors.overlaps(start / 512..<(start + more.count - 1) / 512 + 1) { state.lost.insert(later) }
        }
        return state
    }

    /// All, or some at random and the newest, which an engine is most likely to have forgotten.
    private mutating func chosen(_ events: [Int]) -> [Int] {
        guard events.count > eventsAtMost else { return events }
        var result = Set([events[events.count - 1]])
        while result.count < eventsAtMost { result.insert(events[random.below(events.count)]) }
        return result.sorted()
    }

    private mutating func add(_ state: CrashState, _ signature: UInt64, isLikely: Bool) {
        var signature = signature
        for event in state.lost { signature ^= mix(UInt64(event), 3) }
        for event in state.astray { signature ^= mix(UInt64(event), 7) }
        for (event, tear) in state.torn {
            let kind: UInt64 =
                switch tear {
                case .beginning: 4
                case .end: 5
                case .hole: 6
                }
            signature ^= mix(UInt64(event), kind)
        }
        guard seen.insert(signature).inserted else { return }
        if isLikely { likely.append(state) } else { others.append(state) }
    }

    private func mix(_ number: UInt64, _ kind: UInt64) -> UInt64 {
        var random = RandomNumbers(seed: number &* 16 &+ kind)
        return random.next()
    }
}
