"""Generate pages of the site from other files: help of every command, changelog; a hook of mkdocs (mkdocs.yml)."""

import argparse
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
COMMANDS_HERE, CHANGELOG_HERE = "<!-- commands -->", "<!-- changelog -->"


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Return the text of a page with the marks replaced; called by mkdocs for every page."""
    if COMMANDS_HERE in markdown:
        return markdown.replace(COMMANDS_HERE, "\n".join(sections()))
    if CHANGELOG_HERE in markdown:
        return (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").replace("](docs/", "](../")
    return markdown


def sections() -> Iterator[str]:
    """Yield lines of Markdown: a section for each command, with its help in a code block."""
    sys.path.insert(0, str(ROOT))
    from ariel_tf.__main__ import COMMANDS

    for title, group in COMMANDS.items():
        yield f"\n## {title.capitalize()}\n"
        for word, module in group.items():
            parser = importlib.import_module(module).parser()
            yield f"\n### {word}\n\n`ariel {word}`, or `python -m {module}`\n"
            yield from _code(parser.format_help())
            for name, one in subcommands(parser):
                yield f"\n#### {word} {name}\n"
                yield from _code(one.format_help())


def subcommands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Return name and parser of each subcommand."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def _code(text: str) -> Iterator[str]:
    yield from ("```text", text.rstrip(), "```")
