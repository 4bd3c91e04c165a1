"""Models that come with the package: each a Keras model and a card beside it, verified when it is used.

ariel_tf/pretrained/transit-joint.keras    flux [batch, 300, 55], star [batch, 6] to radius, sigma, impact
                    transit-joint.json     what it is, how it was trained, its scores, the SHA-256 of the model
"""

from pathlib import Path
from typing import Any

from ariel_tf.core.atomic_files import read_json, sha256
from ariel_tf.core.errors import DataError

FOLDER = Path(__file__).resolve().parents[1] / "pretrained"
DEFAULT = "transit-joint"


def names() -> list[str]:
    """The names of the models that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.keras"))


def is_shipped(path: Path) -> bool:
    """Whether a path names a model that comes with the package, and no folder or file of the user's."""
    return str(path) in names() and not path.exists()


def card(name: str) -> dict[str, Any]:
    """The card of a model.

    Raises:
        DataError: the card is damaged.
    """
    return read_json(FOLDER / f"{name}.json", dict)


def verified(name: str) -> Path:
    """The file of a model, if it is the one that its card describes.

    Raises:
        DataError: it was changed.
    """
    path = FOLDER / f"{name}.keras"
    if sha256(path) != card(name).get("sha256"):
        raise DataError(f"{path}: damaged or changed since it was made; install ariel_tf again.")
    return path
