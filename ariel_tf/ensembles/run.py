"""An ensemble's run folder: configuration, members' predictions, model with scores, and model card.

All combinations of trained models, from averages to boosted trees, write their run through `save`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ariel_tf.challenge import N_WAVELENGTHS
from ariel_tf.config.targets import JOINT, Targets
from ariel_tf.core.atomic_files import write_json, write_text
from ariel_tf.core.errors import DataError
from ariel_tf.core.figures import draw_or_warn
from ariel_tf.data.selection import Signature
from ariel_tf.ensembles.members import Members
from ariel_tf.runs import model_card
from ariel_tf.runs.committed import read_scores
from ariel_tf.runs.folder import RunFolder

if TYPE_CHECKING:
    from ariel_tf.data.sources.base import Source

# Values of a member in `scores.json`, and the column titles in the table of members.
MEMBER_COLUMNS = {
    "weight": "       weight",
    "validation": "   validation (planet medians)",
    "out of fold": "   out of fold (planet medians)",
    "test": "   test (planet medians)",
}


def configuration_of(
    how: dict[str, Any], names: str, signature: Signature, data: str, folds: Sequence[Sequence[int]]
) -> dict[str, Any]:
    """Return the content of an ensemble's `config.json`.

    Args:
        how: the ensemble's own options.
        names: names of the members' models.
        signature: what the ensemble reads and predicts.
        data: value of `--data`.
        folds: folds for training, selection and test.
    """
    return {
        "model": f"{how['how']} of {names}",
        "wavelength": JOINT if len(signature.targets) == N_WAVELENGTHS else str(Targets.each(signature.targets)),
        "ensemble": how,
        "settings": {},
        "data": data,
        **{f"{part}_folds": list(its) for part, its in zip(("train", "validation", "test"), folds, strict=True)},
        **signature.as_json(),
    }


def configuration_for(members: Members, how: dict[str, Any], validation: Sequence[int]) -> dict[str, Any]:
    """Return the content of config.json of an ensemble whose members are still to be trained.

    Args:
        members: members to train.
        how: the ensemble's own options.
        validation: folds on which no member is trained and that select only its best epoch.
    """
    config = members.config
    train_folds = [fold for fold in members.known_folds if fold not in validation]
    folds = (train_folds, validation, config.test_folds)
    return configuration_of(how, config.model, config.signature, config.data, folds)


def open_data(run: RunFolder, member: Any, data: str | None = None) -> "Source":
    """Return the data on which the members were trained, open for everything that the ensemble reads.

    Args:
        run: run folder of the ensemble.
        member: a `Predictor`, whose fingerprint the data must have.
        data: their current location, as given by the user; None for where the members were trained.
    """
    from ariel_tf.data.sources import open_source

    source = open_source(data or run.configuration["data"], run.configuration["seen"])
    if source.fingerprint != member.fingerprint:
        raise DataError(f"{source.description}: changed since {member.path} was trained on it; train its members anew.")
    return source


def together(parts: Sequence[Any]) -> Any:
    """Join predictions of different planets."""
    names = ("keys", "true", "predicted", "weights")
    return type(parts[0])(*(np.concatenate([getattr(part, name) for part in parts]) for name in names)).in_order()


def collect(trained: Any, source: Any, folds: Sequence[int]) -> Any:
    """Return a member's predictions in ascending order of their keys, `Predictions`; None without folds."""
    return trained.predictions(source, folds).in_order() if folds else None


def save(
    run: RunFolder, model: Any, source: Any, table: list[dict[str, Any]], command: str, out_of_fold: Any = None
) -> None:
    """Write the ensemble's model, its scores on the test folds and its model card, and mark the run as finished.

    Args:
        table: one row per member: its name, and scores or weight.
        out_of_fold: predictions used for validation if the ensemble has no validation folds.
    """
    import tensorflow as tf

    from ariel_tf.evaluation.prediction_figures import draw_predictions, draw_spectra
    from ariel_tf.runs import metadata
    from ariel_tf.runs.predictor import Predictor
    from ariel_tf.training.callbacks import save_model
    from ariel_tf.training.job import data_facts
    from ariel_tf.training.one_model import Found

    trained = Predictor.of_ensemble(run.path, run.configuration, source.fingerprint, model)
    run.fingerprint = source.fingerprint
    facts = data_facts(source, trained.folds)
    run.write_meta(facts | {"command": command}, metadata.collect(tf.distribute.get_strategy()))
    save_model(model, run)
    validation = out_of_fold or collect(trained, source, trained.folds.validation)
    test = collect(trained, source, trained.folds.test)
    constant = source.statistics(trained.folds.train)["radius"].mean[list(trained.targets)]
    drawn = (test, trained.targets, f"{run.configuration['model']}: test planets", source.description)
    pictures: dict[str, str] = {}
    if draw_or_warn(draw_predictions, *drawn, run.path / "prediction.png"):
        pictures["predicted against true radii"] = "prediction.png"
    if run.configuration["wavelength"] == JOINT and draw_or_warn(draw_spectra, *drawn, run.path / "spectra.png"):
        pictures["true and predicted spectra"] = "spectra.png"
    scores = {
        **Found(test, validation, constant).scores,
        "test_planets": facts["folds"]["test"]["planets"],
        "test_observations": facts["folds"]["test"]["observations"],
        "epochs": 0,
        "best_epoch": 0,
        "best_score": validation.scores()["observation"],
        "members": table,
    }
    write_json(run.path / "scores.json", scores)
    write_text(run.path / "README.md", ensemble_card(run.configuration, scores, facts, command, pictures))
    files = ("best.keras", "scores.json", *pictures.values(), "README.md")
    run.commit(files, finished=True, best_score=scores["best_score"])


def report(run: RunFolder) -> None:
    """Print the final report."""
    scores = read_scores(run.path)
    print("\n".join(member_lines(scores["members"])))
    print(f"score on {scores['test_planets']} test planets (10,000 is perfect):")
    print("\n".join(model_card.score_lines(scores)))
    print(f"model        {run.path / 'best.keras'}, one Keras model\nmodel card   {run.path / 'README.md'}")


def member_lines(members: Sequence[dict[str, Any]]) -> list[str]:
    """Return a table of the members: each one's weight, and scores of the median over a planet's observations."""
    names = [name for name in MEMBER_COLUMNS if any(row.get(name) is not None for row in members)]
    lines = [f"{'member':40s}" + "".join(MEMBER_COLUMNS[name] for name in names)]
    for row in members:
        cells = []
        for name in names:
            value, digits = row.get(name), 3 if name == "weight" else 1
            cells.append(("-" if value is None else f"{value:.{digits}f}").rjust(len(MEMBER_COLUMNS[name])))
        lines.append(f"{row['name']:40s}" + "".join(cells))
    return [line.rstrip() for line in lines]


def ensemble_card(
    configuration: dict[str, Any],
    scores: dict[str, Any],
    facts: dict[str, Any],
    command: str,
    pictures: dict[str, str],
) -> str:
    """Return the README.md of an ensemble.

    Args:
        configuration: content of `config.json`.
        scores: content of `scores.json`.
        facts: of the data, as in `meta.json`.
        command: command that trains the ensemble again.
        pictures: file name of each plot by its caption.
    """
    return model_card.page(
        configuration["model"],
        "`best.keras` is one Keras model that contains all members. It reads raw light curves and predicts the "
        f"relative radii Rp/Rs of {model_card.describe_targets(configuration)}.",
        model_card.pictures(pictures),
        model_card.score_section(configuration["test_folds"], scores, "which no member used"),
        "The members, with the scores of the median over a planet's observations:",
        model_card.code_block(member_lines(scores["members"])),
        model_card.data_line(facts),
        model_card.repeat(command),
        model_card.values_table("option", configuration["ensemble"]),
    )
