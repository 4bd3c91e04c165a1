"""A data set written planet by planet, which survives any interruption.

    rows of each planet ── plan_shards ──▶ shard names, each with its fold and planets: fixed before the first byte
    planets, in that order ── DatasetWriter ──▶ fold-3-00002.tfrecord (temporary name, fsync, rename)
                                                fold-3-00002.tfrecord.npz, .json   (sums; the shard's commit)
    all shards committed ── finish ──▶ statistics.npz, manifest.json (the data set's commit); the small files go

A run that was stopped goes on after its last committed shard, and ends with the same bytes as an unbroken one. Where
it overwrites a data set it writes beside that (`folder.py`), and takes its place when complete.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from ariel_tf.core import resources
from ariel_tf.core.atomic_files import replacing, require_utf8, sha256
from ariel_tf.core.errors import ArielError, DataError
from ariel_tf.core.sealed_json import unsealed, write_sealed
from ariel_tf.data.dataset_folder import claim, clean, install, json_or_none, lock
from ariel_tf.data.manifest import SCHEMA, SHARD_BYTES, Manifest, Shard, Sums
from ariel_tf.data.shards import BYTES_A_ROW, OpenShard, PlannedShard, plan_shards
from ariel_tf.planet import Planet, planet_faults


def dead_bands(planet: Planet) -> list[dict[str, Any]]:
    """The manifest's entry for a planet with bands without noise, in a list that is empty for other planets."""
    wavelengths = planet.dead_bands
    return [{"planet": planet.number, "wavelengths": wavelengths}] if wavelengths else []


@dataclass(frozen=True)
class _Committed:
    """A finished shard; None where every planet of it was left out."""

    shard: Shard | None
    skipped: list[dict[str, str]]
    dead_bands: list[dict[str, Any]]


class DatasetWriter:
    """Writes one data set, planet by planet, in the order of `pending`; a context manager.

    Args:
        folder: made if absent; held by one writer at a time.
        rows: observations of each planet, all that will be added.
        labelled: whether the planets have targets: all, or none.
        fold_seed, shard_bytes: see `plan_shards`.
        settings: JSON-able; an unfinished run of other settings is not continued.
        inputs: for each planet a text that changes when what it is made from changes: its shard is then redone.
        skip_bad: whether an earlier run's shard may be kept from which something was left out.
        overwrite: whether a data set that lies there may go: a finished one when this one is complete, not before.

    Raises:
        UsageError: the folder holds another data set, or files of another program under a data set's names, or
            another process writes into it.
    """

    def __init__(
        self,
        folder: Path,
        rows: Mapping[int, int],
        *,
        labelled: bool,
        fold_seed: int,
        shard_bytes: int = SHARD_BYTES,
        settings: Mapping[str, Any] | None = None,
        inputs: Mapping[int, str] | None = None,
        skip_bad: bool = False,
        overwrite: bool = False,
    ):
        require_utf8(folder)
        self.folder = folder
        self.rows = dict(rows)
        self.labelled = labelled
        self.fold_seed = fold_seed
        self.plan = plan_shards(rows, fold_seed, shard_bytes)
        self.inputs = inputs or {}
        self.skip_bad = skip_bad
        self.overwrite = overwrite
        self.faults: list[str] = []
        planets = {str(planet): count for planet, count in sorted(rows.items())}
        self._state = {
            "schema": SCHEMA,
            "labelled": labelled,
            "fold_seed": fold_seed,
            "shard_bytes": shard_bytes,
            "settings": dict(settings or {}),
            "planets": planets,
        }
        self._committed: dict[str, _Committed] = {}
        self._queue: list[PlannedShard] = []
        # The shard being written: its planets still to come, what was left out of it, whether all of it was sound.
        self._open: OpenShard | None = None
        self._expected: list[int] = []
        self._skipped: list[dict[str, str]] = []
        self._dead_bands: list[dict[str, Any]] = []
        self._sound = True

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            stack.callback(os.close, lock(self.folder))
            self._work = claim(self.folder, self._state, self.overwrite)
            for planned in self.plan:
                committed = self._read_commit(planned)
                if committed is None:
                    self._queue.append(planned)
                else:
                    self._committed[planned.name] = committed
            self._check_space()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_) -> None:
        with self._stack:
            if self._open is not None:
                self._open.abandon()

    @property
    def pending(self) -> list[int]:
        """Planets still to be added, in this order."""
        return [planet for shard in self._queue for planet in shard.planets]

    def add(
        self, number: int, planet: Planet | None, skipped: Sequence[dict[str, str]] = (), faults: Sequence[str] = ()
    ) -> None:
        """Add the next pending planet; its shard is written and committed with its last one.

        Args:
            number: the planet's.
            planet: None when nothing of it can be used.
            skipped: {"file", "fault"} of what was left out on request.
            faults: what is wrong with it. Such a shard is not kept, and `finish` will refuse.
        """
        if self._open is None:
            self._open, self._sound, self._skipped = OpenShard(self._work, self._queue[0]), True, []
            self._dead_bands = []
            self._expected = list(self._queue.pop(0).planets)
        expected = self._expected.pop(0)
        if number != expected:
            raise ValueError(f"planets must come in the planned order. Expected: {expected}. Received: {number}")
        faults = list(faults) or ([] if planet is None else self._planet_faults(planet))
        self.faults += faults
        self._skipped += skipped
        self._sound &= not faults
        if planet is not None and self._sound:
            self._open.add(planet)
            self._dead_bands += dead_bands(planet)
        if not self._expected:
            self._commit(self._open)
            self._open = None

    def _commit(self, shard: OpenShard) -> None:
        if not self._sound:
            shard.abandon()
            return
        committed = _Committed(shard.close(), self._skipped, self._dead_bands)
        sums = shard.sums.to_bytes()
        with replacing(f"{shard.path}.npz") as temporary:
            temporary.write_bytes(sums)
        page = {
            "inputs": self._digest(shard.planned),
            "shard": None if committed.shard is None else asdict(committed.shard),
            "skipped": self._skipped,
            "dead_bands": self._dead_bands,
            "sums_sha256": hashlib.sha256(sums).hexdigest(),
        }
        write_sealed(Path(f"{shard.path}.json"), page)
        self._committed[shard.planned.name] = committed

    def _planet_faults(self, planet: Planet) -> list[str]:
        if planet.labelled != self.labelled:
            return [f"planet {planet.number:04d}: expected {'a' if self.labelled else 'no'} target"]
        return planet_faults(planet)

    def finish(self, source: Mapping[str, Any], skipped: Sequence[dict[str, str]] = ()) -> Manifest:
        """Write the manifest, which makes the folder a data set.

        Args:
            source: where the planets came from, for people.
            skipped: {"file", "fault"} of what was left out before any planet was read.

        Raises:
            DataError: some planet was faulty, or none was left; the faults are listed.
        """
        if self.faults:
            raise DataError(f"{len(self.faults)} faults were found, so no data set was written", self.faults)
        if self._open is not None or self._queue:
            raise ValueError(f"not all planets were added. Received: none of {self.pending[:3]}...")
        parts = [self._committed[planned.name] for planned in self.plan]
        sums = Sums()
        for planned in self.plan:  # in this order always, so that the last digits are always the same
            path = self._work / f"{planned.name}.npz"
            sums.merge(Sums.read(path))
        shards = [part.shard for part in parts if part.shard is not None]
        if not shards:
            raise DataError("no planet is left to write: all were left out")
        left = {planet for shard in shards for planet in shard.planets}
        manifest = Manifest(
            source=dict(source),
            labelled=self.labelled,
            fold_seed=self.fold_seed,
            shards=shards,
            sums=sums,
            skipped=[*skipped, *(fault for part in parts for fault in part.skipped)],
            dropped=sorted(self.rows.keys() - left),
            dead_bands=sorted((entry for part in parts for entry in part.dead_bands), key=lambda one: one["planet"]),
        )
        manifest.write(self._work)
        if self._work == self.folder:
            clean(self.folder, manifest)
        else:
            install(self.folder)
        return manifest

    def wrote(self, manifest: Manifest, source: Mapping[str, Any]) -> bool:
        """Whether a complete data set is what this writer would write, of the same source.

        Args:
            manifest: of the data set.
            source: as for `finish`.
        """
        dropped, left_out = {*manifest.dropped}, bool(manifest.skipped)
        planned = [(shard, [planet for planet in shard.planets if planet not in dropped]) for shard in self.plan]
        planned = [(shard, planets) for shard, planets in planned if planets]
        return (
            (manifest.labelled, manifest.fold_seed, manifest.source) == (self.labelled, self.fold_seed, dict(source))
            and (self.skip_bad or not left_out)
            and {*manifest.planets, *dropped} == self.rows.keys()
            and [(shard.name, planets) for shard, planets in planned] == [(s.name, s.planets) for s in manifest.shards]
            and (left_out or manifest.rows == sum(self.rows.values()))
        )

    def _check_space(self) -> None:
        rows = [self.rows[planet] for planet in self.pending]
        needed = sum(rows) * BYTES_A_ROW
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise ArielError(
                f"{self.folder}: {resources.format_bytes(needed)} are needed, only "
                f"{resources.format_bytes(free)} are free"
            )

    def _digest(self, planned: PlannedShard) -> str:
        made_from = [[planet, self.rows[planet], self.inputs.get(planet, "")] for planet in planned.planets]
        return hashlib.sha256(json.dumps(made_from).encode()).hexdigest()

    def _read_commit(self, planned: PlannedShard) -> _Committed | None:
        """An earlier run's shard, if every byte of it is still as it was committed."""
        path = self._work / planned.name
        page = json_or_none(Path(f"{path}.json"))
        if not isinstance(page, dict) or page.get("inputs") != self._digest(planned):
            return None
        try:
            page = unsealed(page, path)
            shard = Shard(**page["shard"]) if page["shard"] else None
            sums = Path(f"{path}.npz").read_bytes()
            if hashlib.sha256(sums).hexdigest() != page["sums_sha256"] or (page["skipped"] and not self.skip_bad):
                return None
            if shard is not None and (shard.faults() or shard.name != planned.name or sha256(path) != shard.sha256):
                return None
            return _Committed(shard, list(page["skipped"]), list(page["dead_bands"]))
        except (KeyError, TypeError, FileNotFoundError, DataError):
            return None
