import Foundation
import KVSimulator
import Testing

/// Histories as fault tests write them down.
@Suite struct HistoryLineTests {
    private func verdict(_ text: String) throws -> HistoryVerdict {
        let lines = text.split(separator: "\n")
        return HistoryVerdict(
            try lines.enumerated().map { number, line in
                try JSONDecoder().decode(HistoryLine.self, from: Data(line.utf8)).call(id: UInt64(number + 1))
            })
    }

    @Test func aGoodHistoryHasNoViolations() throws {
        let verdict = try verdict(
            """
            {"client":1,"key":"a","op":"put","start":1,"end":5,"outcome":"ok","value":"v1","version":"2.1.1","expected":null}
            {"client":2,"key":"a","op":"get","start":6,"end":7,"outcome":"ok","value":"v1","version":"2.1.1","expected":null}
            {"client":1,"key":"a","op":"cas","start":8,"end":9,"outcome":"ok","value":"v2","version":"2.1.2","expected":"2.1.1"}
            {"client":2,"key":"a","op":"cas","start":8,"end":10,"outcome":"condition_failed","value":"v3","version":"2.1.2","expected":"2.1.1"}
            {"client":2,"key":"a","op":"create","start":11,"end":12,"outcome":"condition_failed","value":"v4","version":null,"expected":null}
            {"client":1,"key":"a","op":"delete","start":13,"end":14,"outcome":"ok","value":null,"version":null,"expected":null}
            {"client":1,"key":"a","op":"get","start":15,"end":16,"outcome":"absent","value":null,"version":null,"expected":null}
            {"client":1,"key":"n","op":"increment","start":1,"end":2,"outcome":"ok","value":"1","version":"2.1.4","expected":null}
            {"client":2,"key":"n","op":"increment","start":3,"end":null,"outcome":"unknown","value":null,"version":null,"expected":null}
            {"client":1,"key":"n","op":"get","start":5,"end":6,"outcome":"ok","value":"2","version":"3.2.1","expected":null}
            """)
        #expect(verdict.violations.isEmpty, "\(verdict.violations)")
        #expect(verdict.keys == 2 && verdict.searched == 2)
    }

    @Test func aLostWriteIsFoundByBothCheckers() throws {
        let verdict = try verdict(
            """
            {"client":1,"key":"a","op":"put","start":1,"end":5,"outcome":"ok","value":"v1","version":"2.1.1","expected":null}
            {"client":2,"key":"a","op":"get","start":6,"end":7,"outcome":"absent","value":null,"version":null,"expected":null}
            """)
        #expect(Set(verdict.violations.map(\.property)) == [.versions, .linearizability])
    }

    @Test(arguments: [
        #"{"client":1,"key":"a","op":"put","start":5,"end":1,"outcome":"ok","value":"v","version":"2.1.1"}"#,
        #"{"client":1,"key":"a","op":"put","start":1,"end":2,"outcome":"ok","value":"v","version":"2.1"}"#,
        #"{"client":1,"key":"a","op":"put","start":1,"end":null,"outcome":"ok","value":"v","version":"2.1.1"}"#,
        #"{"client":1,"key":"a","op":"get","start":1,"end":2,"outcome":"ok","value":null,"version":"2.1.1"}"#,
        #"{"client":1,"key":"a","op":"cas","start":1,"end":2,"outcome":"ok","value":"v","version":"2.1.1"}"#,
    ]) func aLineWithoutMeaningIsRefused(line: String) {
        #expect(throws: HistoryLineError.self) { try verdict(line) }
    }
}
