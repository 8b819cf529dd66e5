"""Injects faults by a seed, one or several at a time, and heals them; watches that no server ends by itself."""

import json
import re
import time

import faults_data
import faults_disk
import faults_members
import faults_network
import faults_process
from cluster import CONTROLLER, NODES
from fault import Impossible

ALL = {fault.name: fault for fault in (
    *faults_process.FAULTS, *faults_network.CUTS, *faults_network.SPOILS, faults_disk.FullDisk,
    *faults_disk.DISTURBANCES, *faults_data.FAULTS, *faults_members.FAULTS)}
DEFAULT = tuple(ALL)
ALL |= {fault.name: fault for fault in faults_data.UNPROMISED}
COMPANIONS = ("kill-several", "kill", "pause", "delay", "reset", "slow-sync", "full-disk")
"""What may go wrong while one node's data is being lost: nothing that keeps the controller from noticing the loss."""

HEAL_SECONDS = 60
"""Within this, after all faults ended, every partition must be whole."""

OPERATOR_SECONDS = 25
"""How long an operator waits before emptying the damaged folder of a node that does not come back."""

TRIES = 3
"""Starts of a damaged node that fail before its folder is emptied."""


class Nemesis:
    def __init__(self, cluster, load, names, rng, path):
        self.cluster, self.load, self.rng = cluster, load, rng
        self.faults = [ALL[name] for name in names if not ALL[name].damages]
        self.damages = [ALL[name] for name in names if ALL[name].damages]
        self.active, self.unhealed = [], []
        self.damaged, self.suspects, self.failures = None, set(), {}
        """`damaged`: whose data has just been harmed. `suspects`: whose folder was harmed before that and not emptied since; what
        was harmed may be met late. `failures`: how often a harmed node has ended by itself."""
        self.tempo = rng.choice((0.2, 1, 1))
        self.log_file = open(path, "w", buffering=1)
        self.log, self.problems, self.heal_seconds, self.is_stuck = [], [], [], False
        """`problems`: what servers did wrong, in sentences."""

    # Noting

    def note(self, fault, action, detail=None):
        entry = {"at": time.monotonic_ns(), "clock": time.strftime("%H:%M:%S"), "fault": fault, "action": action,
                 "detail": detail}
        self.log.append(entry)
        self.log_file.write(json.dumps(entry) + "\n")

    def blame(self, sentence):
        self.problems.append(sentence)
        self.note("-", "problem", sentence)

    # Time

    def sleep(self, seconds):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.watch()
            time.sleep(min(0.1, left))

    def watch(self):
        """A server that ended by itself is noted and started again. Unless its data was harmed that is
        wrong; a crash is wrong even then."""
        for server in self.cluster.servers.values():
            status = server.ended_by_itself()
            if status is None:
                continue
            if any(server.name in fault.claims and fault.name == "failing-sync" for fault in self.active):
                self.note(server.name, "ended", f"status {status}, its disk fails")
                server.forget()
                continue
            text = f"{server.name} ended by itself with status {status}:\n{server.last_words()}"
            server.forget()
            is_damaged = server.name == self.damaged or server.name in self.suspects
            failures = self.failures.get(server.name, 0)
            if not is_damaged or status < 0 and failures == 0:
                self.blame(text)
            if is_damaged:
                self.note(server.name, "ended", text)
                self.failures[server.name] = failures + 1
                if failures + 1 >= TRIES:
                    self.empty(server.name, f"it can't start: {last_line(server)}")
                    continue
                time.sleep(0.2)
            server.start()

    def empty(self, name, why):
        """What an operator does about a node whose data is beyond use."""
        self.note(name, "operator empties", why)
        self.cluster.servers[name].kill()
        self.cluster.wipe(name)
        self.cluster.servers[name].start()
        self.failures[name] = 0
        self.suspects.discard(name)

    # Rounds

    def run(self, seconds):
        """Rounds of faults until the time is over, or the cluster does not heal."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.is_stuck:
            if self.damages and (self.rng.random() < 0.35 or not self.faults):
                self.damage_round()
            else:
                self.round(self.rng.choice((1, 1, 2, 3)), self.faults, ())
                if self.rng.random() < 0.3:
                    self.await_whole()

    def damage_round(self):
        if not self.await_whole():
            return
        companions = [fault for fault in self.faults if fault.name in COMPANIONS]
        if companions and self.rng.random() < 0.3:
            self.begin(self.rng.choice(companions), {CONTROLLER})
        damage = self.begin(self.rng.choice(self.damages), ())
        if damage is not None:
            self.damaged = damage.victim
            if damage.lasts:
                self.suspects.add(damage.victim)
            elif isinstance(damage, faults_data.Wipe):
                self.suspects.discard(damage.victim)
            self.failures[damage.victim] = 0
        self.round(self.rng.choice((0, 1)), companions, {CONTROLLER})
        self.await_whole()

    def round(self, count, faults, spared):
        for _ in range(count if faults else 0):
            if self.begin(self.rng.choice(faults), spared) is not None:
                self.sleep(self.rng.choice((0, 0.1, 1)))
        self.sleep(self.tempo * self.rng.choice((0.3, 1, 2, 5)))
        self.heal()
        self.sleep(self.tempo * self.rng.choice((0, 0.5, 3)))

    def begin(self, kind, spared):
        """Injects a fault that lasts until the next `heal`. None when it has no target now."""
        busy = set(spared).union(*(fault.claims for fault in self.active + self.unhealed))
        fault = kind(self.cluster, self.rng, busy)
        try:
            detail = fault.inject()
        except Impossible as reason:
            self.note(kind.name, "impossible", str(reason) or None)
            return None
        self.note(fault.name, "inject", detail)
        if "did not stop cleanly" in detail:
            self.blame(detail)
        self.active.append(fault)
        return fault

    def heal(self):
        """Heals everything; what can't be healed yet is tried again next time."""
        faults = self.active + self.unhealed
        self.active, self.unhealed = [], []
        self.rng.shuffle(faults)
        for fault in faults:
            try:
                self.note(fault.name, "heal", fault.heal())
            except Impossible as reason:
                self.note(fault.name, "not healed yet", str(reason))
                self.unhealed.append(fault)

    def await_whole(self):
        """False, and a problem, when the cluster does not become whole in time though nothing is wrong any more."""
        self.heal()
        seconds, problem = self.wait(OPERATOR_SECONDS if self.damaged or self.suspects else HEAL_SECONDS)
        if problem:
            name = self.damaged or self.late(problem)
            if name:
                self.empty(name, f"not whole after {OPERATOR_SECONDS} s: {problem}")
                seconds, problem = self.wait(HEAL_SECONDS)
            elif self.suspects:
                more, problem = self.wait(HEAL_SECONDS - OPERATOR_SECONDS)
                seconds += more
        self.damaged = None
        if problem:
            self.blame(f"not whole {HEAL_SECONDS} s after the last fault: {problem}")
            self.is_stuck = True
            return False
        self.load.hold()
        more, problem = self.cluster.await_equal(self.load.keys, HEAL_SECONDS)
        self.load.go_on()
        if problem:
            self.blame(f"healthy, but {HEAL_SECONDS} s after the last write {problem}")
            self.is_stuck = True
            return False
        self.heal_seconds.append(seconds + more)
        self.note("-", "whole", f"after {seconds:.1f} s, replicas equal after {more:.1f} s more")
        return True

    def late(self, problem):
        """The node whose disk says only now that it was harmed; it says what an operator has to do."""
        found = re.findall(r"(\w+) is failed: storage failed: damaged:", problem)
        return found[0] if len(found) == 1 and found[0] in self.suspects else None

    def wait(self, patience):
        last = None

        def watch(problem):
            nonlocal last
            self.watch()
            if problem != last and problem is not None:
                self.note("-", "not whole", problem)
            last = problem
            if self.unhealed:
                self.heal()

        return self.cluster.await_whole(patience, watch)


def available(names, cluster_is_private, uses_proxy, tools):
    """Of these faults, those that can be injected here; and why not the others."""
    missing = {}
    cuts = {fault.name for fault in faults_network.CUTS}
    spoils = {fault.name for fault in faults_network.SPOILS}
    disturbances = {fault.name for fault in faults_disk.DISTURBANCES}
    for name in names:
        if name in cuts and not cluster_is_private:
            missing[name] = "no private network: root is needed"
        elif name in spoils and not uses_proxy:
            missing[name] = "links are direct in this run"
        elif name == "full-disk" and not tools.small_disks:
            missing[name] = tools.missing["disks"]
        elif name in disturbances and not tools.shim:
            missing[name] = tools.missing["shim"]
    return [name for name in names if name not in missing], missing


def last_line(server):
    return server.last_words().strip().rpartition("\n")[2]


def everything_that_ran(cluster):
    return [name for name in (CONTROLLER, *NODES) if cluster.servers[name].starts]
