"""Registered models: functions decorated with `@model` in `ariel_tf/models`, plug-ins, and the user's own files.

Names, first docstring lines and recipes are read from the source text, so that `--help`, `--list-models` and a mistyped
`--model` need no TensorFlow; `load` imports only the module it needs. `user_code` finds models outside this package.
"""

import ast
import dataclasses
import functools
import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ariel_tf.core import user_code
from ariel_tf.core.errors import UsageError, nearest


@dataclass(frozen=True)
class Entry:
    """A registered model.

    Attributes:
        name: name of the function, and the value of `--model`.
        module: module that contains the function.
        summary: first line of its docstring.
        scope: what it predicts: "one" wavelength, "joint" for all 55 at once, or "any".
        unit: what a row contains: one "observation", or all of a "spot" or "planet", as in `selection.Signature`.
        pretrained: whether it accepts a file of pretrained weights.
        recipe: options whose defaults differ for this model (epochs, batch_size, steps ...).
        joint: further defaults that differ with `--wavelength joint`.
        source: for a model outside this package, the values recorded with a run: "unit", and "file" with its "sha256"
            or "plugin".
    """

    name: str
    module: str
    summary: str
    scope: str = "one"
    unit: str = "observation"
    pretrained: bool = False
    recipe: dict[str, Any] = field(default_factory=dict)
    joint: dict[str, Any] = field(default_factory=dict)
    source: dict[str, Any] = field(default_factory=dict)


# The folder whose modules register models.
MODELS = Path(__file__).resolve().parents[1] / "models"
ABOUT = ("scope", "unit", "pretrained", "joint")
SCOPES, UNITS = ("one", "joint", "any"), ("observation", "spot", "planet")


def model(
    scope: str = "one",
    unit: str = "observation",
    pretrained: bool = False,
    joint: dict[str, Any] | None = None,
    **recipe: Any,
) -> Callable[[Callable], Callable]:
    """Register a model function `(hp, inputs) -> features`; the arguments are those of `Entry` and must be literals.

    Args of the decorated function:
        hp: `hyper.Settings` or keras-tuner's `HyperParameters`.
        inputs: `builder.Inputs`: `flux` float32 [batch, steps, channels], already transformed, and
            `star` float32 [batch, k], standardised, or None. With unit "spot" or "planet" flux is
            [batch, instances, steps, channels].

    The function returns features [batch, f]; the builder adds the head.
    """

    def decorate(function: Callable) -> Callable:
        about = {"scope": scope, "unit": unit, "pretrained": pretrained, "joint": joint or {}, "recipe": recipe}
        function.registered = about  # type: ignore[attr-defined]
        return function

    return decorate


@functools.cache
def entries() -> dict[str, Entry]:
    """Return all models of this package by name, in the order of the source files."""
    found: dict[str, Entry] = {}
    for path in sorted(MODELS.glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and (about := _about(node)) is not None:
                found[node.name] = Entry(node.name, f"ariel_tf.models.{path.stem}", _summary(node), **about)
    return found


def _summary(node: ast.FunctionDef) -> str:
    return (ast.get_docstring(node) or "").split("\n")[0]


def _about(node: ast.FunctionDef) -> dict[str, Any] | None:
    """Return the arguments of a function's decorator, as in `Entry`; None without a decorator."""
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func).split(".")[-1] == "model":
            recipe = {k.arg: ast.literal_eval(k.value) for k in decorator.keywords if k.arg}
            about = {name: recipe.pop(name) for name in ABOUT if name in recipe}
            return {**about, "recipe": recipe}
    return None


def entry(name: str) -> Entry:
    """Return the model called `name`, from this package, a plug-in or a file.

    Raises:
        UsageError: no such model (names the nearest one), or a file that is missing or has an invalid decorator.
    """
    if (own := user_code.reference(name)) is not None:
        source = {"file": str(own.path), "sha256": own.sha256}
        return _outside(f"{own.path}:{own.function}", own.function, own.content, source, str(own.path))
    known = entries()
    if name in known:
        return known[name]
    plugins = user_code.plugins(user_code.MODELS)
    if name not in plugins:
        names = [*known, *plugins]
        raise UsageError(
            f"--model: expected one of {', '.join(names)}, or FILE.py:FUNCTION. Received: {name}{nearest(name, names)}"
        )
    point = plugins[name]
    spec = importlib.util.find_spec(point.module)
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        raise UsageError(f"--model {name}: its plug-in names the module {point.module}, which does not exist.")
    version = f" {point.dist.name} {point.dist.version}" if point.dist else ""
    source = {"plugin": f"{point.value}{version}"}
    return _outside(name, point.attr, Path(spec.origin).read_bytes(), source, point.module)


def _outside(name: str, function: str, content: bytes, source: dict[str, Any], where: str) -> Entry:
    """Return the entry of a function in the source text of a file outside this package.

    Args:
        name: name of the entry.
        function: name of the function in the file.
        content: content of the file.
        source: what is recorded with a run.
        where: name of the file or module, for messages.
    """
    try:
        nodes = [node for node in ast.parse(content).body if isinstance(node, ast.FunctionDef)]
    except (SyntaxError, ValueError) as error:
        raise UsageError(f"{where}: expected a Python file ({error}).") from None
    node = next((node for node in nodes if node.name == function), None)
    if node is None:
        names = [node.name for node in nodes]
        listed = f"; it has {', '.join(names)}" if names else ""
        raise UsageError(f"--model {name}: expected a function {function} in {where}{listed}{nearest(function, names)}")
    try:
        about = _about(node) or {"scope": "any"}
    except ValueError:
        raise UsageError(f"{where}: expected literals in @model(...) of {function}, such as epochs=20.") from None
    found = Entry(name, where, _summary(node), **about)
    _refuse_odd(found, where)
    return dataclasses.replace(found, source={**source, "unit": found.unit})


def _refuse_odd(found: Entry, where: str) -> None:
    """Refuse an unknown scope or unit."""
    for what, value, known in (("scope", found.scope, SCOPES), ("unit", found.unit, UNITS)):
        if value not in known:
            raise UsageError(f"{where}: @model({what}=...): expected one of {', '.join(known)}. Received: {value!r}")


def short_name(name: str) -> str:
    """Return the name of a model without the path of its file, for titles and folders.

    >>> short_name("/home/me/my_model.py:attention"), short_name("squid")
    ('attention', 'squid')
    """
    own = user_code.reference(name)
    return name if own is None else own.function


def summaries() -> dict[str, str]:
    """Return one line per model: of this package, then of plug-ins, whose modules are not imported."""
    lines = {name: one.summary for name, one in entries().items()}
    for name in user_code.plugins(user_code.MODELS):
        if name not in lines:
            try:
                lines[name] = f"{entry(name).summary} (plug-in)"
            except UsageError as error:
                lines[name] = str(error)
    return lines


def load(name: str) -> Callable:
    """Return the model function; imports its module and with it the deep-learning library.

    Raises:
        UsageError: the model is in a file that the user did not name.
    """
    if (own := user_code.reference(name)) is not None:
        return user_code.load(own, "--model")
    found = entry(name)
    if found.source:
        return user_code.plugins(user_code.MODELS)[name].load()
    return getattr(importlib.import_module(found.module), name)
