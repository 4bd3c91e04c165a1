"""Models and data sources outside this package: functions in a user's Python file, and plug-ins.

    --model my_model.py:attention                 a function of a file
    --model attention                             entry point `attention` of the group `ariel_tf.models`
    --data my_data.py:survey  my_data.py:survey:ARGUMENT        a function of a file, called with the argument
    --data survey:ARGUMENT                        entry point `survey` of the group `ariel_tf.sources`

A file is code, and an untrusted `config.json` may name it. A file is therefore run only if the user names it: on the
command line, in a call from Python, or in the environment variable `ARIEL_TF_MODEL_FILES`. Plug-ins are installed
packages and need not be named. The arguments of `@model(...)` are read from the source text; no TensorFlow.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ariel_tf.core.errors import UsageError

MODELS, SOURCES = "ariel_tf.models", "ariel_tf.sources"
# Files whose layers are loaded with a run, separated like the folders of PATH.
ENVIRONMENT = "ARIEL_TF_MODEL_FILES"
LARGEST = 1 << 20
_FILE = re.compile(r"(?P<path>[^\0]*\.py):(?P<function>[^:\0]+)(?::(?P<argument>.*))?", re.DOTALL)
_named: set[Path] = set()


class Reference(NamedTuple):
    """A function in a file.

    Attributes:
        path: absolute path of the file.
        function: its name.
        argument: text after the function; empty if there is none.
    """

    path: Path
    function: str
    argument: str

    def __str__(self) -> str:
        return f"{self.path}:{self.function}" + f":{self.argument}" * bool(self.argument)

    @property
    def sha256(self) -> str:
        """Return the SHA-256 of the file.

        Raises:
            UsageError: the file does not exist.
        """
        return hashlib.sha256(self.content).hexdigest()

    @property
    def content(self) -> bytes:
        """Return the bytes of the file; raises like `sha256`."""
        if not self.path.is_file():
            raise UsageError(f"{self}: expected a Python file {self.path}, found none.")
        with self.path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise UsageError(f"{self.path}: expected a Python file of {LARGEST >> 20} MiB at most.")
        return content


def reference(text: Any) -> Reference | None:
    """Return the file and the function that a text names; None for any other text.

    >>> reference("a/my_model.py:attention").function, reference("baseline"), reference("simulated:planets=4")
    ('attention', None, None)
    """
    match = _FILE.fullmatch(text) if isinstance(text, str) and "://" not in text else None
    if match is None:
        return None
    return Reference(Path(os.path.abspath(match["path"])), match["function"], match["argument"] or "")


def name_by_user(text: Any) -> Any:
    """Return the same value; if it names a file, that file may be run from now on, since the user typed its name."""
    if (found := reference(text)) is not None:
        _named.add(found.path.resolve())
    return text


def by_environment() -> list[Path]:
    """Return the files that the environment variable names."""
    return [Path(one) for one in os.environ.get(ENVIRONMENT, "").split(os.pathsep) if one]


def is_named(path: Path) -> bool:
    """Whether the user named a file."""
    return path.resolve() in _named or path.resolve() in {one.resolve() for one in by_environment()}


def refuse_unnamed(text: Any, where: str, flag: str) -> None:
    """Refuse a file that the user did not name; accept any other text.

    Args:
        text: text in the form that `reference` accepts.
        where: place of the name, for the message.
        flag: flag by which the user can name the file.

    Raises:
        UsageError: the user did not name the file.
    """
    if (found := reference(text)) is not None and not is_named(found.path):
        raise UsageError(
            f"{where} names a Python file, {found}, which would be run; if you trust it, name it yourself: "
            f"{flag} {shlex.quote(str(found))}"
        )


def load(found: Reference, flag: str) -> Callable[..., Any]:
    """Return the function; runs the file once per process and content.

    Args:
        found: the file and the function.
        flag: flag by which the user can name the file, for the message.

    Raises:
        UsageError: the user did not name the file, it does not exist, or it has no such function.
    """
    refuse_unnamed(str(found), "a configuration", flag)
    function = getattr(run_file(found.path), found.function, None)
    if not callable(function):
        raise UsageError(f"{flag} {found}: expected a function {found.function} in the file, found none.")
    return function


def run_file(path: Path) -> Any:
    """Return the module of a file, which is run unless this process has run the same content.

    Raises:
        UsageError: the file is not Python, or cannot be read.
    """
    digest = Reference(path, "", "").sha256
    name = f"ariel_tf_user_{path.stem}_{digest[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path}: expected a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        del sys.modules[name]
        raise UsageError(f"{path}: expected a Python file; line {error.lineno} is not Python ({error.msg}).") from None
    except BaseException:
        del sys.modules[name]
        raise
    return module


def plugins(group: str) -> dict[str, importlib.metadata.EntryPoint]:
    """Return the entry points of a group of the installed packages, by name."""
    return {point.name: point for point in importlib.metadata.entry_points(group=group)}


def own_layers(source: dict[str, Any] | None = None) -> set[str]:
    """Register the layers of the user's model files and of plug-ins with Keras; return the registered names.

    Args:
        source: `model_source` of the configuration of the run that is loaded.

    Raises:
        UsageError: the run's model file is missing, has changed, or is not named by the user.
    """
    import keras

    if source and "file" in source:
        _refuse_other_file(Path(source["file"]), str(source.get("sha256", "")))
    modules = {run_file(path).__name__ for path in [*by_environment(), *(one for one in _named if one.is_file())]}
    packages = set()
    for point in plugins(MODELS).values():
        point.load()
        packages.add(point.module.partition(".")[0])
    registered = keras.saving.get_custom_objects()
    return {
        name
        for name, one in registered.items()
        if getattr(one, "__module__", "") in modules or getattr(one, "__module__", "").partition(".")[0] in packages
    }


def _refuse_other_file(path: Path, digest: str) -> None:
    """Refuse a model file that is missing, has changed since it was recorded, or is not named by the user."""
    if any(Reference(one, "", "").sha256 == digest for one in [*by_environment(), *_named] if one.is_file()):
        return  # the same content, wherever the file is now
    needed = f"the run's model has layers of {path}"
    if not path.is_file():
        raise UsageError(f"{needed}, which does not exist; name the file where it is: {ENVIRONMENT}=FILE")
    if Reference(path, "", "").sha256 != digest:
        raise UsageError(
            f"{needed}, which has changed since (sha256 {digest[:12]}); restore it, or train the run again."
        )
    raise UsageError(f"{needed}, which would be run; if you trust it, name it yourself: {ENVIRONMENT}={path}")
