"""Checks histories: each key's must be linearizable, in the order that the versions say.

    python3 checker.py HISTORY.jsonl

First the rules that name the two lines that contradict each other, then the search for an order of everything."""

import collections
import dataclasses
import sys

import chain
import history
import placement


@dataclasses.dataclass
class Violation:
    key: str
    rule: str
    detail: str
    lines: list

    def text(self):
        return "\n".join([f"{self.key}: {self.rule}: {self.detail}"] + ["    " + line.line() for line in self.lines])


def check(operations):
    """The violations of a history, none when it is linearizable."""
    keys = collections.defaultdict(list)
    for operation in operations:
        keys[operation.key].append(operation)
    return [violation for key in sorted(keys) for violation in check_key(key, keys[key])]


def check_key(key, operations):
    """The violations of one key. The search is made only when the plain rules hold."""
    found = []

    def violation(rule, detail, *lines):
        found.append(Violation(key, rule, detail, [line for line in lines if line is not None]))

    operations = sorted(operations, key=lambda operation: operation.start)
    nodes = chain.build(operations, violation)
    if found:
        return found
    check_real_time(operations, violation)
    if not found:
        failure = placement.search(nodes, operations)
        if failure is not None:
            violation("no order explains it", failure.detail, *failure.lines)
    return found


def check_real_time(operations, violation):
    """An operation that begins after another has ended never shows or makes an older version."""
    ended = sorted((operation for operation in operations if operation.end is not None and operation.version
                    and operation.outcome in ("ok", "condition_failed")), key=lambda operation: operation.end)
    position, newest = 0, None
    for operation in operations:
        while position < len(ended) and ended[position].end < operation.start:
            if newest is None or _version(ended[position]) > _version(newest):
                newest = ended[position]
            position += 1
        if newest is None or not operation.version or operation.outcome not in ("ok", "condition_failed"):
            continue
        older, same = _version(operation) < _version(newest), operation.version == newest.version
        if older or same and operation.is_write and operation.outcome == "ok" and newest is not operation:
            violation("real time", f"{operation.version} after {newest.version} had been shown", newest, operation)
            return


def _version(operation):
    return history.parse_version(operation.version)


def main():
    violations = check(history.load(sys.argv[1]))
    for violation in violations:
        print(violation.text())
    print(f"{len(violations)} violations")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
