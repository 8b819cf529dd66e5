import KVProtocols
import KVReplication
import Testing

@testable import KVNode

@Suite struct WalkCountTests {
    private func key(_ number: Int) -> Key { Key(unchecked: Array(String(1000 + number).utf8)) }

    private func page(_ numbers: Range<Int>, isLast: Bool = false) -> WalkPage {
        WalkPage(
            entries: numbers.map { WalkPage.Entry(key: key($0), version: .zero) },
            next: isLast ? nil : numbers.last.map(key))
    }

    private func keys(_ count: WalkCount, _ after: Int?, isOver: Bool = false) -> UInt64 {
        count.keys(behind: WalkPosition(buckets: .max, after: after.map(key), isOver: isOver))
    }

    @Test func aWalkPassesTheKeysOfItsPages() {
        let count = WalkCount()
        count.read(page(0..<10), after: nil)
        #expect(keys(count, nil) == 0)
        #expect(keys(count, 9) == 10, "the page is behind it, the next one not read yet")
        count.read(page(10..<20), after: key(9))
        #expect(keys(count, 9) == 10)
        // Only half of a page was dealt with: it goes on from there.
        #expect(keys(count, 14) == 15)
        count.read(page(15..<22, isLast: true), after: key(14))
        #expect(keys(count, 14) == 15)
        #expect(keys(count, nil, isOver: true) == 22)
    }

    @Test func aPageThatIsReadAgainCountsOnce() {
        let count = WalkCount()
        count.read(page(0..<10), after: nil)
        count.read(page(0..<10), after: nil)
        count.read(page(10..<20), after: key(9))
        count.read(page(10..<20), after: key(9))
        #expect(keys(count, 9) == 10)
        count.read(page(0..<10), after: nil)
        #expect(keys(count, nil) == 0, "a new walk begins at nothing")
    }

    @Test func whatIsLeftIsEstimatedFromTheMean() {
        let half = WalkPosition(buckets: 0xFFFF_FFFF, after: key(1), isOver: false)
        let progress = Heartbeat.Progress(
            passed: 100, walk: half, nodeKeys: 4_000, nodeBytes: 400_000, partitions: 4)
        #expect(progress == Heartbeat.Progress(keys: 100, keysLeft: 400, bytes: 10_000, bytesLeft: 40_000))
        var over = half
        over.isOver = true
        #expect(
            Heartbeat.Progress(passed: 700, walk: over, nodeKeys: 4_000, nodeBytes: 0, partitions: 4)
                == Heartbeat.Progress(keys: 700, keysLeft: 0, bytes: 0, bytesLeft: 0))
        let empty = Heartbeat.Progress(passed: 5, walk: half, nodeKeys: 0, nodeBytes: 9, partitions: 0)
        #expect(empty == Heartbeat.Progress(keys: 5, keysLeft: 0, bytes: 0, bytesLeft: 0))
    }
}
