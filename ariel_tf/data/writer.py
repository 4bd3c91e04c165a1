"""Write a data set planet by planet, with recovery from any interruption.

    rows of each planet ── plan_shards ──▶ shard names, each with its fold and planets: fixed before the first byte
    planets, in that order ── DatasetWriter ──▶ fold-3-00002.tfrecord (temporary name, fsync, rename)
                                                fold-3-00002.tfrecord.npz, .json   (sums; the shard's commit)
    all shards committed ── finish ──▶ statistics.npz, manifest.json (the data set's commit); small files removed

A stopped run continues after its last committed shard and produces the same bytes as an uninterrupted one. If it
overwrites a data set it is written beside that one (`dataset_folder.py`), and replaces it when complete.
"""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from ariel_tf.core import resources
from ariel_tf.core.atomic_files import replacing, require_utf8, sha256
from ariel_tf.core.errors import ArielError, DataError
from ariel_tf.core.sealed_json import write_sealed
from ariel_tf.data import commits
from ariel_tf.data.commits import Commit
from ariel_tf.data.dataset_folder import claim, clean, install, json_or_none, lock
from ariel_tf.data.manifest import SCHEMA, SHARD_BYTES, Manifest
from ariel_tf.data.parts import Part
from ariel_tf.data.shards import BYTES_A_ROW, OpenShard, PlannedShard, plan_shards
from ariel_tf.planet import Planet, planet_faults


class DatasetWriter:
    """Writes one data set, planet by planet, in the order of `pending`; a context manager.

    Args:
        folder: created if necessary; held by one writer at a time.
        rows: observations of each planet that will be added.
        labelled: whether the planets have targets: all, or none.
        fold_seed, shard_bytes: see `plan_shards`.
        settings: JSON-compatible; an unfinished run with other settings is not continued.
        inputs: for each planet a text that changes when its input changes; its shard is then written again.
        skip_bad: whether to keep an earlier run's shard from which something was left out.
        overwrite: whether an existing data set may be replaced: a finished one when this one is complete, not before.
        part: part of the shards, if several machines write one data set; never with `overwrite`. Only a writer of all
            parts writes the manifest.

    Attributes:
        state: JSON-compatible; an unfinished data set is continued only if it was begun with the same state.

    Raises:
        UsageError: the folder contains another data set, or files of another program under a data set's names, or
            another process is writing there.
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
        part: Part | None = None,
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
        self.part = part
        self.faults: list[str] = []
        planets = {str(planet): count for planet, count in sorted(rows.items())}
        self.state = {
            "schema": SCHEMA,
            "labelled": labelled,
            "fold_seed": fold_seed,
            "shard_bytes": shard_bytes,
            "settings": dict(settings or {}),
            "planets": planets,
        }
        self._committed: dict[str, Commit] = {}
        self._queue: list[PlannedShard] = []
        # The shard being written: its remaining planets, what was left out of it, whether all of it was valid.
        self._open: OpenShard | None = None
        self._expected: list[int] = []
        self._skipped: list[dict[str, str]] = []
        self._dead_bands: list[dict[str, Any]] = []
        self._sound = True

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            if self.part is None:
                stack.callback(os.close, lock(self.folder))
                self._work = claim(self.folder, self.state, self.overwrite)
            else:
                for handle in self.part.claim(self.folder, self.state):
                    stack.callback(os.close, handle)
                self._work = self.folder
            for planned in self.own:
                committed = self._read_commit(planned)
                if committed is None:
                    self._queue.append(planned)
                else:
                    self._committed[planned.name] = committed
            self._check_space()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        with self._stack:
            if self._open is not None:
                self._open.abandon()

    @property
    def own(self) -> list[PlannedShard]:
        """Return the shards that this writer writes, unless an earlier run has."""
        return self.plan if self.part is None else self.part.of(self.plan)

    @property
    def own_rows(self) -> int:
        """Return the observations in the shards of this writer, including those written by earlier runs."""
        return sum(self.rows[planet] for shard in self.own for planet in shard.planets)

    @property
    def missing(self) -> list[str]:
        """Return the names of the shards of the whole plan that no run has committed yet."""
        return [planned.name for planned in self.plan if not (self._work / f"{planned.name}.json").is_file()]

    @property
    def pending(self) -> list[int]:
        """Return the planets still to be added, in this order."""
        return [planet for shard in self._queue for planet in shard.planets]

    def add(
        self, number: int, planet: Planet | None, skipped: Sequence[dict[str, str]] = (), faults: Sequence[str] = ()
    ) -> None:
        """Add the next pending planet; its shard is written and committed with its last planet.

        Args:
            number: number of the planet.
            planet: None if nothing of it can be used.
            skipped: {"file", "fault"} of what was left out on request.
            faults: its faults. Such a shard is not kept, and `finish` will refuse.
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
            self._dead_bands += commits.dead_bands(planet)
        if not self._expected:
            self._commit(self._open)
            self._open = None

    def _commit(self, shard: OpenShard) -> None:
        if not self._sound:
            shard.abandon()
            return
        sums = shard.sums.to_bytes()
        committed = Commit(shard.close(), self._skipped, self._dead_bands, hashlib.sha256(sums).hexdigest())
        with replacing(f"{shard.path}.npz") as temporary:
            temporary.write_bytes(sums)
        write_sealed(Path(f"{shard.path}.json"), committed.page(self._digest(shard.planned)))
        self._committed[shard.planned.name] = committed

    def _planet_faults(self, planet: Planet) -> list[str]:
        if planet.labelled != self.labelled:
            return [f"planet {planet.number:04d}: expected {'a' if self.labelled else 'no'} target"]
        return planet_faults(planet)

    def finish(self, source: Mapping[str, Any], skipped: Sequence[dict[str, str]] = ()) -> Manifest:
        """Write the manifest, which makes the folder a data set.

        Args:
            source: origin of the planets, for people.
            skipped: {"file", "fault"} of what was left out before any planet was read.

        Raises:
            DataError: some planet was faulty, or none was left; the faults are listed.
        """
        if self.faults:
            raise DataError(f"{len(self.faults)} faults were found, so no data set was written", self.faults)
        if self._open is not None or self._queue:
            raise ValueError(f"not all planets were added. Received: none of {self.pending[:3]}...")
        manifest = commits.whole(
            [self._committed[planned.name] for planned in self.plan],
            commits.read_sums(self._work, self.plan),
            self.rows,
            source=dict(source),
            labelled=self.labelled,
            fold_seed=self.fold_seed,
            skipped=skipped,
        )
        manifest.write(self._work)
        if self._work == self.folder:
            clean(self.folder, manifest)
        else:
            install(self.folder)
        return manifest

    def wrote(self, manifest: Manifest, source: Mapping[str, Any]) -> bool:
        """Whether a complete data set is what this writer would write, from the same source.

        Args:
            manifest: manifest of the data set.
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
        return commits.inputs_digest(planned, self.rows, self.inputs)

    def _read_commit(self, planned: PlannedShard) -> Commit | None:
        """Return an earlier run's shard, if every byte of it is as committed."""
        path = self._work / planned.name
        page = json_or_none(Path(f"{path}.json"))
        committed = Commit.of_page(page, planned, self._digest(planned), self.skip_bad)
        if committed is None:
            return None
        try:
            sums = Path(f"{path}.npz").read_bytes()
            shard = committed.shard
            sound = committed.are_sums(sums) and (shard is None or sha256(path) == shard.sha256)
        except FileNotFoundError:
            return None
        return committed if sound else None
