"""The notebooks of examples/: executed by Jupyter, or cell by cell in this process with smaller parameters."""

import contextlib
import io
import sys
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
SHOWS = "plt.show()"


class Ran(NamedTuple):
    """An executed code cell: its source, what it printed, and of each figure that it showed whether it has content."""

    source: str
    printed: str
    figures: list[bool]


def read(name: str) -> Any:
    """A notebook of examples/, which is kept without outputs."""
    notebook = nbformat.read(EXAMPLES / name, as_version=4)
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in notebook.cells)
    return notebook


def by_jupyter(name: str, folder: Path, *replaced: tuple[str, str]) -> list[Ran]:
    """Execute a notebook in a kernel of its own, in this folder.

    Args:
        name: of the notebook.
        folder: where it runs.
        replaced: parts of its code, and what takes their places.
    """
    from nbclient import NotebookClient

    notebook = read(name)
    for old, new in replaced:
        cells = [cell for cell in notebook.cells if cell.cell_type == "code" and old in cell.source]
        assert cells, f"no cell holds {old}"
        for cell in cells:
            cell.source = cell.source.replace(old, new)
    done = NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(folder)}}).execute()
    ran = []
    for cell in done.cells:
        if cell.cell_type == "code":
            streams = [out for out in cell.outputs if out.output_type == "stream" and out.name == "stdout"]
            images = [out for out in cell.outputs if "image/png" in out.get("data", {})]
            ran.append(
                Ran(
                    cell.source,
                    "".join(out.text for out in streams),
                    [len(image.data["image/png"]) > 5000 for image in images],
                )
            )
    return ran


def here(name: str, **parameters: Any) -> list[Ran]:
    """Execute the code cells of a notebook in this process, in the current folder.

    Args:
        name: of the notebook.
        parameters: replace those of the cell that has the tag "parameters".
    """
    from matplotlib import pyplot

    names: dict[str, Any] = {}
    ran = []
    with pytest.MonkeyPatch.context() as patch:
        figures: list[bool] = []
        patch.setattr(pyplot, "show", lambda: figures.extend(_shown()))
        patch.setattr(sys, "path", list(sys.path))
        for cell in read(name).cells:
            if cell.cell_type != "code":
                continue
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(compile(cell.source, name, "exec"), names)
            if "parameters" in cell.metadata.get("tags", ()):
                assert parameters.keys() <= names.keys(), "these are not parameters of the notebook"
                names.update(parameters)
            ran.append(Ran(cell.source, printed.getvalue(), figures[:]))
            figures.clear()
    return ran


def _shown() -> list[bool]:
    """Whether the open figures, which are closed, hold something drawn on axes."""
    from matplotlib import pyplot

    shown = []
    for number in pyplot.get_fignums():
        figure = pyplot.figure(number)
        figure.canvas.draw()
        pixels = np.asarray(figure.canvas.buffer_rgba())
        shown.append(all(axes.has_data() for axes in figure.axes) and len(np.unique(pixels[..., 0])) > 2)
        pyplot.close(figure)
    return shown


def assert_pictures(ran: list[Ran]) -> None:
    """Fail unless each cell that plots shows one figure, with content."""
    plotting = [cell for cell in ran if "plt." in cell.source.replace("import matplotlib.pyplot as plt", "")]
    assert plotting
    for cell in plotting:
        assert cell.source.rstrip().endswith(SHOWS), f"shows nothing: {cell.source}"
        assert cell.figures == [True], f"no picture, or an empty one: {cell.source}"
