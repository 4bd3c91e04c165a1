"""Shards that are committed: the page beside each while a data set is written, and the data set that they all make.

fold-3-00002.tfrecord         a shard
fold-3-00002.tfrecord.npz     its sums
fold-3-00002.tfrecord.json    its page, written last: the commit
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
    """The manifest's entry for a planet with bands without noise, in a list that is empty for other planets."""
    wavelengths = planet.dead_bands
    return [{"planet": planet.number, "wavelengths": wavelengths}] if wavelengths else []


@dataclass(frozen=True)
class Commit:
    """A shard that is complete.

    Attributes:
        shard: None where every planet of it was left out.
        skipped: {"file", "fault"} of what was left out.
        dead_bands: as of the manifest.
        sums_sha256: of the file of its sums.
    """

    shard: Shard | None
    skipped: list[dict[str, str]]
    dead_bands: list[dict[str, Any]]
    sums_sha256: str

    def page(self, inputs: str) -> dict[str, Any]:
        """The content of its page.

        Args:
            inputs: digest of what the shard was made from.
        """
        shard = None if self.shard is None else asdict(self.shard)
        return {"inputs": inputs, **asdict(self), "shard": shard}

    @classmethod
    def of_page(cls, page: Any, planned: PlannedShard, inputs: str, skip_bad: bool) -> Self | None:
        """The commit that a page records; None where it is damaged, or of other files or another plan.

        Args:
            page: as read; anything.
            planned: the shard.
            inputs: digest of what it is made from now.
            skip_bad: whether something may have been left out.
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
        """Whether these are the bytes of the file of its sums."""
        return hashlib.sha256(content).hexdigest() == self.sums_sha256


def inputs_digest(planned: PlannedShard, rows: Mapping[int, int], stamps: Mapping[int, str]) -> str:
    """A text that changes when what a shard is made from changes.

    Args:
        planned: the shard.
        rows: observations of each of its planets.
        stamps: of its planets, where there are some.
    """
    made_from = [[planet, rows[planet], stamps.get(planet, "")] for planet in planned.planets]
    return hashlib.sha256(json.dumps(made_from).encode()).hexdigest()


def whole(commits: Sequence[Commit], sums: Iterable[Sums], planets: Iterable[int], **facts: Any) -> Manifest:
    """The manifest of all committed shards.

    Args:
        commits: of all planned shards, in the plan's order.
        sums: theirs, in the same order, so that the last digits are always the same.
        planets: of the plan.
        facts: `source`, `labelled`, `fold_seed` of the manifest, and `skipped` before any planet was read.

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
    """The sums of planned shards, one after another."""
    return (Sums.read(folder / f"{planned.name}.npz") for planned in plan)
