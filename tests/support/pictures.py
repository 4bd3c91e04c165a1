"""Drawing costs a third of a tiny training: tests save a dot as every picture, except where they draw."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from ariel_tf.core import figures

DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
COARSE = 40  # dots per inch
_save = Figure.savefig
_draw = figures.draw


def save_dot(figure, file, *_, **__) -> None:
    """In place of `Figure.savefig`: a PNG of one pixel."""
    if hasattr(file, "write"):
        file.write(DOT)
    else:
        Path(file).write_bytes(DOT)


def draw_dot(draw, arguments) -> None:
    """In place of `core.figures.draw`, which accompanies a result with a picture."""
    for path in arguments:
        if isinstance(path, Path):
            path.write_bytes(DOT)


def save_unarranged(figure, *arguments, **settings) -> None:
    """In place of `Figure.savefig`: without the search for a layout in which no labels overlap."""
    figure.set_layout_engine("none")
    _save(figure, *arguments, **settings)


@contextmanager
def drawn(arranged: bool = False) -> Iterator[None]:
    """Save real pictures in this block, coarse ones: a tenth of the time of pictures as they are printed.

    Args:
        arranged: with the layout of the product, which costs as much again as the picture.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", _save if arranged else save_unarranged)
        patch.setattr(figures, "draw", _draw)
        patch.setattr(figures, "DOTS_PER_INCH", COARSE)
        yield


def are_drawn() -> bool:
    """Whether pictures that are saved now are real ones."""
    return Figure.savefig in (_save, save_unarranged)


def draw_from_now() -> None:
    """Save real pictures to the end of this process, coarse ones, with the layout of the product."""
    Figure.savefig, figures.draw, figures.DOTS_PER_INCH = _save, _draw, COARSE


def is_drawn(path) -> bool:
    """Whether a file is a PNG picture, and not the dot that stands in for one."""
    content = Path(path).read_bytes()
    return content.startswith(b"\x89PNG") and content != DOT
