"""What the clients write can be told apart."""

import unittest

from history import BASE
from load import Load


class LoadTests(unittest.TestCase):
    def test_no_two_writes_are_alike(self):
        load = Load({"one": None}, ["k"], 12, 0, 1)
        operations = [worker.next_operation("one") for _ in range(2_000) for worker in load.workers]
        increments = [operation.by for operation in operations if operation.op == "increment"]
        values = [int(operation.value) for operation in operations if operation.value is not None]
        self.assertGreater(len(increments), 3_000)
        self.assertEqual(len(set(increments)), len(increments))
        self.assertLess(100 * max(increments), BASE)
        self.assertGreater(len(values), 5_000)
        self.assertEqual(len(set(values)), len(values))
        self.assertEqual([value for value in values if value % BASE != 0], [])
        self.assertLess(100 * max(values), 1 << 63)


if __name__ == "__main__":
    unittest.main()
