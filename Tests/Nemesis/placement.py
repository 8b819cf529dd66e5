"""The search for one order of a key's operations that its versions and real time allow.

The versions give the order of the records, so little is left to find: where the deletes stand, which are answered
without a version, and which unknown ones took effect. Reads go at once wherever they can; among deletes that could
go, the one that must go first does. Neither loses a solution. What is left to try is remembered, so that nothing is
tried twice. Unknown writes that nobody saw don't count: leaving them out is always allowed."""

import dataclasses

from chain import ABSENT, PRESENT

MAXIMUM_STEPS = 1_000_000
FOREVER = float("inf")


@dataclasses.dataclass
class Failure:
    detail: str
    lines: list


@dataclasses.dataclass(slots=True)
class _State:
    """After `node` (-1: none yet), which is deleted if `absent`. `done` marks required operations, `first` is the first
    in order of ending that isn't; `seen` counts observers of the node, `gaps` observations of absence; `deletes` and
    `spent` are sets of acknowledged and unknown deletes, as bits."""

    node: int
    absent: bool
    done: bytearray
    first: int
    seen: int
    gaps: int
    deletes: int
    spent: int

    def copy(self):
        return _State(self.node, self.absent, bytearray(self.done), self.first, self.seen, self.gaps, self.deletes,
                      self.spent)

    def key(self):
        return self.node, self.absent, self.gaps, self.deletes, self.spent


def search(nodes, operations):
    """None when there is an order, or how far the best attempt came."""
    return _Search(nodes, operations).run()


class _Search:
    def __init__(self, nodes, operations):
        self.nodes = nodes
        for node in nodes:
            node.observers.sort(key=lambda operation: operation.start)
        self.absents = [operation for operation in operations if _shows_absent(operation)]
        deletes = [operation for operation in operations if operation.op == "delete"]
        self.acknowledged = sorted(
            (operation for operation in deletes if operation.outcome == "ok"), key=lambda operation: operation.end)
        self.unknown = [operation for operation in deletes if operation.outcome == "unknown"]
        required = [operation for node in nodes for operation in node.observers] + self.absents + self.acknowledged
        required += [node.creator for node in nodes if node.creator is not None and node.creator.outcome == "ok"]
        self.required = sorted(required, key=lambda operation: operation.end)
        self.index = {id(operation): index for index, operation in enumerate(self.required)}
        self.best, self.best_done = None, -1

    def run(self):
        stack, tried = [_State(-1, True, bytearray(len(self.required)), 0, 0, 0, 0, 0)], set()
        for _ in range(MAXIMUM_STEPS):
            if not stack:
                return self.failure()
            state = stack.pop()
            self.observe(state)
            if state.first == len(self.required) and state.node == len(self.nodes) - 1:
                return None
            if state.key() in tried:
                continue
            tried.add(state.key())
            finished = sum(state.done)
            if finished > self.best_done:
                self.best, self.best_done = state, finished
            stack.extend(reversed(self.moves(state)))
        return Failure(f"undecided after {MAXIMUM_STEPS} steps", [])

    # What can go next: what began before everything that is left has ended.

    def limit(self, state):
        while state.first < len(self.required) and state.done[state.first]:
            state.first += 1
        return self.required[state.first].end if state.first < len(self.required) else FOREVER

    def finish(self, state, operation):
        state.done[self.index[id(operation)]] = 1

    def observe(self, state):
        """Lets everything go that sees the present state."""
        while True:
            limit = self.limit(state)
            if state.absent:
                if state.gaps == len(self.absents) or self.absents[state.gaps].start > limit:
                    return
                self.finish(state, self.absents[state.gaps])
                state.gaps += 1
            else:
                observers = self.nodes[state.node].observers
                if state.seen == len(observers) or observers[state.seen].start > limit:
                    return
                self.finish(state, observers[state.seen])
                state.seen += 1

    def moves(self, state):
        """States that may follow, the likeliest first."""
        if not state.absent and state.seen < len(self.nodes[state.node].observers):
            return []
        advance = self.advance(state)
        delete = self.delete(state)
        guess = [] if state.absent else self.guess(state)
        blocker = self.required[state.first] if state.first < len(self.required) else None
        if blocker is not None and (blocker.op == "delete" or not state.absent and _shows_absent(blocker)):
            return delete + guess + advance
        return advance + delete + guess

    def advance(self, state):
        """The next record comes into being."""
        if state.node + 1 == len(self.nodes):
            return []
        node = self.nodes[state.node + 1]
        if node.before == ABSENT and not state.absent or node.before == PRESENT and state.absent:
            return []
        if node.creator is not None and node.creator.start > self.limit(state):
            return []
        following = state.copy()
        following.node, following.absent, following.seen = state.node + 1, False, 0
        if node.creator is not None and node.creator.outcome == "ok":
            self.finish(following, node.creator)
        return [following]

    def delete(self, state):
        """An acknowledged delete goes: of those that may, the one that ends first, and one that names this version."""
        return self.absence(state, self.acknowledged, state.deletes, self.acknowledge)

    def guess(self, state):
        """An unknown delete took effect here."""
        return self.absence(state, self.unknown, state.spent, self.spend)

    def acknowledge(self, state, number):
        state.deletes |= 1 << number
        self.finish(state, self.acknowledged[number])

    def spend(self, state, number):
        state.spent |= 1 << number

    def absence(self, state, candidates, used, use):
        limit, found, following = self.limit(state), set(), []
        for number, operation in enumerate(candidates):
            conditional = operation.expected is not None
            if used >> number & 1 or operation.start > limit or conditional in found:
                continue
            if conditional and (state.absent or self.nodes[state.node].version != operation.expected):
                continue
            found.add(conditional)
            after = state.copy()
            after.absent = True
            use(after, number)
            following.append(after)
        return following

    def failure(self):
        state = self.best
        lines = []
        if state.node >= 0:
            lines.append(self.nodes[state.node].witness)
        if state.node + 1 < len(self.nodes):
            lines.append(self.nodes[state.node + 1].witness)
        lines += [operation for operation, done in zip(self.required[state.first:], state.done[state.first:])
                  if not done][:4]
        after = "nothing" if state.node < 0 else self.nodes[state.node].version
        return Failure(
            f"{self.best_done} of {len(self.required)} operations fit, up to {after}"
            f"{', deleted' if state.absent else ''}; then the record before, the next one and what had to come",
            [line for line in lines if line is not None])


def _shows_absent(operation):
    return operation.outcome == "absent" or operation.outcome == "condition_failed" and operation.version is None
