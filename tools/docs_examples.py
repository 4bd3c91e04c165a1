"""Format examples of docstrings as code: a Griffe extension for the documentation site (mkdocs.yml).

Docstrings end in lines of `>>>`, which doctest runs; without a fence Markdown treats them as quotations.
"""

import re
from typing import Any

import griffe

# A paragraph that begins with a prompt, not indented, and what follows it up to the next paragraph without one.
EXAMPLES = re.compile(r"(?:^>>> .*\n?(?:(?!\n).+\n?)*\n*)+", re.MULTILINE)


class Examples(griffe.Extension):
    """Adds fences around the examples of every docstring."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called by Griffe for every object that it reads."""
        if obj.docstring is not None:
            obj.docstring.value = EXAMPLES.sub(_fenced, obj.docstring.value)


def _fenced(found: re.Match[str]) -> str:
    return f"```pycon\n{found[0].rstrip()}\n```\n\n"
