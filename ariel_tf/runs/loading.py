"""Any run folder, loaded as one model; the folder is not changed.

    a run of one wavelength, or of all jointly     its best.keras
    a list run, with w00 ... w54 inside            their models side by side, as one Keras model
    an ensemble                                    its best.keras, which contains its members
    several of these, for different wavelengths    side by side

In each case the result is one Keras model, with the wavelengths that it predicts, the light curves that it reads, and
the folds of its training planets.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ariel_tf.challenge import N_WAVELENGTHS
from ariel_tf.config.targets import Targets
from ariel_tf.core.errors import UsageError
from ariel_tf.data.folds import N_FOLDS, Folds
from ariel_tf.data.selection import Signature
from ariel_tf.models.composite import Member, side_by_side
from ariel_tf.runs import shipped
from ariel_tf.runs.committed import has_scores, read_scores, recorded_fingerprint
from ariel_tf.runs.compatibility import folds_of, refuse_other_data
from ariel_tf.runs.run_facts import facts_of, read_configuration, refuse_unsaved
from ariel_tf.runs.uncertainty import Uncertainty


@dataclass(frozen=True, eq=False, repr=False)
class LoadedRun:
    """A run's model, with its inputs and training folds; `Predictor` describes each."""

    path: Path
    configuration: dict[str, Any]
    fingerprint: str
    model: Any
    signature: Signature
    data: str
    folds: Folds
    uncertain: Any = None
    spread: Uncertainty | None = None


def load(*runs: Path | str) -> LoadedRun:
    """Read one run folder of any kind, or several that predict different wavelengths; raises like `Predictor.load`."""
    each = [_load_one(Path(path)) for path in runs]
    if len(each) == 1:
        return each[0]
    targets = sorted(wavelength for one in each for wavelength in one.signature.targets)
    configuration = each[0].configuration | {"wavelength": str(Targets.each(targets))}
    return _together(each, each[0].path, configuration)


def _load_one(path: Path) -> LoadedRun:
    """Load a run folder of any kind, or a pretrained model."""
    if shipped.is_pretrained(path):
        return _load_pretrained(path)
    configuration = read_configuration(path)
    if "ensemble" not in configuration and (targets := Targets.of_run(configuration.get("wavelength"))).is_list:
        return _load_list(path, configuration, targets.every)
    refuse_unsaved(path)
    from ariel_tf.runs.model_file import check_rows, load_model

    signature, data, folds = facts_of(path, configuration)
    model = load_model(path / "best.keras", configuration.get("model_source"))
    check_rows(model, path / "best.keras", len(signature.inputs) + signature.white_light, len(signature.targets))
    spread = None
    if has_scores(path):
        recorded = read_scores(path).get("uncertainty")
        spread = Uncertainty.from_json(recorded, len(signature.targets), path / "scores.json")
    fingerprint = recorded_fingerprint(path)
    return LoadedRun(path, configuration, fingerprint, model, signature, data, folds, spread=spread)


def _load_pretrained(path: Path) -> LoadedRun:
    """Load a model included in the package, or made by `pretrain`."""
    import keras

    from ariel_tf.runs.model_file import check_pretrained, load_model

    file, facts = shipped.verified(path), shipped.card(path)
    uncertain = load_model(file)
    check_pretrained(uncertain, file)
    model = keras.Model(uncertain.input, uncertain.output["radius"], name=file.stem)
    every = tuple(range(N_WAVELENGTHS))
    folds = Folds((), (), tuple(range(N_FOLDS)))
    configuration = {"model": facts["model"], "wavelength": "joint", "data": facts["data"]}
    return LoadedRun(
        path, configuration, facts["sha256"], model, Signature(every, every), facts["data"], folds, uncertain
    )


def _load_list(path: Path, configuration: dict[str, Any], chosen: Sequence[int]) -> LoadedRun:
    """Load the models of a list run, one per wavelength."""
    folders = [path / Targets.one(wavelength).folder_name for wavelength in chosen]
    if absent := [folder.name for folder in folders if not (folder / "best.keras").is_file()]:
        raise UsageError(
            f"{path}: {len(absent)} of its {len(folders)} wavelengths hold no model yet ({', '.join(absent[:10])}"
            f"{' ...' if len(absent) > 10 else ''}); repeat the run's command to resume it."
        )
    each = [_load_one(folder) for folder in tqdm(folders, "loading", unit=" models", disable=None, leave=False)]
    return _together(each, path, configuration)


def _together(each: Sequence[LoadedRun], path: Path, configuration: dict[str, Any]) -> LoadedRun:
    """Join runs of different wavelengths; the folds are those of all of them."""
    model, signature = side_by_side([Member(str(one.path), one.model, one.signature) for one in each])
    refuse_other_data(each)
    first = each[0]
    order = [wavelength for one in each for wavelength in one.signature.targets]
    spread = Uncertainty.together(
        [one.spread for one in each], [order.index(wavelength) for wavelength in signature.targets]
    )
    return LoadedRun(
        path, configuration, first.fingerprint, model, signature, first.data, folds_of(each), spread=spread
    )
