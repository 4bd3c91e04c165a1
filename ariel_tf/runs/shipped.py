"""Models included in the package: each a Keras model with a card beside it, verified when it is used.

ariel_tf/pretrained/transit-joint.keras    flux [batch, 300, 55], star [batch, 6] to radius, sigma, impact
                    transit-joint.json     description, training, scores, and the SHA-256 of the model
"""

from pathlib import Path
from typing import Any

from ariel_tf.core.atomic_files import read_json, sha256
from ariel_tf.core.errors import DataError

FOLDER = Path(__file__).resolve().parents[1] / "pretrained"
DEFAULT = "transit-joint"


def names() -> list[str]:
    """Return the names of the models included in the package."""
    return sorted(path.stem for path in FOLDER.glob("*.keras"))


def is_shipped(path: Path) -> bool:
    """Whether a path names a model included in the package rather than a folder or file of the user."""
    return str(path) in names() and not path.exists()


def card(name: str) -> dict[str, Any]:
    """Return the card of a model.

    Raises:
        DataError: the card is damaged.
    """
    return read_json(FOLDER / f"{name}.json", dict)


def verified(name: str) -> Path:
    """Return the file of a model if it matches its card.

    Raises:
        DataError: it was changed.
    """
    path = FOLDER / f"{name}.keras"
    if sha256(path) != card(name).get("sha256"):
        raise DataError(f"{path}: damaged or changed since it was made; install ariel_tf again.")
    return path
