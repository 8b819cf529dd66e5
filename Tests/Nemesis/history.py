"""One line of a history: what a client asked of a key, when, and what it was told. Stored as JSON, an object a line."""

import dataclasses
import json

BASE = 1_000_000_000_000
"""Values of puts are multiples of this and increments add less, so that a value tells which put it stands on."""

LARGEST_INCREMENT = 1_000_000_000
"""Some hundred of them stay below BASE. And of some thousand sums, drawn at random, hardly two are equal: what stands on no put
is told by its sum alone."""

WRITES = ("put", "delete", "cas", "create", "increment")


@dataclasses.dataclass(slots=True)
class Operation:
    """Times are monotonic nanoseconds; `end` is None when no answer came. `value` is what was written or read, for an
    increment the sum. `version` is that of the record written or read, for condition_failed the current one if told;
    `expected` is what a cas or a conditional delete asked for. `by` is what an increment adds. `node` was asked."""

    client: int
    key: str
    op: str
    start: int
    end: int | None = None
    outcome: str = "unknown"
    value: str | None = None
    version: str | None = None
    expected: str | None = None
    by: int | None = None
    node: str | None = None
    status: int | None = None

    @property
    def is_write(self):
        return self.op in WRITES

    def line(self):
        fields = {name: getattr(self, name) for name in self.__slots__}
        for name in ("by", "node", "status"):
            if fields[name] is None:
                del fields[name]
        return json.dumps(fields)


def parse_version(text):
    """`counter.node.sequence` as something that compares as versions do."""
    parts = tuple(int(part) for part in text.split("."))
    if len(parts) != 3:
        raise ValueError(f"{text!r} is not a version")
    return parts


def save(path, operations):
    with open(path, "w") as file:
        for operation in operations:
            file.write(operation.line() + "\n")


def load(path):
    """The operations of a file; fields that are unknown here are ignored."""
    names = {field.name for field in dataclasses.fields(Operation)}
    with open(path) as file:
        return [Operation(**{name: value for name, value in json.loads(line).items() if name in names})
                for line in file if line.strip()]
