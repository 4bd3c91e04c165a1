"""The configuration of a training: one schema for flags, `--config` files and Python callers, and what follows from it.

A model may have a recipe, that is defaults of its own; `resolve` fills in options that neither the user nor the recipe
sets, from `choices.FALLBACK`. No TensorFlow, so that --help and error messages appear immediately.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self, cast

from pydantic import model_validator

from ariel_tf.challenge import N_WAVELENGTHS
from ariel_tf.config import choices, config_file, model_registry, starting_run
from ariel_tf.config.targets import JOINT
from ariel_tf.config.time_steps import format_steps, parse_steps
from ariel_tf.config.train_options import WHAT, TrainOptions
from ariel_tf.core import schema, user_code
from ariel_tf.core.errors import UsageError
from ariel_tf.core.schema import Schema, option
from ariel_tf.data import remote
from ariel_tf.data.bigquery import address
from ariel_tf.data.folds import N_FOLDS, Folds
from ariel_tf.data.selection import Row, Selection, Signature

Role = Literal["train", "validation", "test"]
SCOPES = {
    "one": f"one wavelength at a time; --wavelength all trains {N_WAVELENGTHS} models",
    "joint": f"all wavelengths together, --wavelength {JOINT}",
}


class TrainConfig(TrainOptions):
    """Options that determine a trained model; equal configurations give equal models.

    Fields of default None are filled in by `resolve`; until then they may hold None.
    """

    @model_validator(mode="after")
    def _check_folds(self) -> Self:
        if shared := set(self.validation_folds) & set(self.test_folds):
            raise UsageError(f"folds {sorted(shared)} are in both --validation-folds and --test-folds.")
        if self.also and self.batch_size is not None and self.batch_size < 2:
            raise UsageError("--also: expected a --batch-size of 2 or more, for rows of both data sets.")
        if not self.train_folds:
            raise UsageError("no fold is left to train on; give fewer --validation-folds and --test-folds.")
        return self

    @property
    def own_rows(self) -> int:
        """Return the number of rows of a batch that come from `data`; the others come from `also`."""
        if not self.also:
            return self.batch_size
        return min(self.batch_size - 1, max(1, round((1 - self.share) * self.batch_size)))

    @property
    def signature(self) -> Signature:
        """Return what the model, or the models of a list of wavelengths together, read and predict."""
        targets = self.wavelength.chosen
        inputs = tuple(range(N_WAVELENGTHS)) if self.channels == "all" else targets
        # From what the run recorded, so that the model's file need not exist.
        unit = self.model_source.get("unit") or model_registry.entry(self.model).unit
        row = cast(Row, unit if unit in model_registry.UNITS else "observation")
        return Signature(targets, inputs, self.channels == "own+white", row)

    def selection(self, role: Role) -> Selection:
        """Return the rows that a training reads; the only place that creates such a selection.

        Args:
            role: purpose of the rows; only training rows are thinned (`every`) and resampled (`bootstrap`).
        """
        folds = getattr(self.folds, role)
        if role != "train":
            return Selection(folds, self.signature)
        return Selection(folds, self.signature, self.every, self.seed if self.bootstrap == "yes" else None)

    @property
    def first(self) -> Self:
        """Return the configuration of one model: of the first wavelength of a list, else this one."""
        return next(iter(self.for_each_wavelength().values())) if self.wavelength.is_list else self

    def for_each_wavelength(self) -> dict[int, Self]:
        """Return the configuration of one model of each wavelength to train in this command."""
        return {one.chosen[0]: self.replace(wavelength=one) for one in self.wavelength.for_each()}

    @property
    def model_name(self) -> str:
        """Return the name of the model without the path of its file."""
        return model_registry.short_name(self.model)

    @property
    def what(self) -> str:
        """Describe what the model predicts."""
        return self.wavelength.describe()

    @property
    def time_steps(self) -> Sequence[int]:
        """Return the time steps that the model reads, ascending."""
        return parse_steps(self.steps, self.seed)

    @property
    def needs_pass(self) -> bool:
        """Whether the scaling of the flux needs statistics that a data set does not store."""
        return self.ramp != "keep" or self.function != "none" or self.transform == "yeo-johnson"

    @property
    def star_names(self) -> tuple[str, ...]:
        return choices.parse_star(self.star)

    @property
    def augmentations(self) -> tuple[str, ...]:
        return choices.parse_augment(self.augment)

    @property
    def train_folds(self) -> tuple[int, ...]:
        held_out = {*self.validation_folds, *self.test_folds}
        return tuple(fold for fold in range(N_FOLDS) if fold not in held_out)

    @property
    def folds(self) -> Folds:
        """Return the folds by role in the training."""
        return Folds(self.train_folds, self.validation_folds, self.test_folds)

    def resolve(self) -> Self:
        """Return the same configuration with the recipe of the model filled in.

        Raises:
            UsageError: an unknown model, or options that the model, or that of `init_from`, does not accept.
            DataError: `init_from` is damaged.
        """
        if self.init_from:
            started = starting_run.configuration(self.init_from)
            config = self.replace(**starting_run.filled(started, self)).replace(init_from="").resolve()
            starting_run.refuse_others(self.init_from, started, config)
            return config.replace(init_from=self.init_from)
        entry = model_registry.entry(self.model)
        if entry.scope == ("one" if self.wavelength.is_joint else "joint"):
            raise UsageError(
                f"--model {entry.name}: predicts {SCOPES[entry.scope]}. Received: --wavelength {self.wavelength}"
            )
        recipe = choices.FALLBACK | entry.recipe | (entry.joint if self.wavelength.is_joint else {})
        filled = {name: recipe[name] for name in choices.FALLBACK if getattr(self, name) is None}
        complete = self.replace(**filled, settings={**recipe.get("settings", {}), **self.settings})
        if entry.unit != "observation" and complete.every > 1:
            raise UsageError(f"--every: a row of the model {entry.name} is a whole {entry.unit}, none can be left out.")
        if entry.unit != "observation" and complete.augmentations:
            raise UsageError(f"--augment: a row of the model {entry.name} is a whole {entry.unit}, expected none.")
        if complete.weights != "none" and not entry.pretrained:
            raise UsageError(f"--pretrained-weights: the model {entry.name} takes none; it starts from its seed.")
        return complete.replace(
            model=entry.name,
            model_source=entry.source,
            steps=format_steps(complete.time_steps),
            star=choices.format_star(complete.star_names),
            augment=",".join(complete.augmentations) or "none",
            jit=choices.XLA if complete.jit == "auto" else complete.jit,
        )

    def require_resolved(self) -> None:
        """Raise a `UsageError` for the first field that is not filled in."""
        for name in choices.FALLBACK:
            if getattr(self, name) is None:
                raise UsageError(self._mismatch(name, None))

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the configuration from the values that `as_json` returned, or from a run's `config.json`."""
        return cls(**config_file.options_of(values))

    def as_json(self) -> dict[str, Any]:
        """Return plain values, as in `config.json` and for `--config`."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        values |= {"settings": dict(self.settings), "wavelength": self.wavelength.as_json()}
        # Left out if they have their defaults: runs of earlier versions do not contain them.
        for name in ("model_source", "fused", "onednn", "init_from", "also", "share", "also_source"):
            if values[name] == type(self).model_fields[name].default:
                del values[name]
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def given(cls, arguments: argparse.Namespace) -> dict[str, Any]:
        """Return the values of the flags that were given; settings as a dictionary."""
        values = super().given(arguments)
        if "settings" in values:
            values["settings"] = choices.parse_settings(values["settings"])
        return values

    @classmethod
    def from_flags(cls, arguments: argparse.Namespace) -> Self:
        """Return the resolved configuration: flags over `--config` over the recipe of the model over the defaults.

        Raises:
            UsageError: an invalid value, named with its flag; remote data that only `--config` names.
            DataError: a `--config` file that is not JSON.
        """
        file, given = getattr(arguments, "config", None), cls.given(arguments)
        values = config_file.read_values(Path(file), cls.model_fields) if file else {}
        for name, flag in (("data", "--data"), ("also", "--also"), ("weights", "--pretrained-weights")):
            if name not in given and isinstance(values.get(name), str):
                remote.refuse_unnamed(values[name], f"--config {file}", flag)
        if (
            "model" not in given
            and (own := user_code.reference(values.get("model")))
            and not user_code.is_named(own.path)
        ):
            raise UsageError(
                f"--config {file} names a Python file, {own}, which would be run; if you trust it, name it yourself: "
                f"--model {own}"
            )
        if given.get("model", values.get("model")) != values.get("model"):
            values.pop("settings", None)  # settings of another model
        settings = {**values.get("settings", {}), **given.get("settings", {})}
        config = cls(**values | given | {"settings": settings}).resolve()
        return config.replace(data=address.with_flags(config.data, arguments))


class ConfigFile(Schema):
    """The flag --config, in addition to the flags of `TrainConfig`."""

    config: Path | None = option(
        None, "configuration file, such as the config.json of a run; flags override its values", group=WHAT,
        metavar="FILE"
    )  # fmt: skip


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `TrainConfig`, --config and the flags of data in BigQuery."""
    schema.add_flags(parser, TrainConfig)
    schema.add_flags(parser, ConfigFile)
    address.add_flags(parser)
