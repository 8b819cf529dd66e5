"""What a run comes to, as text and as JSON."""

import collections

SUCCESSES = ("ok", "absent", "condition_failed")


def gaps(operations, holds=()):
    """For each key the longest time in seconds between two answers, from the first operation to the last. Times in
    which nobody asked (pairs of nanoseconds) don't count."""
    longest = {}
    for key in sorted({operation.key for operation in operations}):
        mine = [operation for operation in operations if operation.key == key]
        times = sorted(operation.end for operation in mine if operation.outcome in SUCCESSES)
        moments = [min(operation.start for operation in mine), *times,
                   max(operation.end or operation.start for operation in mine)]
        longest[key] = max(
            after - before - sum(max(0, min(after, end) - max(before, begin)) for begin, end in holds)
            for before, after in zip(moments, moments[1:])) / 1e9
    return longest


def collect(operations, nemesis, violations, statuses):
    """`statuses` are those of servers that did not stop cleanly at the end."""
    by_kind = collections.Counter(f"{operation.op} {operation.outcome}" for operation in operations)
    injected = collections.Counter(entry["fault"] for entry in nemesis.log if entry["action"] == "inject")
    emptied = [entry for entry in nemesis.log if entry["action"] == "operator empties"]
    return {
        "operations": len(operations),
        "by_kind_and_outcome": dict(sorted(by_kind.items())),
        "acknowledged_writes": sum(operation.is_write and operation.outcome == "ok" for operation in operations),
        "unknown_writes": sum(operation.is_write and operation.outcome == "unknown" for operation in operations),
        "faults": dict(sorted(injected.items())),
        "emptied_by_operator": [f"{entry['fault']}: {entry['detail']}" for entry in emptied],
        "heal_seconds_max": round(max(nemesis.heal_seconds, default=0), 1),
        "longest_unavailability_seconds": {
            key: round(value, 2) for key, value in gaps(operations, nemesis.load.holds).items()},
        "violations": [violation.text() for violation in violations],
        "problems": nemesis.problems + [sentence for _, sentence in nemesis.load.oddities] + statuses}


def failed(result):
    return bool(result["violations"] or result["problems"])


def text(result):
    lines = [
        f"{result['operations']} operations, {result['acknowledged_writes']} acknowledged writes, "
        f"{result['unknown_writes']} unknown",
        "faults: " + (", ".join(f"{name} {count}" for name, count in result["faults"].items()) or "none"),
        f"whole again after at most {result['heal_seconds_max']} s; folders emptied by hand: "
        f"{len(result['emptied_by_operator'])}",
        "longest unavailability: " + ", ".join(
            f"{key} {seconds} s" for key, seconds in result["longest_unavailability_seconds"].items()),
        f"violations: {len(result['violations'])}, problems: {len(result['problems'])}"]
    lines += [f"  {line}" for line in result["emptied_by_operator"]]
    return "\n".join(lines + result["violations"][:10] + result["problems"][:10])
