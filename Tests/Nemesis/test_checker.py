"""The checker's own tests: histories that are right, and known-bad ones that it must refuse, each for its reason."""

import random
import unittest

import checker
from history import BASE, Operation

A, B, C, D = (str(number * BASE) for number in (1, 2, 3, 4))


def operation(op, start, end, outcome="ok", value=None, version=None, expected=None, by=None, client=0):
    return Operation(client, "k", op, start, end, outcome, value, version, expected, by)


def put(start, end, value, version, **more):
    return operation("put", start, end, value=value, version=version, **more)


def get(start, end, value, version, **more):
    return operation("get", start, end, value=value, version=version, **more)


def absent(start, end):
    return operation("get", start, end, "absent")


def delete(start, end, outcome="ok", expected=None):
    return operation("delete", start, end, outcome, expected=expected)


def unknown(op, start, value, **more):
    return operation(op, start, None, "unknown", value=value, **more)


class CheckerTests(unittest.TestCase):
    def holds(self, *lines):
        self.assertEqual([violation.text() for violation in checker.check(lines)], [])

    def fails(self, rule, *lines):
        self.assertIn(rule, [violation.rule for violation in checker.check(lines)])

    # Right histories

    def test_plain_sequence(self):
        self.holds(absent(0, 1), put(2, 3, A, "1.1.1"), get(4, 5, A, "1.1.1"), delete(6, 7), absent(8, 9),
                   operation("create", 10, 11, value=B, version="1.1.3"))

    def test_read_beside_write_may_see_either(self):
        self.holds(put(0, 1, A, "1.1.1"), put(2, 9, B, "1.1.2"), get(3, 4, A, "1.1.1"), get(5, 6, B, "1.1.2"))

    def test_unknown_put_may_appear_late_or_never(self):
        self.holds(put(0, 1, A, "1.1.1"), unknown("put", 2, B), get(3, 4, A, "1.1.1"), get(50, 60, B, "2.2.1"))
        self.holds(put(0, 1, A, "1.1.1"), unknown("put", 2, B), get(50, 60, A, "1.1.1"))

    def test_restamp_keeps_the_value(self):
        self.holds(put(0, 1, A, "1.1.1"), get(2, 3, A, "2.2.1"), put(4, 5, B, "2.2.2"))

    def test_unknown_delete_explains_absence(self):
        self.holds(put(0, 1, A, "1.1.1"), delete(2, None, "unknown"), get(3, 4, A, "1.1.1"), absent(5, 6))

    def test_conditional_delete_stands_after_its_version(self):
        self.holds(put(0, 1, A, "1.1.1"), put(2, 9, B, "1.1.3"), delete(2, 9, expected="1.1.1"))

    def test_increments_add_up_across_unknown_ones(self):
        self.holds(put(0, 1, A, "1.1.1"), operation("increment", 2, None, "unknown", by=7),
                   operation("increment", 3, 4, value=str(BASE + 12), version="1.1.3", by=5),
                   get(5, 6, str(BASE + 12), "1.1.3"))

    def test_increment_on_a_put_that_nobody_saw(self):
        self.holds(put(0, 1, A, "1.1.1"), unknown("put", 2, B),
                   operation("increment", 3, 4, value=str(2 * BASE + 5), version="1.1.3", by=5))

    def test_overlapping_deletes_and_puts(self):
        self.holds(put(0, 10, A, "1.1.1"), delete(0, 10), delete(0, 10), put(0, 10, B, "1.1.9"), absent(11, 12),
                   delete(0, 13))

    # Known-bad histories

    def test_stale_read(self):
        self.fails("real time", put(0, 1, A, "1.1.1"), put(2, 3, B, "1.1.2"), get(4, 5, A, "1.1.1"))

    def test_reads_that_go_back(self):
        self.fails("real time", put(0, 1, A, "1.1.1"), put(2, 20, B, "1.1.2"), get(3, 4, B, "1.1.2"),
                   get(5, 6, A, "1.1.1"))

    def test_lost_acknowledged_write(self):
        self.fails("no order explains it", put(0, 1, A, "1.1.1"), absent(2, 3))
        self.fails("real time", put(0, 1, A, "1.1.1"), put(2, 3, B, "1.1.2"), get(4, 5, A, "1.1.1", client=-1))

    def test_writes_in_the_wrong_order(self):
        self.fails("real time", put(0, 1, A, "1.1.5"), put(2, 3, B, "1.1.2"))

    def test_one_version_for_two_writes(self):
        self.fails("version", put(0, 1, A, "1.1.1"), put(2, 3, B, "1.1.1"))

    def test_one_version_with_two_values(self):
        self.fails("value", put(0, 1, A, "1.1.1"), get(2, 3, B, "1.1.1"), unknown("put", 0, B))

    def test_value_from_nowhere(self):
        self.fails("value", put(0, 1, A, "1.1.1"), get(2, 3, C, "1.1.2"))

    def test_refused_write_is_visible(self):
        self.fails("not applied", operation("put", 0, 1, "not_applied", value=A), get(2, 3, A, "1.1.1"))
        self.fails("not applied", put(0, 1, B, "1.1.1"), get(4, 5, A, "1.1.2"),
                   operation("cas", 2, 3, "condition_failed", value=A, version="1.1.1", expected="1.0.1"))

    def test_unknown_write_twice(self):
        self.fails("twice", unknown("put", 0, A), get(1, 2, A, "1.1.1"), put(3, 4, B, "1.1.2"), get(5, 6, A, "2.1.1"))

    def test_acknowledged_write_twice(self):
        self.fails("version", put(0, 1, A, "1.1.1"), put(3, 4, B, "1.1.2"), get(5, 6, A, "2.1.1"))

    def test_cas_over_another_write(self):
        self.fails("condition", put(0, 1, A, "1.1.1"), put(2, 3, B, "1.1.2"),
                   operation("cas", 4, 5, value=C, version="1.1.3", expected="1.1.1"))

    def test_cas_over_a_delete(self):
        self.fails("no order explains it", put(0, 1, A, "1.1.1"), delete(2, 3),
                   operation("cas", 4, 5, value=C, version="1.1.3", expected="1.1.1"))

    def test_condition_failed_with_the_expected_version(self):
        self.fails("condition", put(0, 1, A, "1.1.1"),
                   operation("cas", 4, 5, "condition_failed", value=C, version="1.1.1", expected="1.1.1"))

    def test_create_over_a_value(self):
        self.fails("no order explains it", put(0, 1, A, "1.1.1"),
                   operation("create", 2, 3, value=B, version="1.1.2"))

    def test_resurrected_after_delete(self):
        self.fails("no order explains it", put(0, 1, A, "1.1.1"), delete(2, 3), get(4, 5, A, "1.1.1"))
        self.fails("no order explains it", put(0, 1, A, "1.1.1"), delete(2, 3), get(4, 5, A, "2.1.1"))

    def test_deleted_and_back_between_absent_reads(self):
        self.fails("no order explains it", put(0, 1, A, "1.1.1"), delete(2, None, "unknown"), absent(3, 4),
                   get(5, 6, A, "1.1.1"))

    def test_delete_before_it_began(self):
        self.fails("no order explains it", put(0, 1, A, "1.1.1"), absent(2, 3), delete(4, 5))

    def test_absent_condition_without_a_delete(self):
        self.fails("no order explains it", put(0, 1, A, "1.1.1"),
                   operation("cas", 2, 3, "condition_failed", value=B, expected="1.1.1"))

    def test_lost_increment(self):
        self.fails("increment", put(0, 1, A, "1.1.1"),
                   operation("increment", 2, 3, value=str(BASE + 5), version="1.1.2", by=5),
                   operation("increment", 4, 5, value=str(BASE + 7), version="1.1.3", by=7))

    def test_unknown_write_seen_before_it_began(self):
        self.fails("no order explains it", get(0, 1, A, "1.1.1"), unknown("put", 2, A))

    # Random ones

    def test_random_histories_hold_and_broken_ones_fail(self):
        for seed in range(150):
            lines = simulated(random.Random(seed))
            self.assertEqual([violation.text() for violation in checker.check(lines)], [], f"seed {seed}")
            broken = spoiled(lines)
            if broken is not None:
                self.assertNotEqual(checker.check(broken), [], f"seed {seed}")


def simulated(rng):
    """A register that is right: each operation takes effect somewhere between its start and its end."""
    value, version, number, lines, shown = None, None, 0, [], set()
    for moment in range(0, 200 * 10, 10):
        start, end = moment - rng.randrange(60), moment + 1 + rng.randrange(60)
        lost = rng.random() < 0.1
        number += 1
        unique = str(number * BASE)
        kind = rng.choice(("put", "get", "get", "delete", "cas", "create", "increment"))
        line = operation(kind, start, None if lost else end, "unknown" if lost else "ok")
        stamp = f"1.1.{number}"
        if kind == "get":
            line.value, line.version = value, version
            line.outcome = line.outcome if lost else "ok" if value else "absent"
        elif kind == "delete":
            value = version = None
        else:
            line.by = rng.randrange(1_000, 900_000) if kind == "increment" else None
            line.expected = version if kind == "cas" else None
            holds = kind in ("put", "increment") or (kind == "cas") == (value is not None)
            if kind == "cas" and version not in shown:
                continue
            sum_of = str((int(value) if value else 0) + (line.by or 0))
            if holds:
                value, version = (sum_of if kind == "increment" else unique), stamp
                line.value, line.version = value, version
            else:
                line.value, line.version = unique, version
                line.outcome = line.outcome if lost else "condition_failed"
        shown.add(line.version)
        if lost:
            shown.discard(line.version)
            line.version = None
            line.value = None if kind in ("get", "increment") else line.value
        lines.append(line)
    return lines


def spoiled(lines):
    """Moves a read behind a later acknowledged write of another version: stale."""
    for index, line in enumerate(lines):
        if line.op == "get" and line.outcome == "ok":
            later = [other for other in lines[index + 1:] if other.outcome == "ok" and other.op == "put"]
            if later:
                line.start, line.end = later[0].end + 1, later[0].end + 2
                return lines
    return None


if __name__ == "__main__":
    unittest.main()
