"""Commands that README and documentation pages show: found in their text, and split as a shell would split them."""

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from ariel_tf.__main__ import MODULES

ROOT = Path(__file__).parents[2]
OUTSIDE_DOCS = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "configs/README.md")
PAGES = (*(ROOT / name for name in OUTSIDE_DOCS), *sorted((ROOT / "docs").rglob("*.md")))
# `python -m ariel_tf.train` with whatever starts it, or `ariel train`.
COMMAND = re.compile(
    r"(?:^|\s|/)(?:python3? -m ((?:ariel_tf|pipelines|tuning|benchmarks)[\w.]*)|ariel ([a-z][\w-]*))(?=\s|$)(.*)"
)
CLOUD = re.compile(r"bigquery://|gs://|pipelines\.(?:upload|download|partial_set)|--chief |--worker ")
# As many planets, trials and wavelengths as a page shows take minutes; every fold needs a planet.
FEWER = {
    r"simulated:planets=\d+\S*": "simulated:planets=20,spots=1,photons=2",
    r"--planets \d+": "--planets 20",
    r"--trials \d+": "--trials 2",
    r"--wavelength all": "--wavelength 11-13",
}


class Command(NamedTuple):
    """A command as a page shows it.

    Attributes:
        page: path from the repository's root.
        line: number of its first line.
        module: that it runs, such as "ariel_tf.train".
        text: of its arguments.
    """

    page: str
    line: int
    module: str
    text: str

    @property
    def needs_cloud(self) -> bool:
        """Whether it reads or writes a cloud, or other machines; an emulator of the cloud counts as one."""
        return bool(CLOUD.search(f"{self.module} {self.text}"))

    @property
    def arguments(self) -> list[str]:
        """The arguments, without comments, redirections and further commands of the line."""
        try:
            lexer = shlex.shlex(self.text, posix=True, punctuation_chars=";&|<>")
            lexer.whitespace_split = True
            words = list(lexer)
        except ValueError:
            return self.text.split()
        ends = [index for index, word in enumerate(words) if word and set(word) <= set(";&|<>")]
        return words[: ends[0]] if ends else words


def code_lines(text: str) -> Iterator[tuple[int, str]]:
    """Numbers and texts of the lines of code: indented, fenced, or between backticks; continued lines are joined."""
    fenced, waiting, start = False, "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
            continue
        if fenced or line.startswith("    "):
            start = start or number
            waiting += line.strip()
            if waiting.endswith("\\"):
                waiting = waiting[:-1]
                continue
            yield start, waiting
        else:
            yield from ((number, code) for code in re.findall(r"`([^`]+)`", line))
        waiting, start = "", 0


def commands(page: Path) -> list[Command]:
    """Every command of this project that a page shows, in its order."""
    found = []
    for number, line in code_lines(page.read_text(encoding="utf-8")):
        if match := COMMAND.search(line):
            module = match[1] or MODULES.get(match[2], f"ariel {match[2]}")
            found.append(Command(str(page.relative_to(ROOT)), number, module, match[3].strip()))
    return found


def smaller(text: str, replacements: Mapping[str, str]) -> str:
    """The text of a command with every regular expression replaced by its value, in order."""
    for pattern, other in replacements.items():
        text = re.sub(pattern, other, text)
    return text
