"""Simulated data sets of benchmarks, in temporary folders."""

import contextlib
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def simulated_shards(planets: int) -> Iterator[Path]:
    """Write planets with 40 observations each as shards; yield their folder, which is removed at the end."""
    from pipelines import simulate

    with tempfile.TemporaryDirectory() as name:
        data = Path(name) / "data"
        with contextlib.redirect_stdout(io.StringIO()):
            simulate.main([str(data), "--planets", str(planets), "--spots", "10", "--photons", "4", "--jobs", "1"])
        yield data
