"""What answers of a node mean for a history."""

import unittest

import client
import summary
from history import Operation


def answered(op, status, headers=None, body=b"", **fields):
    operation = Operation(0, "k", op, 0, end=1, **fields)
    headers = {"content-type": "application/json", **(headers or {})}
    return operation, client.record_answer(operation, status, headers, body)


class AnswerTests(unittest.TestCase):
    def test_acknowledged_write_needs_its_version_and_quorum(self):
        body = b'{"key":"k","version":"1.2.3","acks":2,"required":2}'
        operation, odd = answered("put", 200, {"etag": '"1.2.3"'}, body, value="7")
        self.assertEqual((operation.outcome, operation.version, odd), ("ok", "1.2.3", None))
        self.assertIsNotNone(answered("put", 200, {}, body, value="7")[1])
        few = body.replace(b'"acks":2', b'"acks":1')
        self.assertIsNotNone(answered("put", 200, {"etag": '"1.2.3"'}, few, value="7")[1])

    def test_failed_condition_tells_the_current_version_or_absence(self):
        operation, _ = answered("cas", 412, {"etag": '"1.2.4"'}, b"{}", expected="1.2.3")
        self.assertEqual((operation.outcome, operation.version), ("condition_failed", "1.2.4"))
        self.assertIsNone(answered("cas", 412, {}, b"{}", expected="1.2.3")[0].version)

    def test_refusals_and_unknowns_are_what_the_body_says(self):
        self.assertEqual(answered("put", 503, {}, b'{"outcome":"not_applied"}')[0].outcome, "not_applied")
        self.assertEqual(answered("put", 504, {}, b'{"outcome":"unknown"}')[0].outcome, "unknown")
        self.assertIsNotNone(answered("put", 503, {}, b"{}")[1])
        self.assertIsNotNone(answered("put", 504, {}, b'{"outcome":"not_applied"}')[1])
        self.assertEqual(answered("get", 504, {}, b"{}")[0].outcome, "unknown")

    def test_other_answers_are_odd(self):
        self.assertIsNotNone(answered("get", 500)[1])
        self.assertIsNotNone(answered("put", 404)[1])

    def test_gap_reaches_from_the_first_to_the_last_operation(self):
        lines = [Operation(0, "k", "get", at, at, "absent") for at in (0, 2_000_000_000)]
        lines.append(Operation(0, "k", "get", 7_000_000_000, None, "unknown"))
        self.assertEqual(summary.gaps(lines), {"k": 5.0})
        self.assertEqual(summary.gaps(lines, [(3_000_000_000, 6_500_000_000)]), {"k": 2.0})


if __name__ == "__main__":
    unittest.main()
