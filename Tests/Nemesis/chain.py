"""The records that one key had, in the order of their versions, each with the write that must have made it.

A leader may write a record again under its own ballot with a higher version (a restamp). So one write may own several
versions; they must stand side by side. An increment is traced by its sum: see history.BASE."""

import bisect
import dataclasses

from history import BASE, Operation, parse_version

ABSENT, PRESENT = "absent", "present"


@dataclasses.dataclass(slots=True)
class Node:
    """One version. `creator` is None for a restamp and where several writes may have made it. `before` says what the
    key must have been just before: ABSENT, PRESENT (the record before this one), or None for anything."""

    version: str | None
    value: int | None
    creator: Operation | None = None
    before: str | None = None
    observers: list = dataclasses.field(default_factory=list)
    first: Operation | None = None

    @property
    def witness(self):
        return self.creator or self.first


def build(operations, violation):
    """The nodes of one key. Calls violation(rule, detail, *lines) for what can't be."""
    nodes = _collect(operations, violation)
    ordered = [nodes[version] for version in sorted(nodes, key=parse_version)]
    return _Tracer(operations, violation).trace(ordered)


def _collect(operations, violation):
    nodes = {}
    for operation in operations:
        version = operation.version
        if operation.outcome == "condition_failed":
            if version is not None and version == operation.expected:
                violation("condition", "it failed although the version was the expected one", operation)
            if version is None and operation.op == "create":
                violation("condition", "a create failed although the key had no value", operation)
        if version is None or operation.outcome not in ("ok", "condition_failed") or operation.op == "delete" \
                and operation.outcome == "ok":
            continue
        node = nodes.setdefault(version, Node(version, None))
        node.first = node.first or operation
        if operation.outcome == "condition_failed" or operation.op == "get":
            node.observers.append(operation)
        elif node.creator is not None:
            violation("version", f"two writes were given {version}", node.creator, operation)
        else:
            node.creator = operation
        if operation.outcome == "ok":
            value = int(operation.value)
            if node.value is not None and node.value != value:
                violation("value", f"{version} is {node.value} and {value}", node.first, operation)
            if node.value is None:
                node.value, node.first = value, node.creator or operation
    return nodes


class _Tracer:
    """Finds each node's creator."""

    def __init__(self, operations, violation):
        self.violation = violation
        self.owners = {int(operation.value): operation for operation in operations
                       if operation.op in ("put", "cas", "create") and operation.value is not None}
        unknown = [operation for operation in operations
                   if operation.op == "increment" and operation.outcome == "unknown"]
        self.increments = {operation.by: operation for operation in unknown}
        self.sums = {0} | set(self.increments)
        for _ in range(2 if len(unknown) <= 40 else 1 if len(unknown) <= 400 else 0):
            self.sums |= {total + by for total in self.sums for by in self.increments}
        self.seen = {}

    def trace(self, ordered):
        chain = []
        _fill(ordered)
        for node in ordered:
            previous = chain[-1] if chain else None
            if node.creator is not None:
                self.acknowledged(node, previous, chain)
            elif node.value is not None and previous is not None and previous.value == node.value:
                node.before = PRESENT
            elif node.value is not None:
                self.unacknowledged(node, previous)
            self.once(node, previous)
            chain.append(node)
        return chain

    def once(self, node, previous):
        """A write takes effect once: its versions stand side by side."""
        if node.value is None or previous is not None and previous.value == node.value:
            return
        if node.value in self.seen:
            self.violation(
                "twice", f"{node.value} came back as {node.version} after other writes",
                self.seen[node.value].witness, previous and previous.witness, node.witness)
        self.seen[node.value] = node

    def acknowledged(self, node, previous, chain):
        creator = node.creator
        if creator.op == "create":
            node.before = ABSENT
        elif creator.op == "cas":
            self.follows(node, previous)
        elif creator.op == "increment":
            self.increment(node, previous, chain)

    def follows(self, node, previous):
        node.before = PRESENT
        if previous is None or previous.version != node.creator.expected:
            self.violation(
                "condition", f"{node.version} expected {node.creator.expected} but follows "
                f"{previous.version if previous else 'nothing'}", previous and previous.witness, node.creator)

    def increment(self, node, previous, chain):
        base = node.value - node.creator.by
        if base == 0:
            node.before = ABSENT
            return
        node.before = PRESENT
        if previous is not None and previous.value is None:
            previous.value = base
        if previous is not None and previous.value == base:
            return
        owner = self.owners.get(base)
        if owner is not None and owner.outcome == "unknown":
            # A put that nobody was told of and nobody read: the increment shows that it happened.
            hidden = Node(None, base, creator=owner, first=owner)
            self.condition(hidden, previous)
            self.once(hidden, previous)
            chain.append(hidden)
        elif base % BASE == 0 or not self.may_be_sum(base, previous):
            self.violation("increment", f"it made {node.value}, but {base} was not there before",
                           previous and previous.witness, node.creator)
        else:
            chain.append(Node(None, base, first=node.creator))

    def unacknowledged(self, node, previous):
        """A record that was read, or told as the current one, whose writer had no answer."""
        if node.value % BASE != 0:
            return self.unacknowledged_increment(node, previous)
        owner = self.owners.get(node.value)
        if owner is None:
            return self.violation("value", f"nobody wrote {node.value}", node.first)
        if owner.outcome in ("not_applied", "condition_failed"):
            return self.violation("not applied", "what was refused can be read", owner, node.first)
        if owner.outcome == "ok":
            return self.violation(
                "version", f"{node.value} is {node.version} here, and {owner.version} was acknowledged, with other "
                "writes or nothing between", owner, previous and previous.witness, node.first)
        node.creator = owner
        self.condition(node, previous)

    def condition(self, node, previous):
        if node.creator.op == "create":
            node.before = ABSENT
        elif node.creator.op == "cas":
            self.follows(node, previous)

    def unacknowledged_increment(self, node, previous):
        same = previous is not None and previous.value is not None and _base(previous.value) == _base(node.value)
        difference = node.value - previous.value if same else node.value % BASE
        if difference in self.increments and (same or node.value < BASE):
            node.creator = self.increments[difference]
            node.before = PRESENT if same else ABSENT
            if same or previous is None:
                return
        if not self.may_be_sum(node.value, previous):
            self.violation("increment", f"no increments lead to {node.value}",
                           previous and previous.witness, node.first)

    def may_be_sum(self, value, previous):
        """Whether unknown increments, on the record before or on a put that may have happened, can make the value."""
        if value % BASE in self.sums:
            owner = self.owners.get(_base(value))
            if value < BASE or owner is not None and owner.outcome == "unknown":
                return True
        return previous is not None and (previous.value is None or value - previous.value in self.sums)


def _base(value):
    return value - value % BASE


def _fill(ordered):
    """A version whose value nobody read, between two of one value, is of that value."""
    last = None
    for index, node in enumerate(ordered):
        if node.value is None:
            continue
        if last is not None and ordered[last].value == node.value:
            for between in ordered[last + 1:index]:
                between.value = node.value
        last = index


def index_of(nodes, version):
    """Where a version stands among the nodes that have one, or None."""
    known = [index for index, node in enumerate(nodes) if node.version is not None]
    keys = [parse_version(nodes[index].version) for index in known]
    place = bisect.bisect_left(keys, parse_version(version))
    return known[place] if place < len(keys) and nodes[known[place]].version == version else None
