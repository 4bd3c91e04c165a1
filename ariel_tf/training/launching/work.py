"""How a command is divided among machines, and the shell command of each; no TensorFlow.

| command | machines | each machine |
|---|---|---|
| any | 1 | the unchanged command |
| `train` of a list of wavelengths | N | `--wavelength LIST/N:i`, a slice of the list; the machines are independent |
| `train` of one model | N | a worker of one training, started by `supervise`; they find each other through TF_CONFIG |
| `search` | N | the first selects the settings to try (`--chief`), the others train (`--worker`) |
| `convert`, `simulate` | N | `--part i/N`; afterwards `--finish` once, on one machine |
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal, Self

from ariel_tf.core.errors import UsageError

Way = Literal["one", "slices", "workers", "search", "parts"]
# Port on which the chief of a search listens.
SEARCH_PORT = 7000
# Seconds that a training has to save after SIGTERM.
SECONDS_TO_SAVE = 120


@dataclass(frozen=True)
class Machine:
    """Resources of each machine.

    Attributes:
        count: number of machines.
        cpus, gpus: number per machine.
        memory: memory per machine, like `32G`.
        hours: time limit, as HH:MM:SS.
        name: name of the job.
        image: container image.
        volumes: volumes of the container: (source, mount point).
    """

    count: int
    cpus: int
    gpus: int
    memory: str
    hours: str
    name: str
    image: str
    volumes: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Work:
    """A command and how it is divided.

    Attributes:
        module: module of the command.
        options: options of the command.
        way: how the command is divided.
        count: number of machines.
        writes: folder that the command writes into; "" if not known.
        targets: list of wavelengths to slice.
    """

    module: str
    options: tuple[str, ...]
    way: Way
    count: int
    writes: str
    targets: str = ""

    @classmethod
    def of(cls, word: str, module: str, options: Sequence[str], given: Mapping[str, Any], count: int) -> Self:
        """Return the work of a command.

        Args:
            word, module: name and module of the command.
            options: options as typed.
            given: values of its options by name; for `train`, the `Targets` under "wavelength".
            count: number of machines.

        Raises:
            UsageError: several machines for a command that cannot be divided, or without a shared folder.
        """
        writes = str(given.get("run") or given.get("out") or "")
        way = cls._way(word, given, count)
        if way != "one" and not writes:
            raise UsageError(f"{word}: expected --run with several machines, a folder that all of them can access.")
        targets = str(given["wavelength"]) if way == "slices" else ""
        return cls(module, tuple(options), way, count, writes, targets)

    @staticmethod
    def _way(word: str, given: Mapping[str, Any], count: int) -> Way:
        if count == 1:
            return "one"
        if word == "train":
            targets = given["wavelength"]
            if not targets.is_list:
                return "workers"
            if targets.chosen != targets.every:
                raise UsageError("--wavelength: expected a whole list; its slices are made for the machines.")
            if len(targets.every) < count:
                raise UsageError(f"--machines: expected {len(targets.every)} at most, one for each wavelength.")
            return "slices"
        if word in ("convert", "simulate"):
            if given.get("part") or given.get("finish"):
                raise UsageError("--part and --finish: expected without them; the parts are made for the machines.")
            return "parts"
        if word == "search":
            return "search"
        raise UsageError(f"--machines: expected 1 for {word}; train, search, convert and simulate can be divided.")

    def command(self, number: str) -> str:
        """Return the shell command of one machine of `one`, `slices`, `parts` or `workers`.

        Args:
            number: number of the machine, from 1; may be a shell expression.
        """
        if self.way == "slices":
            options = without(self.options, "--wavelength")
            return f'{self._python(options)} --wavelength "{self.targets}/{self.count}:{number}"'
        if self.way == "parts":
            return f'{self._python(self.options)} --part "{number}/{self.count}"'
        if self.way == "workers":
            return f"python -m ariel_tf.supervise --restarts 1000 -- {shlex.join(self.options)}"
        return self._python(self.options)

    def of_search(self, chief: str, number: str) -> tuple[str, str]:
        """Return the shell commands of a search's chief and of one worker.

        Args:
            chief: HOST:PORT; may be a shell expression.
            number: number of the worker; may be a shell expression.
        """
        python = self._python(self.options)
        return f'{python} --chief "{chief}"', f'{python} --worker "{chief}" --worker-name "worker-{number}"'

    @property
    def then(self) -> str:
        """Return the command to run once all machines are done; "" if there is none."""
        return f"{self._python(self.options)} --finish" if self.way == "parts" else ""

    def is_read_only(self, mount: str) -> bool:
        """Whether the command writes nothing below a mount point."""
        return bool(self.writes) and not PurePosixPath(self.writes).is_relative_to(mount)

    def _python(self, options: Sequence[str]) -> str:
        return shlex.join(["python", "-m", self.module, *options])


def without(options: Sequence[str], flag: str) -> list[str]:
    """Return options without a flag and its value.

    >>> without(["--a", "1", "--b=2", "--c"], "--a"), without(["--a", "1", "--b=2"], "--b")
    (['--b=2', '--c'], ['--a', '1'])
    """
    kept, rest = [], iter(options)
    for option in rest:
        if option == flag:
            next(rest, None)
        elif not option.startswith(f"{flag}="):
            kept.append(option)
    return kept


def indented(text: str, spaces: int) -> str:
    """Indent lines."""
    return "\n".join(" " * spaces + line if line else line for line in text.split("\n"))
