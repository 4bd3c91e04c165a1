"""Programs of the folder tools, which is no package."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]


def tool(name):
    """The module tools/NAME.py."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f"tools/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
