"""Which models exist: every function decorated with `@model` in `ariel_tf/models`, by its name.

The names, the first docstring lines and the recipes are read from the source text, so that `--help`,
`--list-models` and a mistyped `--model` need no TensorFlow; `load` imports the one family it needs.
"""

import ast
import functools
import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ariel_tf.core.errors import UsageError, nearest


@dataclass(frozen=True)
class Entry:
    """A registered model.

    Attributes:
        name: of the function, and the value of `--model`.
        module: that holds it.
        summary: its docstring's first line.
        scope: "one" wavelength, "joint" for all 55 at once, or "any".
        unit: what a row is: "observation", "spot" or "planet", as of `selection.Signature`.
        pretrained: whether it takes a file of weights.
        recipe: options whose defaults differ for this model (epochs, batch_size, steps ...).
        joint: what differs further with `--wavelength joint`.
    """

    name: str
    module: str
    summary: str
    scope: str = "one"
    unit: str = "observation"
    pretrained: bool = False
    recipe: dict[str, Any] = field(default_factory=dict)
    joint: dict[str, Any] = field(default_factory=dict)


# The folder whose files register models.
MODELS = Path(__file__).resolve().parents[1] / "models"
ABOUT = ("scope", "unit", "pretrained", "joint")


def model(
    scope: str = "one",
    unit: str = "observation",
    pretrained: bool = False,
    joint: dict[str, Any] | None = None,
    **recipe: Any,
) -> Callable[[Callable], Callable]:
    """Register a model function `(hp, inputs) -> features`; the arguments, literals all, are as of `Entry`.

    Args of the decorated function:
        hp: `hyper.Settings` or keras-tuner's `HyperParameters`.
        inputs: `builder.Inputs`: `flux` float32 [batch, steps, channels], already transformed, and
            `star` float32 [batch, k], standardised, or None. With unit "spot" or "planet" flux is
            [batch, instances, steps, channels].

    Returns of it: features [batch, f]; the builder adds the head.
    """

    def decorate(function: Callable) -> Callable:
        about = {"scope": scope, "unit": unit, "pretrained": pretrained, "joint": joint or {}, "recipe": recipe}
        function.registered = about  # type: ignore[attr-defined]
        return function

    return decorate


@functools.cache
def entries() -> dict[str, Entry]:
    """All models by name, in the order of the source files."""
    found: dict[str, Entry] = {}
    for path in sorted(MODELS.glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.FunctionDef):
                continue
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "model":
                    recipe = {k.arg: ast.literal_eval(k.value) for k in decorator.keywords if k.arg}
                    about = {
                        name: recipe.pop(name) for name in ("scope", "unit", "pretrained", "joint") if name in recipe
                    }
                    summary = (ast.get_docstring(node) or "").split("\n")[0]
                    module = f"ariel_tf.models.{path.stem}"
                    found[node.name] = Entry(node.name, module, summary, **about, recipe=recipe)
    return found


def entry(name: str) -> Entry:
    """The model called `name`, or a `UsageError` with the nearest name."""
    known = entries()
    if name not in known:
        raise UsageError(f"--model: expected one of {', '.join(known)}. Received: {name}{nearest(name, known)}")
    return known[name]


def load(name: str) -> Callable:
    """The model function itself; imports its family and so the deep-learning library."""
    return getattr(importlib.import_module(entry(name).module), name)
