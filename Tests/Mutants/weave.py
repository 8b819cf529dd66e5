"""Puts many mutants into one build: a body that some of them change is there once for each, and a number chooses.

    func reachesQuorum() -> Bool {          func reachesQuorum() -> Bool {
        acks >= writeQuorum          =>         switch deliberateBug {
    }                                           case 7: acks >= 1
                                                default: acks >= writeQuorum
                                                }
                                            }

The number comes from the environment when the process starts; without one, nothing is changed."""

import re
from pathlib import PurePosixPath

import swiftbodies

VARIABLE = "KV_MUTANT"
HELPER = "DeliberateBug.swift"
MARK = "// deliberate bug "

SOURCE = f"""import Foundation

/// The mutant that this process shows; 0 is none.
let deliberateBug = ProcessInfo.processInfo.environment["{VARIABLE}"].flatMap {{ Int($0) }} ?? 0
"""


class NotOnce(Exception):
    """The old text of a mutant is not exactly once in its file."""


def place_of(mutant, text):
    """The offset of the mutant's old text, which must be there exactly once."""
    count = text.count(mutant["old"])
    if count != 1:
        raise NotOnce(f"its old text is {count} times in {mutant['file']}, not once")
    return text.index(mutant["old"])


def replaced(mutant, text):
    """The whole file with the mutant in it."""
    place = place_of(mutant, text)
    return text[:place] + mutant["new"] + text[place + len(mutant["old"]) :]


def weave(text, mutants):
    """Returns the text with every mutant in it that lies in a body, and their numbers; `mutants` is by number."""
    bodies = swiftbodies.bodies(text)
    changes = {}
    for number, mutant in mutants.items():
        start = place_of(mutant, text)
        end = start + len(mutant["old"])
        around = next((body for body in bodies if body[0] <= start and end <= body[1]), None)
        if around:
            first, last = around
            changes.setdefault(around, {})[number] = text[first:start] + mutant["new"] + text[end:last]
    for first, last in sorted(changes, reverse=True):
        text = text[:first] + chosen(changes[first, last], text[first:last]) + text[last:]
    return text, {number for variants in changes.values() for number in variants}


def chosen(variants, unchanged):
    cases = [f"case {number}: {MARK}{number}\n{body.strip() or 'break'}" for number, body in sorted(variants.items())]
    cases.append(f"default: {MARK}0\n{unchanged.strip() or 'break'}")
    return "\nswitch deliberateBug {\n" + "\n".join(cases) + "\n}\n"


def helper_of(file):
    """The file that gives the number to the module of this one: rooms are flat folders."""
    return str(PurePosixPath(file).parent / HELPER)


def mutants_of_errors(output, read):
    """The numbers of the mutants in which a compiler found errors. `read` gives the text of a file that it names."""
    numbers = set()
    for file, line in set(re.findall(r"^(\S+\.swift):(\d+):\d+: error:", output, re.MULTILINE)):
        for before in reversed(read(file).splitlines()[: int(line)]):
            if MARK in before:
                numbers.add(int(before.rpartition(MARK)[2]))
                break
    return numbers - {0}
