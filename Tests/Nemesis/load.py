"""Clients that put, get, delete, compare and count a few keys through any node, and write down what they were told."""

import random
import threading
import time

import client
from history import BASE, LARGEST_INCREMENT, Operation

MIX = (("get", 34), ("put", 22), ("cas", 16), ("increment", 14), ("create", 8), ("delete", 6))
ANSWER_SECONDS = 6
"""A client gives an answer up after this: three times what it asks the node to take."""


class Load:
    """`targets` maps names of nodes to addresses. Keys are few, so that clients collide on them."""

    def __init__(self, targets, keys, clients, pause_seconds, seed):
        self.targets, self.keys, self.pause = targets, keys, pause_seconds
        self.workers = [_Worker(self, number, random.Random(f"{seed} client {number}")) for number in range(clients)]
        self.stopping, self.going = threading.Event(), threading.Event()
        self.going.set()
        self.held_since, self.holds = 0, []
        """`holds`: pairs of times between which nobody began anything."""
        self.oddities = []
        """(time, sentence) of answers that no server should give."""

    def start(self):
        for worker in self.workers:
            worker.thread.start()

    def hold(self):
        """Nobody begins anything more. What was begun may go on for a while."""
        self.going.clear()
        self.held_since = time.monotonic_ns()

    def go_on(self):
        self.holds.append((self.held_since, time.monotonic_ns()))
        self.going.set()

    def stop(self):
        """Lets every client finish what it asked, and returns all operations in order of their start."""
        self.stopping.set()
        self.going.set()
        for worker in self.workers:
            worker.thread.join()
        return sorted((line for worker in self.workers for line in worker.lines), key=lambda line: line.start)


def perform(connection, operation):
    """Asks, and fills in the answer. Returns (answered, sentence when the answer is odd)."""
    request = client.request_of(operation)
    operation.start = time.monotonic_ns()
    try:
        answer = connection.ask(*request)
    except client.NotSent:
        operation.end = time.monotonic_ns()
        operation.outcome = "not_applied" if operation.is_write else "unknown"
        return False, None
    except client.Lost:
        operation.end, operation.outcome = None, "unknown"
        return False, None
    end = time.monotonic_ns()
    odd = client.record_answer(operation, *answer)
    operation.end = None if operation.outcome == "unknown" and operation.is_write else end
    return operation.outcome not in ("unknown", "not_applied"), odd


class _Worker:
    def __init__(self, load, number, rng):
        self.load, self.number, self.rng = load, number, rng
        self.lines, self.versions, self.connections = [], {}, {}
        self.count = 0
        self.increments = set()
        self.thread = threading.Thread(target=self.run, name=f"client {number}", daemon=True)

    def run(self):
        target = self.rng.choice(sorted(self.load.targets))
        while not self.load.stopping.is_set():
            self.load.going.wait()
            if self.rng.random() < 0.05:
                target = self.rng.choice(sorted(self.load.targets))
            operation = self.next_operation(target)
            answered, odd = perform(self.connection(target), operation)
            self.lines.append(operation)
            if odd is not None:
                self.load.oddities.append((operation.start, f"{target}: {odd}; {operation.line()}"))
            if operation.version is not None:
                self.versions[operation.key] = operation.version
            if not answered:
                target = self.rng.choice(sorted(self.load.targets))
            self.load.stopping.wait(self.rng.random() * 2 * self.load.pause)
        for connection in self.connections.values():
            connection.close()

    def connection(self, target):
        if target not in self.connections:
            self.connections[target] = client.Connection(self.load.targets[target], ANSWER_SECONDS)
        return self.connections[target]

    def next_operation(self, target):
        key = self.rng.choice(self.load.keys)
        kind = self.rng.choices([name for name, _ in MIX], [weight for _, weight in MIX])[0]
        known = self.versions.get(key)
        if kind == "cas" and known is None:
            kind = "get"
        operation = Operation(self.number, key, kind, 0, node=target)
        if kind in ("put", "cas", "create"):
            self.count += 1
            operation.value = str((self.count * len(self.load.workers) + self.number + 1) * BASE)
        if kind == "increment":
            operation.by = self.next_increment()
        if kind == "cas" or kind == "delete" and known is not None and self.rng.random() < 0.3:
            operation.expected = known
        return operation

    def next_increment(self):
        """A number that no client has taken or will take: two that meet an absent key make values that can be told apart."""
        clients = len(self.load.workers)
        while True:
            by = self.rng.randrange(1, LARGEST_INCREMENT // clients) * clients + self.number
            if by not in self.increments:
                self.increments.add(by)
                return by
