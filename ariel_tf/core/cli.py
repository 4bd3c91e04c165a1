"""Command lines: one way to build a parser, and the options that commands share.

    class Options(Schema):
        data: str | None = cli.data()
        out: Path = option(..., "file to write", metavar="FILE")

    def parser() -> cli.Parser:
        return cli.Parser("ariel_tf.predict", __doc__, Options, examples=["RUN --data DATA --out radii.csv"])

    def main(arguments: Sequence[str] | None = None) -> None:
        options = Options.from_flags(parser().parse_args(arguments))

    if __name__ == "__main__":
        run_command(main)

Commands are called as `python -m ariel_tf.predict` or `ariel predict`; help and messages use the form that was typed.
"""

import argparse
import itertools
import shlex
import sys
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ariel_tf.core import messages, resources
from ariel_tf.core.devices import DEFAULT_DEVICES, DEVICES_HELP, Devices
from ariel_tf.core.errors import UsageError, nearest
from ariel_tf.core.numbers import whole_number
from ariel_tf.core.schema import Schema, add_flags, option
from ariel_tf.core.user_code import name_by_user

WHERE_IT_RUNS, WHERE_IT_GOES = "where it runs", "where it goes"
_WIDTH = 100
# Begin of argparse's message about missing arguments.
_MISSING = "the following arguments are required"
# Flags of the same purpose in other commands; a command has one or the other.
_SAME_PURPOSE = {"--out": ("--run",), "--output": ("--out", "--run"), "--run": ("--out",)}


class Parser(argparse.ArgumentParser):
    """The parser of one command.

    Args:
        module: module of the command, such as "ariel_tf.train".
        doc: docstring of the module; its first line describes the command.
        schemas: schemas whose fields become flags.
        examples: arguments of real calls, shown at the end of --help.
        word: name of a subcommand.
        rest: text that follows the options in the usage line.
    """

    def __init__(
        self,
        module: str,
        doc: str | None,
        *schemas: type[Schema],
        examples: Iterable[str] = (),
        word: str = "",
        rest: str = "",
    ):
        called = f"{program(module)} {word}".rstrip()
        lines = [f"  {called} {example}" for example in examples]
        super().__init__(
            prog=called,
            description=textwrap.fill(summary(doc), _WIDTH),
            epilog="\n".join(["examples:", *lines]) if lines else None,
            formatter_class=_Formatter,
            allow_abbrev=False,  # `--out` of another command would be read as `--outage`
        )
        self._rest = rest
        self._received: list[str] = []
        for schema in schemas:
            self.add_schema(schema)
        self.add_argument(
            "--log-level", action=_LogLevel, choices=messages.LEVELS, default=argparse.SUPPRESS,
            help="print messages of this level and above; warning leaves out progress messages; results are always "
            "printed (default: info)"
        )  # fmt: skip

    def add_schema(self, schema: type[Schema], names: Iterable[str] | None = None, **defaults: str) -> None:
        """Add the flags of a schema, or of some of its fields; `defaults` as for `schema.add_flags`."""
        add_flags(self, schema, names, **defaults)

    def add_commands(self, title: str, parsers: Iterable[tuple[str, "Parser"]]) -> None:
        """Add subcommands by name; `arguments.command_word` is the one that was given."""
        made = self.add_subparsers(  # type: ignore[call-overload]
            dest="command_word", required=True, metavar=title, title="commands", parser_class=as_made
        )
        for word, parser in parsers:
            made.add_parser(word, help=parser.description, made=parser)

    def format_usage(self) -> str:
        return f"usage: {self._short_usage()}\n"

    def format_help(self) -> str:
        self.usage = self._short_usage().replace("%", "%%")
        return super().format_help()

    def _short_usage(self) -> str:
        """Return the required options and positional arguments; the others are listed below the usage line."""
        required = [one for one in self._actions if one.option_strings and one.required]
        parts = [f"{one.option_strings[0]} {one.metavar}" for one in required]
        for one in self._actions:
            if not one.option_strings:
                form = {"+": "{0} [{0} ...]", "*": "[{0} ...]", argparse.PARSER: "{0} ..."}.get(str(one.nargs), "{0}")
                parts.append(form.format(one.metavar))
        return " ".join(filter(None, [self.prog, "[options]", *parts, self._rest]))

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> argparse.Namespace:  # type: ignore[override]
        """Parse the arguments; an unknown argument is refused with the nearest flag."""
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            self._of_command(parsed)._refuse(unknown[0])
        return parsed

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self._received = given(args)  # of a subcommand: what follows its name
        return super().parse_known_args(args, namespace)

    def _flags(self) -> list[str]:
        return [flag for one in self._actions for flag in one.option_strings if flag.startswith("--")]

    def _refuse(self, argument: str) -> NoReturn:
        """Refuse an unknown argument with the nearest flag."""
        self.error(f"unknown argument {argument}{_flag_meant(argument.partition('=')[0], self._flags())}")

    def _refuse_mistyped(self) -> None:
        """Refuse the first flag that does not exist, such as `--otu`, where `--out` is missing."""
        for argument in itertools.takewhile(lambda word: word != "--", self._received):
            if argument.startswith("--") and argument.partition("=")[0] not in self._flags():
                self._refuse(argument)

    def _of_command(self, parsed: argparse.Namespace) -> "Parser":
        """Return the parser of the subcommand that was given, or this one, if it has none."""
        for one in self._actions:
            if isinstance(one, argparse._SubParsersAction):
                return one.choices[getattr(parsed, one.dest)]
        return self

    def error(self, message: str) -> NoReturn:
        """Exit with code 2 and one sentence."""
        if message.startswith(_MISSING):
            self._refuse_mistyped()
        self.exit(UsageError.exit_code, f"error: {message.removeprefix('argument ')}\n       {self.format_usage()}")


def _flag_meant(received: str, flags: Sequence[str]) -> str:
    """Return `. Did you mean FLAG?`: a flag of the same purpose, the only one that starts so, or the nearest."""
    same = [flag for flag in _SAME_PURPOSE.get(received, ()) if flag in flags]
    longer = [flag for flag in flags if flag.startswith(received)] if received.startswith("--") else []
    if same or len(longer) == 1:
        return f". Did you mean {(same or longer)[0]}?"
    return nearest(received, flags)


class _LogLevel(argparse.Action):
    """Sets the level as soon as the flag is read, so that the namespace holds only options of the schemas."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        messages.set_level(values)


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str):
        super().__init__(prog, max_help_position=30, width=_WIDTH + 2)


def as_made(made: Parser, **_: Any) -> Parser:
    """Return a parser class for `add_subparsers` that takes existing parsers, by `add_parser(word, made=...)`."""
    return made


def prepare_completion(parser: argparse.ArgumentParser) -> None:
    """Mark what shtab can complete in a parser and its subparsers: choices, files and folders."""
    import shtab

    for action in parser._actions:
        known = getattr(action, "completion", None)
        if known is Path:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif known:
            action.choices = known
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                prepare_completion(one)


def summary(doc: str | None) -> str:
    """Return the first line of a docstring."""
    return (doc or "").strip().split("\n")[0]


def program(module: str) -> str:
    """Return how a command was called: `python -m ariel_tf.train`, or `ariel train`."""
    started = Path(sys.argv[0])
    word = module.rpartition(".")[2].replace("_", "-")
    if started.stem == "ariel":
        return f"ariel {word}"
    if started.parts[-2:] == ("ariel_tf", "__main__.py"):
        return f"python -m ariel_tf {word}"
    return f"python -m {module}"


def given(arguments: Sequence[str] | None) -> list[str]:
    """Return the arguments of a command: those of a Python caller, else those of this process."""
    return sys.argv[1:] if arguments is None else list(arguments)


def repeated(module: str, arguments: Iterable[str]) -> str:
    """Return the command that resumes this one: without --overwrite, which starts again, and --json."""
    kept = [argument for argument in arguments if argument not in ("--overwrite", "--json")]
    return shlex.join([*program(module).split(), *kept])


# --- options that several commands share ----------------------------------------------------------------------


def data(default: Any = None, more: str = "", **how: Any) -> Any:
    """Return the option --data."""
    return option(
        default, "data set: folder of shards and manifest, folder of text files, simulated[:planets=1000,...] or bigquery://PROJECT/DATASET"
        + more, parse=name_by_user, **how
    )  # fmt: skip


def light_curves(default: Any = None, help: str = "challenge text files AAAA_BB_CC.txt, instead of --data") -> Any:
    """Return the option --light-curves."""
    return option(default, help, metavar="DIR")


def one_of_data_and_light_curves(data: str | None, light_curves: Path | None) -> str | Path:
    """Return the value of --data or of --light-curves, whichever was given.

    Raises:
        UsageError: neither or both were given.
    """
    if (data is None) == (light_curves is None):
        raise UsageError(
            f"expected one of --data and --light-curves. Received: {'neither' if data is None else 'both'}"
        )
    return light_curves if data is None else data  # type: ignore[return-value]


def runs(help: str, nargs: str = "+") -> Any:
    """Return the positional argument RUN ..., the run folders."""
    return option((), help, metavar="RUN", nargs=nargs, positional=True)


def run_folder(help: str = "run folder", default: Any = None, shown: str = "", metavar: str = "RUN") -> Any:
    """Return the option --run."""
    return option(default, help, group=WHERE_IT_GOES, metavar=metavar, shown=shown)


def out(help: str, metavar: str = "FILE", default: Any = ...) -> Any:
    """Return the option --out."""
    return option(default, help, metavar=metavar)


def overwrite(help: str = "move an existing run folder aside and start again", group: str = WHERE_IT_GOES) -> Any:
    """Return the option --overwrite."""
    return option(False, help, group=group)


def dry_run(help: str, group: str = WHERE_IT_GOES) -> Any:
    """Return the option --dry-run."""
    return option(False, help, group=group)


def as_json(what: str) -> Any:
    """Return the option --json."""
    what = f"print {what} as one JSON object on standard output; everything else goes to stderr"
    return option(False, what, flag="--json")


def price() -> Any:
    """Return the option --price."""
    return option(
        None, "price of one TiB scanned, in any currency, for the estimate of --dry-run", low=0, high=1e6,
        metavar="AMOUNT"
    )  # fmt: skip


def devices() -> Any:
    """Return the option --devices."""
    return option(DEFAULT_DEVICES, DEVICES_HELP, group=WHERE_IT_RUNS, metavar="DEVICES", parse=Devices.parse)


def jobs(help: str, default: int | None = 1, group: str = WHERE_IT_RUNS) -> Any:
    """Return the option --jobs; its default, None, means the number of cores."""
    cores = resources.available_cpus() if default is None else default
    return option(cores, help, group=group, low=1, metavar="N", shown="" if default else "the number of cores")


def is_host_and_port(text: str) -> bool:
    """Whether a text has the form HOST:PORT."""
    host, _, port = text.rpartition(":")
    return bool(host) and 0 < (whole_number(port) or 0) < 1 << 16


def host_and_port(help: str, group: str) -> Any:
    """Return an option whose value is HOST:PORT."""
    return option(
        None, help, group=group, metavar="HOST:PORT", check=is_host_and_port,
        expected="HOST:PORT, like 10.0.0.5:7000"
    )  # fmt: skip
