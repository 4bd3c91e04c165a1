"""docs/security.md: every promise names tests, and each of these exists; and what no file of the package does."""

import ast
import configparser
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/security.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
SOURCES = sorted(path for package in ("ariel_tf", "pipelines", "tuning") for path in (ROOT / package).rglob("*.py"))
UNPICKLING = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml"}
CODE = {"eval", "exec", "__import__"}


def promises():
    """The list items of the sections of promises, each with its continuation lines."""
    sections = [section for section in PAGE.split("\n## ") if "untrusted source" in section.split("\n")[0]]
    items = [item for section in sections for item in section.split("\n- ")[1:]]
    return [" ".join(item.split()) for item in items]


def test_every_promise_names_a_test():
    assert len(promises()) > 20
    assert [promise for promise in promises() if not NAMED.search(promise)] == []


def test_every_named_test_exists():
    named = NAMED.findall(PAGE)
    found = {file: (ROOT / file).read_text(encoding="utf-8") for file, _ in named}
    absent = [f"{file}::{name}" for file, name in named if not re.search(rf"^def {name}\(", found[file], re.MULTILINE)]
    assert absent == []
    assert len(named) == len(re.findall(r"`tests/", PAGE)), "every test is named as `tests/FILE.py::test_NAME`"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_of_the_package_unpickles_or_runs_text_as_code(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert not UNPICKLING & {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] not in UNPICKLING
        elif isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            called = ast.unparse(node.func)
            assert name not in CODE
            assert called not in ("os.system", "os.popen")
            assert not called.endswith("enable_unsafe_deserialization")
            given = {word.arg: getattr(word.value, "value", None) for word in node.keywords}
            assert not given.get("shell")
            assert not given.get("allow_pickle")
            assert given.get("safe_mode", True) is True


def test_keras_is_required_in_a_version_that_loads_no_code():
    """Versions before 3.9 run code of a hostile model file through their loader."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    low = re.search(r"^keras >=([\d.]+)", setup["options"]["install_requires"], re.MULTILINE)
    assert low is not None
    assert tuple(map(int, low[1].split("."))) >= (3, 12, 4)
