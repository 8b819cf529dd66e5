"""What is done about a cluster that does not become whole."""

import os
import random
import unittest
from unittest import mock

from nemesis import Nemesis

DAMAGED = "worker4 is failed: storage failed: damaged: the batch can't be written; restore the folder, or empty it"


class FakeCluster:
    """`problems`: what is wrong at each wait, the last of them from then on."""

    def __init__(self, problems):
        self.problems, self.wiped, self.patience = problems, [], []
        self.servers = {name: mock.Mock() for name in ("worker1", "worker4")}

    def await_whole(self, patience, watch):
        self.patience.append(patience)
        return 1.0, self.problems.pop(0) if len(self.problems) > 1 else self.problems[0]

    def await_equal(self, keys, patience):
        return 0.5, None

    def wipe(self, name):
        self.wiped.append(name)


class WholeTests(unittest.TestCase):
    def nemesis(self, *problems):
        made = Nemesis(FakeCluster(list(problems)), mock.Mock(keys=["k"]), [], random.Random(1), os.devnull)
        self.addCleanup(made.log_file.close)
        return made

    def test_what_was_harmed_just_now_is_emptied_in_the_end(self):
        nemesis = self.nemesis("partition 1: leaderless", None)
        nemesis.damaged = "worker4"
        self.assertTrue(nemesis.await_whole())
        self.assertEqual((nemesis.cluster.wiped, nemesis.problems), (["worker4"], []))

    def test_so_is_what_was_harmed_before_and_says_so_late(self):
        nemesis = self.nemesis(f"worker1 is joining: ; {DAMAGED}", None)
        nemesis.suspects = {"worker1", "worker4"}
        self.assertTrue(nemesis.await_whole())
        self.assertEqual((nemesis.cluster.wiped, nemesis.problems), (["worker4"], []))
        self.assertEqual(nemesis.suspects, {"worker1"})

    def test_nobody_else_may_say_so(self):
        nemesis = self.nemesis(DAMAGED)
        nemesis.suspects = {"worker1"}
        self.assertFalse(nemesis.await_whole())
        self.assertEqual((nemesis.cluster.wiped, len(nemesis.problems)), ([], 1))

    def test_two_are_never_emptied_at_once(self):
        nemesis = self.nemesis(f"{DAMAGED}; {DAMAGED.replace('worker4', 'worker1')}")
        nemesis.suspects = {"worker1", "worker4"}
        self.assertFalse(nemesis.await_whole())
        self.assertEqual(nemesis.cluster.wiped, [])

    def test_a_cluster_that_stays_broken_is_a_problem(self):
        nemesis = self.nemesis("partition 1: leaderless")
        self.assertFalse(nemesis.await_whole())
        self.assertEqual(len(nemesis.problems), 1)


if __name__ == "__main__":
    unittest.main()
