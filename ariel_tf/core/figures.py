"""Draw figures with matplotlib's `Figure`, independently of the user's own matplotlib, and save them as files.

`matplotlib.pyplot` is never imported: the user's backend, rcParams and open figures are not changed, and a user's
setting such as `text.usetex` without LaTeX does not affect our figures.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ariel_tf.core import messages
from ariel_tf.core.atomic_files import replacing
from ariel_tf.core.errors import ArielError, UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The resolution that journals print, and sufficient on a screen.
DOTS_PER_INCH, SCREEN = 300, 110
FORMATS = ("png", "svg", "pdf")
# Files contain no time stamp, so that the same numbers give the same bytes.
_METADATA = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
# Readable when a figure 8 inches wide is printed on a page 6.5 inches wide.
STYLE = {
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.labelsize": 10,
    "legend.fontsize": 9,
    "legend.title_fontsize": 9,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "figure.titlesize": 11,
    "svg.hashsalt": "ariel_tf",
}


def refuse_picture_path(path: Path) -> None:
    """Refuse `--out` unless it is the name of a new figure in an existing folder.

    Raises:
        UsageError: any other path.
    """
    if path.suffix.removeprefix(".") not in FORMATS or path.exists() or not path.parent.is_dir():
        names = ", ".join(f".{kind}" for kind in FORMATS)
        raise UsageError(f"--out {path}: expected the name of a new file, {names}, in a folder that exists.")


@contextmanager
def saved_figure(path: Path, width: float, height: float, dpi: float | None = None) -> "Iterator[Figure]":
    """Yield an empty figure; save it at the end of the block as PNG, SVG or PDF, by the suffix of the file's name.

    Drawing and saving use matplotlib's default settings and `STYLE`; the user's settings are restored afterwards.

    Args:
        path: file to write; replaced only if the whole block succeeds.
        width, height: in inches.
        dpi: dots per inch of a PNG file and of images in other formats; `DOTS_PER_INCH` by default.
    """
    import matplotlib
    from matplotlib.figure import Figure

    kind = path.suffix.removeprefix(".")
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # all settings except the backend and others that belong to a window
        matplotlib.rcParams.update(STYLE)
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        with replacing(path) as temporary:
            figure.savefig(temporary, dpi=dpi or DOTS_PER_INCH, format=kind, metadata=_METADATA[kind])


def draw(picture: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Call a function that draws."""
    picture(*arguments)


def draw_or_warn(picture: Callable[..., Any], *arguments: Any) -> bool:
    """Call `picture(*arguments)`; print one sentence if it fails. Returns whether it succeeded.

    For figures that accompany a result: a broken installation of matplotlib must not abort a command with scores.
    """
    try:
        draw(picture, arguments)
    except (ArielError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001  (any error of matplotlib, its fonts and its settings)
        reason = " ".join(str(error).split())[:200]
        messages.warning(f"a picture could not be drawn ({type(error).__name__}: {reason})")
        return False
    return True
