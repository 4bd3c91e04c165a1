"""Pretrained models: each a Keras model with a card beside it, verified when it is used.

NAME.keras     flux [batch, 300, 55], star [batch, 6] to radius, sigma, impact
NAME.json      its card: description, training, scores, and the SHA-256 of the model

One is included in the package, in ariel_tf/pretrained, and is used by its name; `python -m ariel_tf.pretrain FOLDER`
makes others, which are used by FOLDER or by the path of the .keras file.
"""

from pathlib import Path
from typing import Any

from ariel_tf.core.atomic_files import read_json, sha256
from ariel_tf.core.errors import DataError, UsageError

FOLDER = Path(__file__).resolve().parents[1] / "pretrained"
DEFAULT = "transit-joint"


def names() -> list[str]:
    """Return the names of the models included in the package."""
    return sorted(path.stem for path in FOLDER.glob("*.keras"))


def is_shipped(path: Path) -> bool:
    """Whether a path names a model included in the package rather than a folder or file of the user."""
    return str(path) in names() and not path.exists()


def is_pretrained(path: Path) -> bool:
    """Whether a path names a pretrained model: one included in the package, a folder of `pretrain`, or a file of it."""
    return is_shipped(path) or bool(_found(path))


def _found(path: Path) -> list[Path]:
    """Return the models with a card that a path of the user names."""
    if path.suffix == ".keras":
        return [path] if path.is_file() and path.with_suffix(".json").is_file() else []
    if not path.is_dir() or (path / "config.json").exists():
        return []
    return sorted(file for file in path.glob("*.keras") if file.with_suffix(".json").is_file())


def locate(path: Path) -> Path:
    """Return the file of the pretrained model that a path names.

    Raises:
        UsageError: the folder contains several models.
    """
    if is_shipped(path):
        return FOLDER / f"{path}.keras"
    found = _found(path)
    if len(found) > 1:
        raise UsageError(
            f"{path}: expected the file of one model. The folder contains {', '.join(file.name for file in found)}."
        )
    return found[0]


def card(path: Path) -> dict[str, Any]:
    """Return the card of the model that a path names.

    Raises:
        DataError: the card is damaged.
    """
    return read_json(locate(path).with_suffix(".json"), dict)


def verified(path: Path) -> Path:
    """Return the file of the model that a path names if it matches its card.

    Raises:
        DataError: it was changed.
    """
    file = locate(path)
    if sha256(file) != card(path).get("sha256"):
        remedy = "install ariel_tf again" if is_shipped(path) else "repeat the command that made it"
        raise DataError(f"{file}: damaged or changed since it was made; {remedy}.")
    return file
