"""Read a `.keras` file from an untrusted source: checked and bounded before Keras parses it.

    metadata.json       small
    config.json         layers of Keras and of this package only, none that reads files or runs its own code
    model.weights.h5    plain numeric arrays, stored completely in this file

Our models are stored uncompressed, so a member much larger than its bytes in the archive, or an array larger than the
file, is not ours. While Keras builds the model, its weights may not exceed the stored ones.
"""

import contextlib
import io
import json
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ariel_tf.challenge import N_STEPS, N_WAVELENGTHS, STAR_NAMES
from ariel_tf.core import user_code
from ariel_tf.core.archives import MOST_EXPANSION, SMALL, refuse_expansion, require_archive
from ariel_tf.core.atomic_files import LARGEST_JSON, parse_json
from ariel_tf.core.errors import ArielError, DataError

STAR = (None, len(STAR_NAMES))
METADATA, CONFIG, WEIGHTS = MEMBERS = ("metadata.json", "config.json", "model.weights.h5")
# A list of 55 models of many layers has a configuration of a few MB.
LARGEST = {METADATA: 1 << 20, CONFIG: LARGEST_JSON}
# Limits on an archive's list of members and on the objects in an HDF5 file.
LARGEST_DIRECTORY, MOST_OBJECTS = 1 << 16, 1_000_000
# Layers that read files, load code or wrap other frameworks; our models do not contain them.
REFUSED_CLASSES = {
    "Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "StringLookup", "IntegerLookup",
    "TextVectorization",
}  # fmt: skip
# Parts of Keras that do not belong to models: downloads, files, settings of the process.
REFUSED_MODULES = {
    "applications", "callbacks", "config", "datasets", "distribution", "export", "legacy", "preprocessing", "saving",
    "utils", "visualization",
}  # fmt: skip
PACKAGE = "ariel_tf>"
# Arguments of layers and initialisers that newer versions of Keras write, and older ones refuse, even if they are None.
NEWER = ("quantization_config", "input_axes", "output_axes")


def load_model(path: Path, source: dict[str, Any] | None = None) -> Any:
    """Load a Keras model, uncompiled.

    Args:
        path: path of the `.keras` file.
        source: `model_source` of its run's configuration; its layers are loaded if the user named their file.

    Raises:
        DataError: not a model of this package, or Keras cannot load it; names the file and what to do.
    """
    import keras

    if not path.is_file():
        raise DataError(f"{path}: expected a Keras model, found no file.")
    version = ""
    try:
        with path.open("rb") as file:
            require_archive(file, str(path), LARGEST_DIRECTORY)
        with zipfile.ZipFile(path) as archive:
            version = _check_members(archive, path, source)
            stored = _check_weights(archive, path)
        with _bounded_weights(stored, path):
            return keras.models.load_model(path, compile=False, safe_mode=True)
    except ArielError:
        raise
    except Exception as error:  # noqa: BLE001  (Keras, zipfile and h5py raise various exceptions for a damaged model)
        raise _refusal(path, version, error) from None


def check_rows(model: Any, path: Path, channels: int, targets: int) -> None:
    """Refuse a model whose inputs or outputs differ from its run's configuration.

    Args:
        model: loaded model.
        path: path of its file, for the message.
        channels: number of light curves that it reads.
        targets: number of wavelengths that it predicts.

    Raises:
        DataError: names both.
    """
    try:
        shapes = {tensor.name.split(":")[0]: tuple(tensor.shape) for tensor in model.inputs}
        flux, star, radii = shapes.pop("flux"), shapes.pop("star", STAR), tuple(model.outputs[0].shape)
        fits = flux[-2:] == (N_STEPS, channels) and len(flux) in (3, 4) and radii == (None, targets)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError):
        fits = False
    if not fits or shapes or star != STAR or len(model.outputs) != 1:
        raise DataError(
            f"{path}: expected a model of flux [{N_STEPS}, {channels}] (and star [{STAR[-1]}]) and of {targets} radii, "
            "as its config.json says, received another; get another copy of it, or train the run again."
        )


def check_pretrained(model: Any, path: Path) -> None:
    """Refuse a model whose inputs or outputs are not those of a pretrained model.

    Args:
        model: loaded model.
        path: path of its file, for the message.

    Raises:
        DataError: it is another model.
    """
    outputs = {"radius": (None, N_WAVELENGTHS), "sigma": (None, N_WAVELENGTHS), "impact": (None, 1)}
    try:
        inputs = {tensor.name.split(":")[0]: tuple(tensor.shape) for tensor in model.inputs}
        received = {name: tuple(tensor.shape) for name, tensor in model.output.items()}
        fits = inputs == {"flux": (None, N_STEPS, N_WAVELENGTHS), "star": STAR} and received == outputs
    except (AttributeError, TypeError):
        fits = False
    if not fits:
        raise DataError(
            f"{path}: expected a model of flux [{N_STEPS}, {N_WAVELENGTHS}] and star [{STAR[-1]}] to radius, sigma and "
            "impact, as `python -m ariel_tf.pretrain` makes, received another."
        )


def _refusal(path: Path, version: str, error: Exception) -> DataError:
    """Return the error for a model that Keras cannot load."""
    import keras

    for cause in (error, error.__cause__, error.__context__):
        if isinstance(cause, DataError):
            return cause
    reason = f"{type(error).__name__}: {_first_line(error)}".removesuffix(": ")
    saved = f", and was saved by Keras {version}" if version else ""
    remedy = "get another copy of it, or train the run again"
    if _release(version) > _release(keras.__version__):
        remedy = f"install Keras {version} or newer"
    return DataError(f"{path}: cannot be loaded by Keras {keras.__version__}{saved} ({reason}); {remedy}.")


def _first_line(error: Exception) -> str:
    return next((line.strip()[:200] for line in str(error).splitlines() if line.strip()), "")


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdecimal() and len(part) < 9 else 0 for part in version.split(".")[:3])


def _check_members(archive: zipfile.ZipFile, path: Path, source: dict[str, Any] | None = None) -> str:
    """Check names and sizes of an archive's members, and the model's configuration; `source` as for `load_model`.

    Returns:
        The version of Keras that saved it; empty if it is not recorded.
    """
    members = archive.infolist()
    if sorted(member.filename for member in members) != sorted(MEMBERS):
        raise DataError(f"{path}: expected a Keras model with {', '.join(MEMBERS)}, received other members.")
    for member in members:
        name = member.filename
        refuse_expansion(f"{path}: {name}", member.file_size, member.compress_size, LARGEST.get(name))
    metadata = parse_json(archive.read(METADATA), f"{path}: {METADATA}", dict)
    _refuse_classes(parse_json(archive.read(CONFIG), f"{path}: {CONFIG}", dict), path, source)
    version = metadata.get("keras_version")
    return version if isinstance(version, str) and len(version) < 30 else ""


def _refuse_classes(configuration: dict[str, Any], path: Path, source: dict[str, Any] | None) -> None:
    """Refuse layers and functions that are neither of a Keras model nor registered by this package or the user."""
    waiting: list[Any] = [configuration]
    own: set[str] | None = None
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, dict):
            waiting.extend(value.values())
            if isinstance(name := value.get("class_name"), str) and not _is_known(value, name):
                own = user_code.own_layers(source) if own is None else own
                if value.get("registered_name") in own:
                    continue
                raise DataError(
                    f"{path}: holds {value.get('module') or ''}.{name}, which no model of this package has; it is "
                    "not loaded, since it could read files or run code of its own. (Layers of a file of yours are "
                    f"loaded with {user_code.ENVIRONMENT}=FILE.)"
                )


def _is_known(value: dict[str, Any], name: str) -> bool:
    module, registered = value.get("module"), value.get("registered_name")
    if isinstance(registered, str) and registered.startswith(PACKAGE):
        return True
    parts = str(module or "keras").split(".")
    own = parts[0] in ("keras", "builtins") and not REFUSED_MODULES & {*parts}
    return own and name not in REFUSED_CLASSES


def _check_weights(archive: zipfile.ZipFile, path: Path) -> int:
    """Check that the weights are plain arrays stored in the file; return their size in bytes."""
    import h5py

    member = archive.getinfo(WEIGHTS)
    plain = member.compress_type == zipfile.ZIP_STORED
    # Seeking in a compressed member would decompress it again each time.
    content = archive.open(member) if plain else io.BytesIO(archive.read(member))
    with content, h5py.File(content, "r") as file:
        return check_arrays(file, f"{path}: {WEIGHTS}", member.file_size)


def check_weights_file(path: Path) -> None:
    """Refuse a checkpoint that contains anything but plain numeric arrays, like `check_arrays`.

    Raises:
        DataError: names the file.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            check_arrays(file, str(path), path.stat().st_size)
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise DataError(f"{path}: expected weights in HDF5 ({_first_line(error)}).") from error


def check_arrays(file: Any, what: str, stored: int) -> int:
    """Refuse an HDF5 file that contains anything but plain numeric arrays, all stored in the file itself.

    Args:
        file: open `h5py.File`.
        what: name of the file, for messages.
        stored: size of the file in bytes.

    Returns:
        The size of all arrays together in bytes.

    Raises:
        DataError: names the offending object.
    """
    import h5py

    total, count, groups = 0, 0, [file]
    while groups:
        group = groups.pop()
        for name in group:
            count += 1
            if count > MOST_OBJECTS:
                raise DataError(f"{what}: expected {MOST_OBJECTS:,} arrays at most.")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise DataError(f"{what}: holds a link, {name}, which could lead to another file.")
            entry = group[name]
            if isinstance(entry, h5py.Group):
                groups.append(entry)
                continue
            if not isinstance(entry, h5py.Dataset) or entry.dtype.kind not in "biuf":
                raise DataError(f"{what}: expected arrays of numbers, received other values in {name}.")
            if entry.external or entry.is_virtual:
                raise DataError(f"{what}: {name} is stored in another file.")
            total += math.prod(entry.shape or ()) * entry.dtype.itemsize
            refuse_expansion(what, total, stored)
    return total


@contextlib.contextmanager
def _bounded_weights(stored: int, path: Path) -> Iterator[None]:
    """Limit the weights of layers built in this block to about the number that the file stores."""
    import keras

    add_weight, added = keras.layers.Layer.add_weight, 0

    def bounded(self: Any, shape: Any = None, *arguments: Any, **options: Any) -> Any:
        nonlocal added
        added += 4 * math.prod(size or 1 for size in (shape or ()))
        if added > SMALL + MOST_EXPANSION * stored:
            raise DataError(f"{path}: its layers have more weights than the file stores; get another copy of it.")
        return add_weight(self, shape, *arguments, **options)

    keras.layers.Layer.add_weight = bounded
    try:
        yield
    finally:
        keras.layers.Layer.add_weight = add_weight


def make_portable(path: Path) -> None:
    """Write a `.keras` file anew so that Keras 3.12.4 loads it too: without arguments that it does not know.

    Args:
        path: file that a newer Keras saved; an argument that is not None is left in it.
    """
    with zipfile.ZipFile(path) as archive:
        members = [(member, archive.read(member)) for member in archive.infolist()]
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in members:
            if member.filename == CONFIG:
                content = json.dumps(_without_newer(json.loads(content))).encode()
            archive.writestr(member, content)


def _without_newer(value: Any) -> Any:
    """Drop the arguments of `NEWER` that are None, in a configuration of any depth."""
    if isinstance(value, dict):
        return {name: _without_newer(part) for name, part in value.items() if name not in NEWER or part is not None}
    return [_without_newer(part) for part in value] if isinstance(value, list) else value
