"""What is done about a cluster that does not become whole."""

import os
import random
import unittest
from unittest import mock

import faults_data
from nemesis import HEAL_SECONDS, OPERATOR_SECONDS, TRIES, Nemesis

DAMAGED = "worker4 is failed: storage failed: damaged: the batch can't be written; restore the folder, or empty it"


class FakeServer:
    """`statuses`: with which it ends by itself, one each time that it is asked."""

    def __init__(self, name):
        self.name, self.statuses, self.starts = name, [], 0

    def ended_by_itself(self):
        return self.statuses.pop(0) if self.statuses else None

    def last_words(self):
        return "damaged"

    def forget(self):
        pass

    def kill(self):
        pass

    def start(self):
        self.starts += 1


class FakeCluster:
    """`problems`: what is wrong at each wait, the last of them from then on."""

    def __init__(self, problems):
        self.problems, self.wiped, self.patience = problems, [], []
        self.servers = {name: FakeServer(name) for name in ("worker1", "worker4")}

    def await_whole(self, patience, watch):
        self.patience.append(patience)
        return 1.0, self.problems.pop(0) if len(self.problems) > 1 else self.problems[0]

    def await_equal(self, keys, patience):
        return 0.5, None

    def wipe(self, name):
        self.wiped.append(name)


class FakeNemesisTests(unittest.TestCase):
    def nemesis(self, *problems):
        made = Nemesis(FakeCluster(list(problems)), mock.Mock(keys=["k"]), [], random.Random(1), os.devnull)
        self.addCleanup(made.log_file.close)
        return made


class WholeTests(FakeNemesisTests):
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
        self.assertEqual(nemesis.cluster.patience, [OPERATOR_SECONDS, HEAL_SECONDS])

    def test_nobody_else_may_say_so(self):
        nemesis = self.nemesis(DAMAGED)
        nemesis.suspects = {"worker1"}
        self.assertFalse(nemesis.await_whole())
        self.assertEqual((nemesis.cluster.wiped, len(nemesis.problems)), ([], 1))
        self.assertEqual(sum(nemesis.cluster.patience), HEAL_SECONDS)

    def test_two_are_never_emptied_at_once(self):
        nemesis = self.nemesis(f"{DAMAGED}; {DAMAGED.replace('worker4', 'worker1')}")
        nemesis.suspects = {"worker1", "worker4"}
        self.assertFalse(nemesis.await_whole())
        self.assertEqual(nemesis.cluster.wiped, [])

    def test_a_cluster_that_stays_broken_is_a_problem(self):
        nemesis = self.nemesis("partition 1: leaderless")
        self.assertFalse(nemesis.await_whole())
        self.assertEqual(len(nemesis.problems), 1)
        self.assertEqual(nemesis.cluster.patience, [HEAL_SECONDS])


class WatchTests(FakeNemesisTests):
    def watched(self, statuses, suspects):
        nemesis = self.nemesis(None)
        nemesis.suspects = suspects
        nemesis.cluster.servers["worker4"].statuses = statuses
        with mock.patch("nemesis.time.sleep"):
            while nemesis.cluster.servers["worker4"].statuses:
                nemesis.watch()
        return nemesis

    def test_a_harmed_node_that_does_not_start_is_emptied(self):
        nemesis = self.watched([1] * TRIES, {"worker1", "worker4"})
        self.assertEqual((nemesis.cluster.wiped, nemesis.problems), (["worker4"], []))
        self.assertEqual(nemesis.suspects, {"worker1"})
        self.assertEqual(nemesis.cluster.servers["worker4"].starts, TRIES)

    def test_a_crash_is_wrong_even_there(self):
        nemesis = self.watched([-11], {"worker4"})
        self.assertEqual(len(nemesis.problems), 1)

    def test_an_unharmed_node_never_ends(self):
        nemesis = self.watched([1], {"worker1"})
        self.assertEqual((len(nemesis.problems), nemesis.cluster.wiped), (1, []))


class DamageTests(FakeNemesisTests):
    def damage(self, kind):
        nemesis = self.nemesis(None)
        nemesis.damages, nemesis.suspects = [kind], {"worker4"}
        fault = mock.Mock(spec=kind, victim="worker4", lasts=kind.lasts)
        with mock.patch.object(nemesis, "begin", lambda kind, spared: fault), mock.patch.object(nemesis, "round"):
            nemesis.damage_round()
        return nemesis

    def test_what_was_emptied_is_above_suspicion(self):
        self.assertEqual(self.damage(faults_data.Wipe).suspects, set())

    def test_what_was_harmed_again_is_not(self):
        lasting = next(fault for fault in faults_data.FAULTS if fault.lasts)
        self.assertEqual(self.damage(lasting).suspects, {"worker4"})


if __name__ == "__main__":
    unittest.main()
