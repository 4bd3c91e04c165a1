"""Check that a run folder contains the run that a command requests; no TensorFlow."""

from pathlib import Path
from typing import Any

from ariel_tf.core.atomic_files import read_json
from ariel_tf.core.errors import UsageError
from ariel_tf.core.printable import masked
from ariel_tf.runs.committed import recorded_fingerprint


def refuse_another(path: Path, configuration: dict[str, Any], fingerprint: str) -> None:
    """Raise a `UsageError` if a folder contains a run with another configuration or other data.

    Args:
        path: the run folder.
        configuration: configuration of the requested run; the path of its data may differ.
        fingerprint: fingerprint of its data.
    """
    before, now = (masked(each) for each in (read_json(path / "config.json", dict), configuration))
    names = {*before, *now}
    if ("ensemble" in before) != ("ensemble" in now):  # a difference in options would not be informative
        names = before.keys() & now.keys()
    differing = [
        f"  {name}: {before.get(name)} there, {now.get(name)} now"
        for name in sorted(names - {"data"})
        if before.get(name) != now.get(name)
    ]
    one, other = before.get("model_source"), now.get("model_source")
    if one != other and _same_file(one, other):
        raise UsageError(
            f"--run {path}: {other['file']} has changed since this run was started (sha256 "
            f"{str(one.get('sha256'))[:12]} then, {other['sha256'][:12]} now); restore it, give another --run, or "
            "--overwrite to move the run aside."
        )
    there = recorded_fingerprint(path) or fingerprint
    if not differing and there != fingerprint:
        differing = [f"  data fingerprint: {there[:12]} there, {fingerprint[:12]} now"]
    if differing:
        raise UsageError(
            f"--run {path}: this run has another configuration or other data; "
            "give another --run, or --overwrite to move it aside:\n" + "\n".join(differing)
        )


def _same_file(one: Any, other: Any) -> bool:
    """Whether two values of `model_source` refer to the same file."""
    return isinstance(one, dict) and isinstance(other, dict) and one.get("file") == other.get("file") is not None
