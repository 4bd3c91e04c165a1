"""A data set's manifest: its shards, their planets and checksums, folds, and sums for statistics.

    manifest.json    JSON: schema, source, folds, shards; written last, it is the commit
    statistics.npz   count, sum, sum of squares, min and max of flux, parameters and radii in each fold
    fold-3-00002.tfrecord ...

The manifest gives the number of rows before a shard is opened, and the mean and standard deviation of any choice of
training folds without a pass over the data.
"""

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from ariel_tf.core.atomic_files import LARGEST_JSON, parse_json, read_bounded, replacing, require_utf8
from ariel_tf.core.errors import DataError
from ariel_tf.core.sealed_json import unsealed, write_sealed
from ariel_tf.data.statistics import LARGEST as LARGEST_SUMS
from ariel_tf.data.statistics import Statistics, Sums

__all__ = ["Manifest", "Shard", "Statistics", "Sums"]

SCHEMA = 1
MANIFEST_NAME = "manifest.json"
STATISTICS_NAME = "statistics.npz"
STATE_NAME = "unfinished.json"  # exists while a data set is being written
# Large enough to stream from a disk or a bucket at full speed, small enough to shuffle and to distribute over readers.
SHARD_BYTES = 192 * 2**20
SHARD_NAME = re.compile(r"fold-\d-\d{5}\.tfrecord", re.ASCII)


@dataclass(frozen=True)
class Shard:
    """One TFRecord file: one record per planet, all of one fold. `rows` counts observations."""

    name: str
    fold: int
    planets: list[int]
    rows: int
    bytes: int
    sha256: str

    def faults(self) -> list[str]:
        """Return what does not match the schema; empty if valid."""
        kinds = {"name": str, "fold": int, "rows": int, "bytes": int, "sha256": str}
        wrong = [key for key, kind in kinds.items() if type(getattr(self, key)) is not kind]
        planets = self.planets
        if wrong or not isinstance(planets, list) or not planets or any(type(planet) is not int for planet in planets):
            return [f"a shard's {wrong[0] if wrong else 'planets'} has another type"]
        if not SHARD_NAME.fullmatch(self.name) or self.fold != int(self.name[5]):
            return [f"shard name {self.name!r} or its fold {self.fold!r} is not like fold-3-00002.tfrecord, 3"]
        if self.rows < 1 or self.bytes < 1 or not re.fullmatch("[0-9a-f]{64}", self.sha256):
            return [f"{self.name} has impossible rows, bytes or sha256"]
        return []


@dataclass
class Manifest:
    """Everything about a data set except its records.

    Attributes:
        source: origin of the planets: JSON-compatible, for people; not part of the fingerprint.
        labelled: whether every planet has its target (a training set), or none has (a test set).
        fold_seed: seed of `folds.assign_folds` over `planets` and `dropped` together.
        shards: in the order of their names.
        skipped: {"file", "fault"} of what was left out on request.
        dropped: planets of which nothing was left.
        dead_bands: {"planet", "wavelengths"} of planets with bands without noise; a warning, not part of the
            fingerprint.
        sums: see `Sums`.
    """

    source: dict[str, Any]
    labelled: bool
    fold_seed: int
    shards: list[Shard]
    sums: Sums
    skipped: list[dict[str, str]] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)
    dead_bands: list[dict[str, Any]] = field(default_factory=list)
    schema: int = SCHEMA

    @property
    def planets(self) -> dict[int, int]:
        """Return {planet: fold}, ascending by planet."""
        return dict(sorted((planet, shard.fold) for shard in self.shards for planet in shard.planets))

    @property
    def rows(self) -> int:
        """Return the number of observations in all shards."""
        return sum(shard.rows for shard in self.shards)

    @property
    def fingerprint(self) -> str:
        """Return the SHA-256 over what defines the data: independent of the folder and of how it was made."""
        defining = {
            "schema": self.schema,
            "labelled": self.labelled,
            "fold_seed": self.fold_seed,
            "shards": [asdict(shard) for shard in self.shards],
        }
        return hashlib.sha256(json.dumps(defining, sort_keys=True).encode()).hexdigest()

    def write(self, folder: Path | str) -> None:
        """Write statistics.npz, then manifest.json, which commits the data set."""
        folder = Path(folder)
        sums = self.sums.to_bytes()
        with replacing(folder / STATISTICS_NAME) as temporary:
            temporary.write_bytes(sums)
        page = {
            "schema": self.schema,
            "source": self.source,
            "labelled": self.labelled,
            "planets": len(self.planets),
            "observations": self.rows,
            "fold_seed": self.fold_seed,
            "fingerprint": self.fingerprint,
            "statistics_sha256": hashlib.sha256(sums).hexdigest(),
            "skipped": self.skipped,
            "dropped": self.dropped,
            **({"dead_bands": self.dead_bands} if self.dead_bands else {}),
            "shards": [asdict(shard) for shard in self.shards],
        }
        write_sealed(folder / MANIFEST_NAME, page)

    @classmethod
    def read(cls, folder: Path | str) -> Self:
        """Return the manifest of a data folder.

        Raises:
            DataError: it is missing, or it or its statistics are damaged; names the file and the fault.
        """
        require_utf8(folder)
        folder = Path(folder)
        path = folder / MANIFEST_NAME
        if not path.is_file():
            if (folder / STATE_NAME).is_file():
                raise DataError(f"{folder} holds an unfinished data set; finish it with the command that began it")
            if folder.suffix in (".pkl", ".pickle") and folder.is_file():
                raise DataError(
                    f"{folder}: expected a folder, found a pickle; convert it with "
                    f"`python -m pipelines.convert --pickle {folder} --out DATA`"
                )
            raise DataError(
                f"expected a data set with {MANIFEST_NAME} in {folder}, found none; make one with "
                "`python -m pipelines.convert` or `python -m pipelines.simulate`"
            )
        statistics = folder / STATISTICS_NAME
        if not statistics.is_file():
            raise DataError(f"{statistics}: expected the sums of the data set beside {MANIFEST_NAME}, found no file")
        return cls.from_bytes(read_bounded(path, LARGEST_JSON), read_bounded(statistics, LARGEST_SUMS), folder)

    @classmethod
    def from_bytes(cls, page: bytes, data: bytes, folder: Path | str) -> Self:
        """Return a manifest from the bytes of both files; `folder` is their origin, for the errors."""
        path, statistics = (f"{folder}/{name}" for name in (MANIFEST_NAME, STATISTICS_NAME))
        manifest, statistics_sha256 = cls._from_page(parse_json(page, path), path)
        if hashlib.sha256(data).hexdigest() != statistics_sha256:
            raise DataError(f"{statistics}: its sha256 differs from the one in {MANIFEST_NAME}; copy or make it anew")
        manifest.sums = Sums.from_bytes(data, statistics)
        return manifest

    @classmethod
    def _from_page(cls, page: Any, path: str) -> tuple[Self, str]:
        kinds = {"schema": int, "source": dict, "labelled": bool, "fold_seed": int, "fingerprint": str}
        kinds |= {"statistics_sha256": str, "skipped": list, "dropped": list, "shards": list}
        for key, kind in kinds.items():
            if not isinstance(page, dict) or type(page.get(key)) is not kind:
                raise DataError(f"{path}: expected {key!r} of type {kind.__name__}, found none")
        if page["schema"] != SCHEMA:
            raise DataError(f"{path}: expected schema {SCHEMA}, received {page['schema']}; convert the data anew")
        try:
            shards = [Shard(**shard) for shard in page["shards"]]
        except TypeError as error:
            raise DataError(f"{path}: expected shards in this schema, received others ({error})") from error
        faults = [fault for shard in shards for fault in shard.faults()]
        if not faults and (not shards or len({shard.name for shard in shards}) < len(shards)):
            faults.append("it lists no shard, or one twice")
        if any(type(planet) is not int for planet in page["dropped"]):
            faults.append("a dropped planet is no number")
        if faults:
            raise DataError(f"{path}: {faults[0]}")
        dead_bands = page.get("dead_bands", [])
        if not isinstance(dead_bands, list) or not all(isinstance(entry, dict) for entry in dead_bands):
            raise DataError(f"{path}: expected 'dead_bands' as a list of planets, received {dead_bands!r:.60}")
        manifest = cls(
            source=page["source"],
            labelled=page["labelled"],
            fold_seed=page["fold_seed"],
            shards=shards,
            sums=Sums(),
            skipped=page["skipped"],
            dropped=page["dropped"],
            dead_bands=dead_bands,
        )
        if manifest.fingerprint != page["fingerprint"]:
            raise DataError(f"{path}: its fingerprint does not fit what it lists; the file was changed or damaged")
        unsealed(page, path)  # source, skipped and dead_bands, which are not part of the fingerprint
        return manifest, page["statistics_sha256"]
