"""`ariel`, or `python -m ariel_tf`: list and run all commands.

    ariel                                  list the commands
    ariel train --wavelength 12            the same as python -m ariel_tf.train --wavelength 12
    ariel --version                        versions and devices
    ariel --print-completion bash          a script for the shell to source; also zsh and tcsh

A command's module is imported when the command runs, so this module imports neither pipelines nor tuning.
"""

import argparse
import ast
import importlib
import importlib.metadata
import importlib.util
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from ariel_tf import __version__
from ariel_tf.core import cli
from ariel_tf.core.errors import UsageError, nearest, run_command

# Name and module of every command, in groups.
COMMANDS = {
    "data sets": {
        "simulate": "pipelines.simulate",
        "convert": "pipelines.convert",
        "check": "pipelines.check",
        "upload": "pipelines.upload",
        "download": "pipelines.download",
        "partial-set": "pipelines.partial_set",
        "arrays": "pipelines.arrays",
        "beam": "pipelines.beam",
    },
    "models": {
        "train": "ariel_tf.train",
        "search": "tuning.search",
        "ensemble": "ariel_tf.ensemble",
        "trees": "ariel_tf.trees",
        "supervise": "ariel_tf.supervise",
        "launch": "ariel_tf.launch",
        "pretrain": "ariel_tf.pretrain",
    },
    "results": {
        "evaluate": "ariel_tf.evaluate",
        "predict": "ariel_tf.predict",
        "submission": "ariel_tf.submission",
        "report": "ariel_tf.report",
        "plot": "ariel_tf.plot",
        "explain": "ariel_tf.explain",
        "export": "ariel_tf.export",
    },
}
MODULES = {word: module for group in COMMANDS.values() for word, module in group.items()}
SHELLS = ("bash", "zsh", "tcsh")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command of `ariel`; the entry point of the console script."""
    run_command(lambda: _run(cli.given(arguments)))


def _run(arguments: list[str]) -> None:
    word, *rest = arguments or ["--help"]
    if word in ("--help", "-h"):
        print(listing())
    elif word == "--version":
        print(versions(), flush=True)
        print(f"{'devices':12s}{devices()}")
    elif word == "--print-completion":
        print(completion(rest[0] if rest else ""))
    elif word.replace("_", "-") in MODULES:
        _module(word.replace("_", "-")).main(rest)
    else:
        raise UsageError(f"expected a command, one of {', '.join(MODULES)}. Received: {word}{nearest(word, MODULES)}")


def _module(word: str) -> ModuleType:
    """Return the module of a command.

    Raises:
        UsageError: the package pipelines or tuning is not installed.
    """
    try:
        return importlib.import_module(MODULES[word])
    except ModuleNotFoundError as error:
        if error.name != MODULES[word].partition(".")[0]:
            raise
        raise UsageError(f"{word}: the package {error.name} is not installed; run this in the repository.") from None


def listing() -> str:
    """Return all commands in groups, each with the first line of its docstring."""
    lines = ["usage: ariel COMMAND [options]", "", cli.summary(importlib.import_module("ariel_tf").__doc__)]
    for title, group in COMMANDS.items():
        lines += ["", f"{title}:", *(f"  {word:12s}{_summary(module)}" for word, module in group.items())]
    return "\n".join(
        [
            *lines,
            "",
            "ariel COMMAND --help describes a command; ariel --version prints versions and devices;",
            f"ariel --print-completion {'|'.join(SHELLS)} prints a completion script for a shell.",
        ]
    )


def _summary(module: str) -> str:
    """Return the first line of a module's docstring without importing the module."""
    found = importlib.util.find_spec(module)
    if found is None or found.origin is None:
        return "not installed"
    return cli.summary(ast.get_docstring(ast.parse(Path(found.origin).read_text(encoding="utf-8"))))


def versions() -> str:
    """Return the versions of ariel_tf, Python and the libraries that affect results; imports none of them."""
    lines = [f"ariel_tf    {__version__}", f"Python      {platform.python_version()}"]
    for label, package in (("TensorFlow", "tensorflow"), ("Keras", "keras"), ("NumPy", "numpy")):
        try:
            lines.append(f"{label:12s}{importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            lines.append(f"{label:12s}not installed")
    return "\n".join(lines)


def devices() -> str:
    """Describe the devices that TensorFlow finds; imports TensorFlow."""
    from ariel_tf.core import resources
    from ariel_tf.core.tf_startup import import_tensorflow

    try:
        tensorflow = import_tensorflow(start_devices=False, any_backend=True)
    except ModuleNotFoundError as error:
        return f"unknown, since {error.name} is not installed"
    cores = resources.format_count(resources.available_cpus(), "CPU core")
    gpus = tensorflow.config.list_physical_devices("GPU")
    names = [tensorflow.config.experimental.get_device_details(gpu).get("device_name", "GPU") for gpu in gpus]
    listed = [f"gpu:{number} {name}" for number, name in enumerate(names)] or ["no GPU"]
    return ", ".join([cores, *listed])


def completion(shell: str) -> str:
    """Return a completion script for all commands and flags.

    Raises:
        UsageError: an unknown shell.
    """
    import shtab

    if shell not in SHELLS:
        raise UsageError(f"--print-completion: expected one of {', '.join(SHELLS)}. Received: {shell or 'nothing'}")
    return shtab.complete(whole_parser(), shell)


def whole_parser() -> argparse.ArgumentParser:
    """Return one parser of all commands, for completion."""
    parser = argparse.ArgumentParser(prog="ariel")
    parser.add_argument("--version", action="store_true", help="print versions and devices")
    parser.add_argument("--print-completion", choices=SHELLS, help="print a completion script")
    commands = parser.add_subparsers(dest="command", parser_class=cli.as_made)  # type: ignore[call-overload]
    for word in MODULES:
        made: Any = _module(word).parser()
        commands.add_parser(word, help=made.description, made=made)
    cli.prepare_completion(parser)
    return parser


if __name__ == "__main__":
    main(sys.argv[1:])
