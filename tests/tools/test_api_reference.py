"""The API reference of the documentation site: Griffe warns of what is refused here, and the site has no warnings."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = re.findall(r"^::: (\S+)$", (ROOT / "docs/reference/api.md").read_text(encoding="utf-8"), re.MULTILINE)


def definition(name: str) -> ast.AST:
    """Return the class or the function of this dotted name, from the source text."""
    folder, found = name.rsplit(".", 1)
    path = ROOT / folder.replace(".", "/")
    text = (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text(encoding="utf-8")
    return next(node for node in ast.parse(text).body if getattr(node, "name", None) == found)


def functions(node: ast.AST) -> Iterator[ast.FunctionDef]:
    """Yield a function, or the public methods of a class."""
    if isinstance(node, ast.FunctionDef):
        yield node
    else:
        yield from (one for one in node.body if isinstance(one, ast.FunctionDef) and not one.name.startswith("_"))


def described(text: str) -> list[str]:
    """Return the names before the colons in the `Args:` of a docstring."""
    section = re.search(r"^Args:\n((?:    .*\n?)*)", text, re.MULTILINE)
    return re.findall(r"^    (\S[^:]*): ", section[1], re.MULTILINE) if section else []


@pytest.mark.parametrize("name", NAMES)
def test_each_documented_argument_is_a_parameter(name):
    """`source, folds, part: as in ...` in one line made `make docs` fail."""
    for function in functions(definition(name)):
        arguments = function.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        parameters = {one.arg for one in every if one is not None}
        # A decorator's docstring also describes the arguments of the function that it decorates.
        text = (ast.get_docstring(function) or "").split("Args of the decorated function:")[0]
        assert set(described(text)) <= parameters, function.name


def test_names_are_read_from_the_args_of_a_docstring():
    text = "One line.\n\nArgs:\n    flux: [n, 55]: raw.\n        more: x.\n    a, b: both.\n\nRaises:\n    E: x.\n"
    assert described(text) == ["flux", "a, b"]
    assert len(NAMES) > 10
