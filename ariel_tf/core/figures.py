"""PNG files drawn with matplotlib's `Figure`, apart from the user's own matplotlib.

`matplotlib.pyplot` is never imported: the user's backend, rcParams and open figures stay as they are, and a setting of
the user, like `text.usetex` without LaTeX, has no influence on our pictures.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ariel_tf.core.atomic_files import replacing
from ariel_tf.core.errors import ArielError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 110


@contextmanager
def saved_figure(path: Path, width: float, height: float, dpi: float = DOTS_PER_INCH) -> "Iterator[Figure]":
    """An empty figure to draw on, saved as a PNG file at the end of the block.

    Drawing and saving happen in matplotlib's default settings; the user's come back afterwards.

    Args:
        path: file to write; replaced only if the whole block succeeds.
        width, height: in inches.
        dpi: dots per inch.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # all but the backend and what else belongs to a window
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        with replacing(path) as temporary:
            figure.savefig(temporary, dpi=dpi, format="png")


def draw(picture: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Call a function that draws."""
    picture(*arguments)


def draw_or_warn(picture: Callable[..., Any], *arguments: Any) -> bool:
    """Call `picture(*arguments)`; print one sentence if it fails. Returns whether it succeeded.

    For pictures that accompany a result: a broken installation of matplotlib must not cost the scores.
    """
    try:
        draw(picture, arguments)
    except (ArielError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001  (whatever matplotlib, its fonts and its settings raise)
        reason = " ".join(str(error).split())[:200]
        print(f"warning: a picture could not be drawn ({type(error).__name__}: {reason})", file=sys.stderr, flush=True)
        return False
    return True
