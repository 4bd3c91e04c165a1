"""One training: model, data, and run options.

    TrainConfig, RunOptions --opening.open_job--> TrainingJob
    TrainingJob --one_model.train_one-----> RUN: best.keras, scores.json ...
              \\--per_wavelength.train--> RUN/w00 ... w54, one such folder each

`TrainingJob.only` derives the job of one wavelength, or of a group, from a job of several wavelengths.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ariel_tf.config.config_file import ORDER_OF_ROWS
from ariel_tf.config.model_registry import short_name
from ariel_tf.config.run_options import RunOptions
from ariel_tf.config.targets import Targets
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core.atomic_files import read_json
from ariel_tf.core.errors import UsageError
from ariel_tf.data.folds import Folds
from ariel_tf.runs.committed import has_scores
from ariel_tf.runs.domain import star_ranges
from ariel_tf.training import cluster, starting_weights
from ariel_tf.training.strategy import check_batch, strategy_of

if TYPE_CHECKING:
    from ariel_tf.data.sources import Source
    from ariel_tf.models.builder import Built
    from ariel_tf.training.data import TrainingData

# How the rows of an epoch are shuffled: all of them where they are in memory or in arrays, else those of a window.
WHOLE, WINDOWS = "shuffled as a whole", "shuffled in windows"


@dataclass(frozen=True)
class TrainingJob:
    """A training of one model, or of one model for each wavelength of a list.

    Attributes:
        config: resolved configuration.
        source: source that is open for every wavelength that the models read; every fold has planets with known radii.
        options: run options.
        settings: complete settings of the model once it is built; until then those of the configuration.
        begun: shuffling of the rows in the run that is resumed, `WHOLE` or `WINDOWS`; "" for the shuffling that memory
            and arrays allow now.
        also: second source, open like `source`, if the configuration names one.
    """

    config: TrainConfig
    source: "Source"
    options: RunOptions
    settings: Mapping[str, Any] = field(default_factory=dict)
    begun: str = ""
    also: "Source | None" = None

    @property
    def strategy(self) -> Any:
        """Return the `tf.distribute` strategy of the options' devices."""
        return strategy_of(self.options.devices)

    @property
    def identity(self) -> dict[str, Any]:
        """Return the content of `config.json`: equal identities and data give equal models."""
        return self.config.as_json() | {
            "data": self.source.description,
            "settings": dict(self.settings or self.config.settings),
            **self._order_of_rows(),
        }

    @property
    def order(self) -> str:
        """Return the shuffling of the rows, `WHOLE` or `WINDOWS`."""
        return self.begun or self._possible_order()

    def _possible_order(self) -> str:
        """Return the shuffling that memory and arrays allow now; windows are always possible."""
        from ariel_tf.data.dataset import fits_in_memory

        selection = self.config.first.selection("train")
        held = fits_in_memory(self.source, selection, self.options.memory_bytes)
        return WHOLE if held or self.source.mapped(selection) is not None else WINDOWS

    def _order_of_rows(self) -> dict[str, str]:
        """Return the entry of the configuration if the shuffling is not the one that the number of rows determines."""
        from ariel_tf.data.dataset import fits_in_memory

        usual = WHOLE if fits_in_memory(self.source, self.config.first.selection("train")) else WINDOWS
        return {} if self.order == usual else {ORDER_OF_ROWS: self.order}

    @property
    def path(self) -> Path:
        """Return the run folder."""
        return self.options.run or default_path(self.identity, self.source.fingerprint)

    def facts(self) -> dict[str, Any]:
        """Return the data, the amount of data in each role, and the command, for meta.json."""
        started = starting_weights.facts(self.config) if self.config.init_from else {}
        return data_facts(self.source, self.config.folds) | started | {"command": self.options.command}

    def built_with(self, settings: Mapping[str, Any], run: Path | None = None) -> Self:
        """Return the same job with all settings of its built model, and its run folder.

        Args:
            settings: complete settings.
            run: run folder; None for that of the options, or one named after the identity.
        """
        job = dataclasses.replace(self, settings=settings, options=self.options.replace(run=run or self.options.run))
        job = job if self.begun or self.options.overwrite else job._as_begun()
        return dataclasses.replace(job, options=job.options.replace(run=job.path))

    def _as_begun(self) -> Self:
        """Return the job with the shuffling of the run in its folder, whatever memory and arrays allow now.

        Raises:
            UsageError: the rows of that run are shuffled as a whole, which is no longer possible.
        """
        if self._is_begun():
            return self
        possible = self._possible_order()
        other = dataclasses.replace(self, begun=WHOLE if possible == WINDOWS else WINDOWS)
        if not other._is_begun():
            return self
        if other.begun == WHOLE and not has_scores(other.path):
            data = Path(self.source.description)
            arrays = (
                f"make arrays (`python -m pipelines.arrays {data}`) or " if (data / "manifest.json").is_file() else ""
            )
            raise UsageError(
                f"--run {other.path}: its rows are {WHOLE}, and now they are neither in arrays nor fit in --memory "
                f"{self.options.memory}. To resume it, {arrays}give more --memory; another --run, or --overwrite, "
                "starts anew."
            )
        return other

    def _is_begun(self) -> bool:
        """Whether the run folder holds a run whose rows are shuffled like this job's."""
        if not (self.path / "config.json").is_file():
            return False
        recorded = read_json(self.path / "config.json", dict).get(ORDER_OF_ROWS)
        return recorded == self._order_of_rows().get(ORDER_OF_ROWS)

    def only(self, wavelengths: Sequence[int], run: Path) -> Self:
        """Return the job of some wavelengths of a list, in its own run folder; one wavelength gives an ordinary job."""
        targets = Targets.one(wavelengths[0]) if len(wavelengths) == 1 else Targets.each(wavelengths)
        return dataclasses.replace(
            self,
            config=self.config.replace(wavelength=targets),
            options=self.options.replace(run=run, overwrite=False),
        )

    def load(self) -> "TrainingData":
        """Return the rows of one model's training."""
        from ariel_tf.training.data import TrainingData

        memory, windows = self.options.memory_bytes, self.begun == WINDOWS
        rows = TrainingData(self.source, self.config, memory=memory, windows=windows, also=self.also)
        check_batch(self.strategy, self.config.batch_size, rows.count)
        return rows

    def build(self, statistics: Mapping[str, Any], steps: int, settings: Any = None) -> "Built":
        """Return one model, compiled under the strategy.

        Args:
            statistics: statistics of its training rows.
            steps: batches per epoch.
            settings: object that returns the model's settings; None for those of the configuration.
        """
        from ariel_tf.models.builder import build

        with self.strategy.scope():
            start = starting_weights.load(self.config) if self.config.init_from else None
            return build(self.config, statistics, steps * self.config.epochs, settings, start)


def run_folder(job: TrainingJob, shared: bool = False) -> Any:
    """Open the run folder of a job with `cluster.run_folder`."""
    return cluster.run_folder(
        job.strategy, job.path, job.identity, job.source.fingerprint, job.options.overwrite, shared=shared
    )


def data_facts(source: "Source", folds: Folds) -> dict[str, Any]:
    """Return the data, and how much of it has which role."""
    parts = {}
    for role, its in folds._asdict().items():
        planets = sum(fold in its for fold in source.folds.values())
        parts[role] = {"folds": list(its), "planets": planets, "observations": source.observations(its)}
    star = source.statistics(folds.train)["star"]
    return {
        "data": source.description,
        "data_fingerprint": source.fingerprint,
        "folds": parts,
        "trained_on": star_ranges(star.min, star.max),
    }


def default_path(identity: Mapping[str, Any], fingerprint: str) -> Path:
    """Return runs/MODEL-wNN-HASH: equal options and data give the same folder, others a different one."""
    content = json.dumps({**identity, "data": fingerprint}, sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()
    return (
        Path("runs")
        / f"{short_name(identity['model'])}-{Targets.of_run(identity['wavelength']).folder_name}-{digest[:8]}"
    )
