"""Finished trainings that many tests read."""

import contextlib
import io
import shutil
from pathlib import Path


class TinyRuns:
    """Run folders of finished trainings, each trained once for its list of options.

    Args:
        folder: where they are kept.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._made: dict[tuple[str | bool, ...], tuple[Path, str]] = {}

    def __call__(self, *options: str, into: str | Path | None = None) -> Path:
        """The folder of a run that was trained with these options.

        Args:
            into: copy the run to this new folder, to change it or to repeat its command; without it, it is for
                reading only.
        """
        path, _ = self._train(options)
        return path if into is None else Path(shutil.copytree(path, into))

    def printed(self, *options: str) -> str:
        """What the training with these options printed."""
        return self._train(options)[1]

    def _train(self, options: tuple[str, ...]) -> tuple[Path, str]:
        from ariel_tf import train
        from support import pretended

        key = (pretended.active(), *options)
        if key not in self._made:
            path = self.folder / f"{len(self._made):02d}"
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                train.main([*options, "--run", str(path)])
            self._made[key] = path, printed.getvalue()
        return self._made[key]
