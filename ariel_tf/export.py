"""Export a run's model for other programs: a TensorFlow SavedModel, a Keras file or ONNX.

    python -m ariel_tf.export RUN OUT --format savedmodel|keras|onnx

The exported model contains every transform: it takes raw light curves and returns relative radii.

    savedmodel   a folder; runs in TensorFlow alone, without Keras and ariel_tf
    keras        a file; runs in Keras alone
    onnx         a file; runs in onnxruntime (exporting needs the extra `onnx`)

OUT.json beside it describes inputs and outputs. RUN is a run folder of any kind: one wavelength, a list, all jointly,
trees, or an ensemble; each becomes one model. Before the export gets its final name, its predictions are compared with
ours, in a process that does not import ariel_tf.
"""

import contextlib
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ariel_tf.challenge import STAR_PARAMETERS
from ariel_tf.core import cli
from ariel_tf.core.atomic_files import read_json, refuse_parent, require_utf8, sha256, write_json
from ariel_tf.core.errors import DataError, UsageError, run_command
from ariel_tf.core.schema import Schema, option
from ariel_tf.core.scratch_folder import publish, scratch_folder
from ariel_tf.core.sealed_json import is_as_written, sealed
from ariel_tf.runs.export_formats import FORMATS, compare, disk_refusals, require_packages, write

# Checksum of the description itself; its `sha256` holds those of the model's files.
OWN_SUM = "description_sha256"


class Options(Schema):
    """Options of `python -m ariel_tf.export`."""

    run: Path = option(..., "run folder of any kind", metavar="RUN", positional=True)
    out: Path = option(..., "folder, or file that ends in .keras or .onnx", metavar="OUT", positional=True)
    format: str | None = option(
        None, "format of the export", choices=FORMATS, shown="by the suffix of OUT, else savedmodel"
    )
    python: str = option(
        sys.executable, "Python of the environment in which the export is tested", metavar="PROGRAM", shown="this one"
    )
    overwrite: bool = cli.overwrite("replace an existing export", group="options")


def parser() -> cli.Parser:
    examples = ["runs/baseline baseline.keras", "runs/joint joint.onnx --python venv/bin/python"]
    return cli.Parser("ariel_tf.export", __doc__, Options, examples=examples)


def main(arguments: Sequence[str] | None = None) -> None:
    options = Options.from_flags(parser().parse_args(arguments))
    kind = options.format or {".keras": "keras", ".onnx": "onnx"}.get(options.out.suffix, "savedmodel")
    refuse_path(options.out, kind, options.overwrite)
    if (python := shutil.which(options.python)) is None:
        raise UsageError(f"--python {options.python}: expected a Python to run, such as ENVIRONMENT/bin/python.")
    export(options.run, options.out, kind, os.path.abspath(python))  # not resolved: a link is what makes it its own


def refuse_path(out: Path, kind: str, overwrite: bool = False) -> None:
    """Raise if a format cannot be written under this name."""
    require_utf8(out)
    if kind != "savedmodel" and out.suffix != f".{kind}":
        raise UsageError(f"{out}: expected a name that ends in .{kind}.")
    refuse_parent(out)
    for path in (out, description_path(out)):
        if path.exists() and not overwrite and (path == out or not _is_description(path)):
            raise UsageError(f"{path}: exists already; give another name, or --overwrite.")
    if out.is_dir() and (kind != "savedmodel" or not (out / "saved_model.pb").is_file()):
        raise UsageError(f"{out}: is a folder of something else; give another name.")


def description_path(out: Path) -> Path:
    return out.with_name(out.name + ".json")


def _is_description(path: Path) -> bool:
    """Whether a file describes an export; an export killed before its model was renamed leaves such a file."""
    with contextlib.suppress(DataError):
        return {"format", "run", "model", "inputs", "output"} <= read_json(path, dict).keys()
    return False


def digests(out: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of an export by name, relative to the folder of the export."""
    files = sorted(path for path in (out, *out.rglob("*")) if path.is_file())
    return {str(path.relative_to(out.parent)): sha256(path) for path in files}


def write_description(out: Path, described: dict[str, Any], sums: dict[str, str]) -> None:
    """Write the description of an export, with its own checksum.

    Args:
        out: file or folder of the export.
        described: result of `describe`.
        sums: SHA-256 by file name, result of `digests`.
    """
    values = described | {"sha256": sums}
    write_json(description_path(out), sealed(values, OWN_SUM))


def verify(out: Path) -> dict[str, Any]:
    """Compare an export with the checksums in its description.

    Args:
        out: file or folder that `export` wrote.

    Returns:
        The description, in the form of `describe`.

    Raises:
        DataError: a file was changed, removed or added, or the description is damaged.
    """
    path = description_path(out)
    described = read_json(path, dict)
    if not is_as_written(described, OWN_SUM):
        raise DataError(f"{path}: was changed after it was written; export it again.")
    described.pop(OWN_SUM, None)
    expected, found = described.pop("sha256", None), digests(out)
    if not isinstance(expected, dict):
        raise DataError(f"{path}: expected the checksums of an export, found none; export it again.")
    if wrong := sorted(name for name in expected | found if expected.get(name) != found.get(name)):
        raise DataError(f"{out.parent / wrong[0]}: not the file that was exported; export it again.")
    return described


def export(run: Path, out: Path, kind: str, python: str = sys.executable) -> None:
    """Write a run's model in another format.

    Args:
        run: run folder of any kind.
        out: file or folder to write.
        kind: one of `FORMATS`.
        python: Python of the environment in which the export is tested; it needs only the libraries of the format.

    Raises:
        UsageError: no such run, or packages that the format needs are missing.
        ArielError: the exported model does not run, or its predictions differ from ours.
    """
    from ariel_tf.core.tf_startup import import_tensorflow

    import_tensorflow()
    from ariel_tf.runs.predictor import Predictor

    require_packages(kind)
    trained = Predictor.load(run)
    out.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(out, ".exporting-") as scratch:
        made = scratch / out.name
        with disk_refusals(out):
            write(trained, made, kind)
        largest = compare(trained, made, kind, python)
        # The description first: if the process is killed in between, the next export replaces it.
        write_description(out, describe(trained, kind), digests(made))
        publish(made, out)
    print(f"{out}: {kind}, tested in a separate process: radii differ from our predictions by {largest:.1e} at most")
    print(f"{description_path(out)}: description of inputs and outputs")


def describe(trained: Any, kind: str) -> dict[str, Any]:
    """Return the description that a user of the export needs."""
    names = [tensor.name.split(":")[0] for tensor in trained.inputs]
    inputs: dict[str, Any] = {
        "flux": {
            "shape": ["batch", *trained.inputs[names.index("flux")].shape[1:]],
            "dtype": "float32",
            "what": "light curves relative to the quiet star, one-minute steps; one channel per wavelength",
            "channels": [*trained.signature.inputs, *(["white light"] if trained.signature.white_light else [])],
        }
    }
    if "star" in names:
        units = [f"{parameter.name} ({parameter.unit})" for parameter in STAR_PARAMETERS]
        inputs["star"] = {"shape": ["batch", len(units)], "dtype": "float32", "what": units}
    radii = {"shape": ["batch", len(trained.targets)], "what": "Rp/Rs", "wavelengths": list(trained.targets)}
    return {"format": kind, "run": trained.path.name, "model": str(trained.configuration["model"]), "inputs": inputs,
            "output": radii}  # fmt: skip


if __name__ == "__main__":
    run_command(main)
