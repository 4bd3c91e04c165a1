"""Committed shards of a data set that is being written: a JSON file beside each shard, and the manifest of all.

fold-3-00002.tfrecord         a shard
fold-3-00002.tfrecord.npz     its sums
fold-3-00002.tfrecord.json    its planets, size and checksum; written last, so that it commits the shard
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from ariel_tf.core.errors import DataError
from ariel_tf.core.sealed_json import unsealed
from ariel_tf.data.manifest import Manifest, Shard, Sums
from ariel_tf.data.shards import PlannedShard
from ariel_tf.planet import Planet


def dead_bands(planet: Planet) -> list[dict[str, Any]]:
    """Return the manifest's entry for a planet with noise-free bands, as a list; an empty list for other planets."""
    wavelengths = planet.dead_bands
    return [{"planet": planet.number, "wavelengths": wavelengths}] if wavelengths else []


@dataclass(frozen=True)
class Commit:
    """A shard that is complete.

    Attributes:
        shard: entry of the manifest; None if every planet of the shard was left out.
        skipped: {"file", "fault"} of what was left out.
        dead_bands: planets with noise-free bands, as in the manifest.
        sums_sha256: SHA-256 of the file with its sums.
    """

    shard: Shard | None
    skipped: list[dict[str, str]]
    dead_bands: list[dict[str, Any]]
    sums_sha256: str

    def page(self, inputs: str) -> dict[str, Any]:
        """Return the content of the shard's page.

        Args:
            inputs: digest of what the shard was made from.
        """
        shard = None if self.shard is None else asdict(self.shard)
        return {"inputs": inputs, **asdict(self), "shard": shard}

    @classmethod
    def of_page(cls, page: Any, planned: PlannedShard, inputs: str, skip_bad: bool) -> Self | None:
        """Return the commit that a page records; None if the page is damaged or describes other files or another plan.

        Args:
            page: JSON value as read, of any type.
            planned: the shard.
            inputs: digest of the shard's current inputs.
            skip_bad: whether bad files may have been left out.
        """
        if not isinstance(page, dict) or page.get("inputs") != inputs:
            return None
        try:
            page = unsealed(page, planned.name)
            shard = Shard(**page["shard"]) if page["shard"] else None
            if page["skipped"] and not skip_bad:
                return None
            if shard is not None and (shard.faults() or shard.name != planned.name):
                return None
            return cls(shard, list(page["skipped"]), list(page["dead_bands"]), page["sums_sha256"])
        except (KeyError, TypeError, DataError):
            return None

    def are_sums(self, content: bytes) -> bool:
        """Whether these bytes are those of the shard's file of sums."""
        return hashlib.sha256(content).hexdigest() == self.sums_sha256


def inputs_digest(planned: PlannedShard, rows: Mapping[int, int], stamps: Mapping[int, str]) -> str:
    """Return a digest that changes when the inputs of a shard change.

    Args:
        planned: the shard.
        rows: number of observations of each planet.
        stamps: for some planets, a text that changes when their input files change.
    """
    made_from = [[planet, rows[planet], stamps.get(planet, "")] for planet in planned.planets]
    return hashlib.sha256(json.dumps(made_from).encode()).hexdigest()


def whole(commits: Sequence[Commit], sums: Iterable[Sums], planets: Iterable[int], **facts: Any) -> Manifest:
    """Return the manifest of all committed shards.

    Args:
        commits: commits of all planned shards, in the plan's order.
        sums: sums of these shards in the same order, so that rounding is always the same.
        planets: planets of the plan.
        facts: `source`, `labelled` and `fold_seed` of the manifest, and `skipped`, the files that were left out before
            any planet was read.

    Raises:
        DataError: no planet is left.
    """
    total = Sums()
    for its in sums:
        total.merge(its)
    shards = [commit.shard for commit in commits if commit.shard is not None]
    if not shards:
        raise DataError("no planet is left to write: all were left out")
    left = {planet for shard in shards for planet in shard.planets}
    skipped = [*facts.pop("skipped"), *(fault for commit in commits for fault in commit.skipped)]
    entries = (entry for commit in commits for entry in commit.dead_bands)
    return Manifest(
        shards=shards,
        sums=total,
        skipped=skipped,
        dropped=sorted({*planets} - left),
        dead_bands=sorted(entries, key=lambda entry: entry["planet"]),
        **facts,
    )


def read_sums(folder: Path, plan: Iterable[PlannedShard]) -> Iterable[Sums]:
    """Yield the sums of planned shards, in order."""
    return (Sums.read(folder / f"{planned.name}.npz") for planned in plan)
