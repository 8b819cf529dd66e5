"""Tests of the program that tests the tests: `Tests/Mutants/run --self-test`."""

import pathlib
import tempfile
import unittest

import swiftbodies
import weave
from runner import Runner, try_all

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent

SWIFT = '''
struct Counter {
    let start = [1, 2].map { $0 }
    var text: String { "a } \\(pad("{", 1)) // no comment" }
    var both: Int {
        get { 1 }
        set { print(newValue) }
    }
    /* func no() { /* nested { */ } */
    init(from: Int = 3) {
        self.from = from
    }
    func next(_ step: Int) -> Int {
        // func neither() {
        [step].reduce(0) { $0 + $1 }
    }
}
'''


def mutant(old, new, name="m", file="Sources/Room/File.swift"):
    return {"name": name, "breaks": "a rule", "file": file, "old": old, "new": new}


class BodiesTest(unittest.TestCase):
    def test_outermost_bodies_are_found_whatever_comments_and_strings_hold(self):
        found = [SWIFT[first:last].strip().splitlines()[0] for first, last in sorted(swiftbodies.bodies(SWIFT))]
        self.assertEqual(
            found, ['"a } \\(pad("{", 1)) // no comment"', "self.from = from", "// func neither() {"])

    def test_braces_that_do_not_match_are_an_error(self):
        for text in ["func a() {", "}", '"open', "/* open"]:
            with self.assertRaises(ValueError):
                swiftbodies.bodies(text)

    def test_every_source_file_is_understood(self):
        for path in (ROOT / "Sources").rglob("*.swift"):
            with self.subTest(path=path.name):
                swiftbodies.bodies(path.read_text())


class WeaveTest(unittest.TestCase):
    def test_each_mutant_of_a_body_is_a_case_and_the_rest_stays(self):
        text, woven = weave.weave(SWIFT, {4: mutant("$0 + $1", "$0"), 9: mutant("reduce(0)", "reduce(1)")})
        self.assertEqual(woven, {4, 9})
        self.assertIn("[step].reduce(0) { $0 }", text)
        self.assertIn("[step].reduce(1) { $0 + $1 }", text)
        self.assertIn("[step].reduce(0) { $0 + $1 }", text)
        self.assertEqual(text.count("switch deliberateBug"), 1)
        self.assertEqual(text.count("self.from = from"), 1)

    def test_what_lies_outside_of_a_body_is_left_out(self):
        text, woven = weave.weave(SWIFT, {1: mutant("let start = [1, 2]", "let start = [1]")})
        self.assertEqual((text, woven), (SWIFT, set()))

    def test_a_body_that_becomes_empty_still_compiles(self):
        text, _ = weave.weave(SWIFT, {1: mutant("self.from = from", "")})
        self.assertIn("case 1: // deliberate bug 1\nbreak", text)

    def test_a_text_that_is_not_there_once_is_an_error(self):
        for old in ["let start = 5", "Int"]:
            with self.assertRaises(weave.NotOnce):
                weave.weave(SWIFT, {1: mutant(old, "")})

    def test_errors_are_laid_at_the_door_of_their_mutant(self):
        text, _ = weave.weave(SWIFT, {7: mutant("self.from = from", "self.form = from")})
        line = text[: text.index("self.form")].count("\n") + 1
        output = f"/a/File.swift:{line}:3: error: no member\n/a/File.swift:1:1: warning: nothing"
        self.assertEqual(weave.mutants_of_errors(output, lambda file: text), {7})
        self.assertEqual(weave.mutants_of_errors("/a/File.swift:1:1: error: x", lambda file: text), set())


class RunnerTest(unittest.TestCase):
    """With two small programs for a compiler and a check: one finds fault with a word, the other with a number."""

    LIST = """
[runner]
rooms = ["Sources/Room"]
build = ["python3 Sources/Room/build.py"]
package = "// a package"
check = "look"
[check.look]
run = "python3 Sources/Room/look.py {}"
arguments = ["3", "1"]
caught = [1]
by = '^property (\\w+)'
after = '^seeds (\\d+)'
seconds = 10
"""
    BUILD = """
import sys
for number, line in enumerate(open("Sources/Room/File.swift"), 1):
    if "WRONG" in line:
        sys.exit(f"Sources/Room/File.swift:{number}:1: error: {line}")
"""
    LOOK = """
import os, sys
print("seeds 5\\nproperty", sys.argv[1])
sys.exit(os.environ["KV_MUTANT"] == sys.argv[1] or "alone" in open("Sources/Room/File.swift").read())
"""
    FILE = "func f() {\n    work(1)\n}\nfunc g() {\n    play(2)\n}\n"

    def outcome(self, *mutants):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / "Sources/Room").mkdir(parents=True)
            for name, text in {"File.swift": self.FILE, "build.py": self.BUILD, "look.py": self.LOOK}.items():
                (root / "Sources/Room" / name).write_text(text)
            entries = "".join(
                "[[mutant]]\n" + "".join(f"{key} = '''{value}'''\n" for key, value in entry.items())
                for entry in mutants)
            (root / "list.toml").write_text(self.LIST + entries)
            runner = Runner(root / "list.toml", root, root / "scratch")
            lines = {}
            numbers = set(runner.mutants)

            def report(mutant, by, after, seconds):
                lines[mutant["name"]] = (by, after)

            counts = try_all(runner, numbers, numbers, report)
            return lines, counts

    def test_what_a_check_notices_is_told_with_what_noticed_it_and_the_rest_survives(self):
        lines, counts = self.outcome(mutant("work(1)", "work(2)", "caught"), mutant("play(2)", "play(3)", "lucky"))
        self.assertEqual(lines, {"caught": ("1", "5"), "lucky": ("SURVIVED", "")})
        self.assertEqual(counts, (1, 0))

    def test_a_mutant_that_never_builds_is_broken(self):
        lines, counts = self.outcome(mutant("work(1)", "work(2)", "caught"), mutant("play(2)", "WRONG", "wrong"))
        self.assertEqual(lines["caught"], ("1", "5"))
        self.assertTrue(lines["wrong"][0].startswith("BROKEN: does not build"))
        self.assertEqual(counts, (0, 1))

    def test_what_lies_outside_of_a_body_is_built_alone(self):
        lines, counts = self.outcome(mutant("func g()", "func alone()", "outside"))
        self.assertEqual(lines, {"outside": ("3", "5")})
        self.assertEqual(counts, (0, 0))

    def test_what_fails_unchanged_too_proves_nothing(self):
        self.LOOK = "import sys; sys.exit(1)"
        lines, counts = self.outcome(mutant("work(1)", "work(2)", "blamed"))
        self.assertTrue(lines["blamed"][0].startswith("BROKEN: the unchanged sources fail too"))
        self.assertEqual(counts, (0, 1))


class ListTest(unittest.TestCase):
    def test_every_mutant_is_well_formed_and_its_text_is_in_the_sources_once(self):
        names = []
        for path in sorted(HERE.glob("*.toml")):
            runner = Runner(path, ROOT, pathlib.Path("/nowhere"))
            for entry in runner.mutants.values():
                with self.subTest(mutant=entry["name"]):
                    weave.place_of(entry, runner.text(entry["file"]))
                    self.assertNotEqual(entry["old"], entry["new"])
                    self.assertTrue(entry["breaks"])
                    self.assertTrue(any(entry["file"].startswith(room) for room in runner.settings["rooms"]))
                    self.assertTrue(list(runner.attempts(entry)))
                    names.append(entry["name"])
        self.assertEqual(len(names), len(set(names)))
