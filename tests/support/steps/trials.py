"""Stops a command at its file-system steps, or lets the disk refuse one, repeats it, and compares with an unbroken run.

A trial holds if
- a command that is killed and then repeated leaves what an unbroken one leaves, and nothing else;
- a command whose step the disk refuses ends with one sentence and a non-zero code, or as an unbroken one; repeated
  without the fault, it leaves what an unbroken one leaves;
- a command that receives a signal ends within ten seconds with a sentence and 128 + its number, or as an unbroken one;
  repeated, it leaves what an unbroken one leaves.
"""

import hashlib
import random
import re
import shutil
import signal
from dataclasses import dataclass, field
from pathlib import Path

from support.steps import tables
from support.steps.outcome import outcome
from support.steps.server import Result, Server

# Which steps a fault can hit; the others may hit any.
SPACE = ("open", "write", "flush", "mkdir", "fsync", "rename", "allocate")
NAMES = ("open", "rename", "unlink", "mkdir", "rmdir")
READS = ("look", "read")  # a file opened to be read, and read
HITS = {"ENOSPC": SPACE, "EACCES": (*NAMES, "look"), "short write": ("write",)}
FAULTS = ("kill", "ENOSPC", "EIO", "EACCES", "short write", "signal")
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)  # one after another by the number of the step, as in steps.c
SOON = 10.0  # seconds from a signal to the end
UGLY = re.compile(r"Traceback \(most recent|Exception ignored|terminate called|Segmentation|Bus error|errno =")
TEMPORARY = re.compile(r"\.writing-[a-z0-9_]{8}|\d{9,}|tmp[a-z0-9_]{8}|[0-9a-f-]{36}|[0-9]{5}")


@dataclass(frozen=True)
class Scenario:
    """A command to try, in a folder in which others have run before it."""

    name: str
    command: list[str]
    before: list[list[str]] = field(default_factory=list)
    most: int = 12  # trials in `make soak`
    how: dict[str, bool] = field(default_factory=dict)  # as of `Server.run`
    dataset: str = ""  # of the emulator, which the command fills and a trial begins without


@dataclass
class Report:
    """What the trials of one scenario found."""

    name: str
    steps: int = 0
    tried: dict[str, int] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    by_name: list[str] = field(default_factory=list)  # files whose bytes differ between unbroken runs

    seconds: float = 0.0  # CPU time of the trials

    @property
    def held(self) -> int:
        return sum(self.tried.values()) - len(self.failed)


class Trials:
    """The trials of one scenario.

    Args:
        server: runs the commands.
        scenario: the command.
        folder: emptied for each trial; always the same, since run folders record where their data are.
    """

    def __init__(self, server: Server, scenario: Scenario, folder: Path):
        self.server, self.scenario = server, scenario
        self.folder = folder / "trial"
        self.pretended = scenario.how.get("pretended", False)
        before = hashlib.sha256(repr((scenario.before, self.pretended)).encode()).hexdigest()[:16]
        self.base = folder / f"before-{before}"  # shared by scenarios
        self.report = Report(scenario.name)

    def _run(self, kind: str = "count", at: int = 2**31) -> Result:
        ended = self.server.run(self.folder, self.scenario.command, kind, at, **self.scenario.how)
        self.report.seconds += ended.seconds
        return ended

    def _begin(self) -> None:
        if self.scenario.dataset:
            tables.remove(self.scenario.dataset)
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.base.exists():
            shutil.copytree(self.base, self.folder, copy_function=shutil.copy2)
        else:
            self.folder.mkdir(parents=True)

    def _outcome(self) -> dict[str, str]:
        return outcome(self.folder) | (tables.outcome(self.scenario.dataset) if self.scenario.dataset else {})

    def prepare(self) -> list[str]:
        """Run what comes before, and the command twice; return its steps."""
        if not self.base.exists():
            self._begin()
            for command in self.scenario.before:
                ended = self.server.run(self.folder, command, pretended=self.pretended)
                if ended.code:
                    raise RuntimeError(f"{command}: {ended.output}")
            shutil.copytree(self.folder, self.base)
        found = []
        for _ in range(2):
            self._begin()
            ended = self._run()
            if ended.code:
                raise RuntimeError(f"{self.scenario.command}: {ended.output}")
            found.append(self._outcome())
        self.expected, other = found
        self.report.by_name = [name for name in self.expected if self.expected[name] != other.get(name)]
        self.report.steps = len(ended.steps)
        return ended.steps

    def run(self, most: int, seed: int = 0) -> Report:
        """Try `most` of all pairs of a step and a fault: one of each kind of step first, then others by chance."""
        steps = self.prepare()
        pairs = [(fault, at) for fault in FAULTS for at, step in enumerate(steps) if can_hit(fault, step.split()[0])]
        random.Random(seed).shuffle(pairs)
        seen: set[tuple[str, str]] = set()
        first, rest = [], []
        for fault, at in pairs:
            what = (fault, TEMPORARY.sub("*", steps[at]))
            (rest if what in seen else first).append((fault, at))
            seen.add(what)
        for fault, at in (first + rest)[:most]:
            self.report.tried[fault] = self.report.tried.get(fault, 0) + 1
            if wrong := self.trial(fault, at):
                self.report.failed.append(f"{self.scenario.name}: {fault} at step {at} ({steps[at]}): {wrong}")
        return self.report

    def trial(self, fault: str, at: int) -> str:
        """One trial; what did not hold, or nothing."""
        self._begin()
        ended = self._run(fault, at)
        if wrong := _ugly(ended, fault, at):
            return wrong
        if ended.code == 0 and not (wrong := self._differs(ended.output)):
            return ""
        if ended.code == 0:
            return f"ended with 0, but {wrong}"
        again = self._run()
        if again.code and not (re.search("exists already", again.output) and not self._differs("")):
            return f"repeated, it ended with {again.code}: {again.output.strip()[-300:]}"
        if wrong := self._differs(ended.output + again.output):
            return f"repeated, {wrong}"
        return ""

    def _differs(self, printed: str) -> str:
        """How the folder differs from an unbroken run's."""
        found = self._outcome()
        absent, litter = self.expected.keys() - found.keys(), found.keys() - self.expected.keys()
        if "warning: a picture could not be drawn" in printed:
            absent = {name for name in absent if not name.endswith(".png")}
            return f"absent: {sorted(absent)[:3]}" if absent else f"litter: {sorted(litter)[:3]}" if litter else ""
        if absent or litter:
            return f"absent: {sorted(absent)[:3]}, litter: {sorted(litter)[:3]}"
        other = [name for name in found if found[name] != self.expected[name] and name not in self.report.by_name]
        return f"other content: {other[:3]}" if other else ""


def can_hit(fault: str, operation: str) -> bool:
    """Whether a fault can hit a step of this operation; a process that only reads can be killed without harm."""
    return operation in HITS.get(fault, (operation,)) and not (fault == "kill" and operation in READS)


def _ugly(ended: Result, fault: str, at: int) -> str:
    """What is wrong with how a command ended."""
    if fault == "kill":
        return "" if ended.code in (-9, 0) else f"ended with {ended.code}: {ended.output.strip()[-300:]}"
    if found := UGLY.search(ended.output):
        return f"printed {found[0]!r}: {ended.output.strip()[-600:]}"
    if fault == "signal" and ended.code:
        expected = 128 + SIGNALS[at % 3]
        if ended.code != expected or not re.search("(?m)^stop", ended.output):
            return f"ended with {ended.code}, expected {expected} and a sentence: {ended.output.strip()[-300:]}"
        return f"took {ended.after:.1f} s to end" if ended.after > SOON else ""
    if ended.code < 0 or ended.code > 4:
        return f"ended with {ended.code}: {ended.output.strip()[-300:]}"
    if ended.code and not re.search(r"^error: \S", ended.output, re.MULTILINE):
        return f"ended with {ended.code} without a sentence: {ended.output.strip()[-300:]}"
    return ""


def table(reports: list[Report]) -> str:
    """The reports, a line each."""
    lines = [
        f"{'command':26s}{'steps':>7s}"
        + "".join(f"{fault:>12s}" for fault in FAULTS)
        + f"{'held':>7s}{'failed':>8s}{'CPU s':>7s}"
    ]
    for report in reports:
        tried = "".join(f"{report.tried.get(fault, 0):12d}" for fault in FAULTS)
        lines.append(
            f"{report.name:26s}{report.steps:7d}{tried}{report.held:7d}{len(report.failed):8d}{report.seconds:7.0f}"
        )
    return "\n".join(lines)
