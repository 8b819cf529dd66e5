"""Builds what a list of mutants needs, once, and looks for each of them whether its tests notice."""

import os
import re
import shlex
import signal
import subprocess
import time
import tomllib

import weave


class Broken(Exception):
    """A mutant, or the list itself, can't be used as it is written."""


class Runner:
    """One list: the sources that it needs, how they are built, and the checks that have to notice its mutants."""

    def __init__(self, path, root, scratch):
        table = tomllib.loads(path.read_text())
        self.name = path.stem
        self.settings = table["runner"]
        self.checks = table["check"]
        self.mutants = dict(enumerate(table["mutant"], 1))
        self.root = root
        self.folder = scratch / self.name
        self.innocent = set()

    # MARK: - Sources

    def sources(self):
        """What every file of the rooms holds, by its path."""
        found = {}
        for room in self.settings["rooms"]:
            for path in sorted((self.root / room).rglob("*")):
                if path.is_file():
                    found[str(path.relative_to(self.root))] = path.read_bytes()
        return found

    def text(self, file):
        return (self.root / file).read_text()

    def prepare(self, changes):
        """Puts the sources into the scratch folder, with these changes. What stays the same keeps its time and is not
        built again; what is of no use any more goes."""
        wanted = self.sources() | {"Package.swift": self.settings["package"].lstrip().encode()} | changes
        for room in self.settings["rooms"]:
            for path in list((self.folder / room).rglob("*")):
                if path.is_file() and str(path.relative_to(self.folder)) not in wanted:
                    path.unlink()
        for file, content in wanted.items():
            path = self.folder / file
            if not path.exists() or path.read_bytes() != content:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)

    # MARK: - Building

    def build(self):
        """What the compiler said; `None` when all is built."""
        for line in self.settings["build"]:
            code, output = command(line, self.folder, 3_600)
            if code != 0:
                return output
        return None

    def build_woven(self, chosen):
        """One build with all of these mutants in it but those that it can't hold. Returns the numbers that it holds."""
        left = set(chosen)
        while True:
            woven = set()
            changes = {}
            for file in sorted({self.mutants[number]["file"] for number in left}):
                here = {number: self.mutants[number] for number in left if self.mutants[number]["file"] == file}
                text, numbers = weave.weave(self.text(file), here)
                changes[file] = text.encode()
                if numbers:
                    changes[weave.helper_of(file)] = weave.SOURCE.encode()
                woven |= numbers
            self.prepare(changes)
            errors = self.build()
            if errors is None:
                return woven
            guilty = weave.mutants_of_errors(errors, lambda file: (self.folder / file).read_text()) & left
            if not guilty:
                raise Broken(f"the unchanged sources do not build: {first_error(errors)}")
            left -= guilty

    def build_alone(self, mutant):
        self.prepare({mutant["file"]: weave.replaced(mutant, self.text(mutant["file"])).encode()})
        errors = self.build()
        if errors is not None:
            raise Broken(f"does not build: {first_error(errors)}")

    # MARK: - Checking

    def attempts(self, mutant):
        """The commands that are tried in turn, with the check that each belongs to."""
        check = self.checks[mutant.get("check", self.settings["check"])]
        for arguments in mutant.get("arguments", check.get("arguments", [])):
            yield check, check["run"].replace("{}", arguments)

    def judge(self, mutant, number):
        """What noticed the mutant and after how much; `None` for both when nothing did. Number 0: the mutant is all that
        was built, and there is nothing to compare it with."""
        for check, line in self.attempts(mutant):
            code, output = command(line, self.folder, check["seconds"], number)
            if code == 0:
                if "ran" in check and not re.search(check["ran"], output, re.MULTILINE):
                    raise Broken(f"nothing ran: {line}")
                continue
            if code is not None and 0 < code < 128 and code not in check["caught"]:
                raise Broken(f"{line} ended with {code}: {output[-300:]}")
            if number:
                again = re.search(check["again"], output, re.MULTILINE) if "again" in check else None
                self.require_innocence(check, check["repeat"].replace("{}", again[1]) if again else line)
            if code is None:
                return "no end", ""
            by = re.search(check["by"], output, re.MULTILINE)
            after = re.search(check["after"], output, re.MULTILINE) if "after" in check else None
            return next(filter(None, by.groups())) if by else "a crash", after[1] if after else ""
        return None, None

    def require_innocence(self, check, line):
        """What notices a mutant must find no fault with the unchanged sources."""
        if line not in self.innocent:
            code, output = command(line, self.folder, check["seconds"], 0)
            if code != 0:
                raise Broken(f"the unchanged sources fail too: {line}")
            self.innocent.add(line)


def first_error(output):
    lines = output.splitlines()
    return next((line for line in lines if "error:" in line), lines[-1] if lines else "no output")


def command(line, folder, seconds, number=0):
    """The exit code, `None` when the time was over, and all that was printed."""
    with subprocess.Popen(
        shlex.split(line), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        env=os.environ | {weave.VARIABLE: str(number)}, start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=seconds)
            return process.returncode, output
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            return None, output


def try_all(runner, usable, chosen, report):
    """Builds all usable mutants, tries the chosen ones, and tells `report` of each. Returns how many survived, and how
    many could not be made."""
    woven = runner.build_woven(usable) & set(chosen)
    survived = broken = 0
    for number in sorted(woven) + sorted(set(chosen) - woven):
        mutant = runner.mutants[number]
        began = time.monotonic()
        try:
            if number not in woven:
                runner.build_alone(mutant)
            by, after = runner.judge(mutant, number if number in woven else 0)
            survived += by is None
        except (Broken, weave.NotOnce) as why:
            by, after = f"BROKEN: {why}", ""
            broken += 1
        report(mutant, by or "SURVIVED", after or "", time.monotonic() - began)
    return survived, broken
