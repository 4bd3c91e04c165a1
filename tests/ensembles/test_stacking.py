"""Stacking learns from predictions of planets that the predicting model has never seen, and from nothing else."""

import json
import zipfile

import numpy as np
import pytest

from ariel_tf import ensemble, train
from ariel_tf.challenge import N_STEPS, N_WAVELENGTHS, score
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core.errors import UsageError
from ariel_tf.data.selection import Signature
from ariel_tf.data.sources import open_source
from ariel_tf.data.statistics import Moments
from ariel_tf.data.writer import DatasetWriter
from ariel_tf.ensembles import meta_model
from ariel_tf.ensembles.run import together
from ariel_tf.physics.references import constant
from ariel_tf.physics.regression import Ridge
from ariel_tf.planet import Planet
from ariel_tf.runs.predictor import Predictor

DATA = "simulated:planets=20,spots=1,photons=2,seed=1"
SMALL = ["--model=baseline", "--set", "first=8", "--set", "second=4", "--head", "depth", "--epochs", "2"]
# A network large and long enough to learn 30 planets by heart.
BY_HEART = ["--model=baseline", "--set", "first=128", "--set", "second=32", "--epochs", "30", "--batch-size",
            "20", "--patience", "0"]  # fmt: skip


def stack(out, *arguments):
    ensemble.main(["stacking", *arguments, "--run", str(out)])
    return Predictor.load(out)


def collected(trained, folds):
    source = open_source(trained.data, trained.signature.inputs)
    return trained.predictions(source, folds).in_order()


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """A data set of 50 planets whose light curves hold nothing but noise: no one can know their radii."""
    folder = tmp_path_factory.mktemp("noise") / "data"
    rng = np.random.default_rng(7)
    planets = [
        Planet.from_observations(
            number,
            instances=np.array([(1, 1), (1, 2)]),
            star=np.array([5000, 4.5, 1, 1, 10, 5]),
            flux=rng.normal(1, 0.01, (N_WAVELENGTHS, 2, N_STEPS)),
            orbit=np.array([1e10, 88.5]),
            radii=rng.uniform(0.02, 0.2, N_WAVELENGTHS),
        )
        for number in range(1, 51)
    ]
    writer = DatasetWriter(folder, rows={planet.number: 2 for planet in planets}, labelled=True, fold_seed=0)
    by_number = {planet.number: planet for planet in planets}
    with writer:
        for number in writer.pending:
            writer.add(number, by_number[number])
        writer.finish({"kind": "noise"})
    return folder


@pytest.mark.slow
def test_two_fold_stacking_of_pure_noise_is_no_better_than_a_constant(noise, tmp_path):
    """Any leak of a planet's radius into level 1's training would make it trust level 0, and fail on others."""
    arguments = ["--data", str(noise), *BY_HEART, "--blocks", "1", "--splits", "2"]
    one = stack(tmp_path / "out", *arguments)
    splits = [Predictor.load(tmp_path / f"out/members/l0-k{k}") for k in range(2)]
    parts = [(0, 2, 4, 6), (1, 3, 5, 7)]
    out_of_fold = together([collected(*pair) for pair in zip(splits, parts, strict=True)])
    in_sample = together([collected(*pair) for pair in zip(splits, parts[::-1], strict=True)])

    def gain(predictions):
        """Score points above the best constant for these very planets, which no honest prediction can reach."""
        best = constant(predictions.true)
        return score(predictions.true, predictions.predicted) - score(
            predictions.true, np.broadcast_to(best, predictions.true.shape)
        )

    assert gain(in_sample) > 1000, "the control: level 0 does know the planets that it was trained on by heart"
    assert gain(out_of_fold) < 0
    assert gain(collected(one, one.folds.test)) < 0
    # Level 1 has learnt to ignore level 0: its answers hardly vary beside the radii themselves.
    answers = collected(one, one.folds.train)
    assert answers.predicted.std() < 0.3 * answers.true.std()
    assert gain(answers) < 300


def test_every_training_planet_is_predicted_by_a_model_that_has_not_seen_it(tmp_path, pretended_training_here):
    one = stack(
        *(tmp_path / "out", "--data", DATA, *SMALL, "--blocks", "2", "--splits", "2"),
    )
    assert (one.targets, one.signature.inputs) == ((12,), (12,))
    assert one.folds == (tuple(range(8)), (8,), (9,))
    blocks = [[Predictor.load(tmp_path / f"out/members/l{b}-k{k}") for k in range(2)] for b in range(2)]
    for steps, splits in zip(("0:150", "150:300"), blocks, strict=True):
        assert [one.folds.test for one in splits] == [(0, 2, 4, 6, 9), (1, 3, 5, 7, 9)]
        assert [one.folds.train for one in splits] == [(1, 3, 5, 7), (0, 2, 4, 6)]
        assert {one.configuration["steps"] for one in splits} == {steps}
    # Independently: out-of-fold depths of each block, a ridge on them, applied to the mean of the splits.
    unseen = [together([collected(split, split.folds.test[:4]) for split in splits]) for splits in blocks]
    radii = np.stack([predictions.predicted for predictions in unseen], axis=1)
    ridge = Ridge(rounds=meta_model.ROUNDS).fit(meta_model.ridge_features(radii), unseen[0].true)
    means = [np.mean([collected(split, (9,)).predicted for split in splits], axis=0) for splits in blocks]
    expected = ridge.predict(meta_model.ridge_features(np.stack(means, axis=1)))
    np.testing.assert_allclose(collected(one, (9,)).predicted, np.maximum(expected, 1e-5), rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_a_dense_level_1_starts_as_the_mean_and_is_part_of_the_one_model(tmp_path, monkeypatch):
    monkeypatch.setattr(meta_model, "UNITS", (8,))
    arguments = ["--data", DATA, *SMALL, "--blocks", "2", "--splits", "2", "--star", "all"]
    one = stack(tmp_path / "out", *arguments, "--meta-model", "dense+flux", "--meta-model-epochs", "3")
    assert np.isfinite(json.loads((tmp_path / "out/scores.json").read_text())["best_score"])
    assert collected(one, (9,)).predicted.shape == (4, 1)
    # With an untrained level 1 the ensemble is the mean of level 0, which need not be trained again.
    monkeypatch.setattr(meta_model, "fit_dense", lambda *arguments: None)
    same = ["--level-1", "dense", "--members-of", str(tmp_path / "out")]
    untrained = stack(tmp_path / "untrained", *arguments, *same)
    assert not (tmp_path / "untrained/members").exists()
    members = [Predictor.load(tmp_path / f"out/members/l{b}-k{k}") for b in range(2) for k in range(2)]
    mean = np.mean([collected(member, (9,)).predicted for member in members], axis=0)
    np.testing.assert_allclose(collected(untrained, (9,)).predicted, mean, rtol=1e-5)
    with pytest.raises(UsageError, match="its base models differ in splits, trained; expected the options of"):
        stack(tmp_path / "other", *arguments[:-2], "--splits", "3", *same)


@pytest.mark.slow
def test_level_0_can_be_what_runs_were_trained_as(tmp_path):
    train.main(["--data", DATA, *SMALL, "--channels", "own+white", "--run", str(tmp_path / "a")])
    squid = ["--model", "squid", "--epochs", "1", "--head", "depth", "--run", str(tmp_path / "b")]
    train.main(["--data", DATA, *squid])
    arguments = ["--data", DATA, "--splits", "2", "--level-0", str(tmp_path / "a"), str(tmp_path / "b")]
    one = stack(tmp_path / "out", *arguments)
    assert one.signature == Signature((12,), (12,), white_light=True)
    assert one.configuration["model"] == "stacking of baseline, squid"
    names = [Predictor.load(tmp_path / f"out/members/l{b}-k1").configuration["model"] for b in range(2)]
    assert names == ["baseline", "squid"]
    with pytest.raises(UsageError, match="predicts wavelength 12, expected 7"):
        stack(tmp_path / "other", *arguments, "--wavelength", "7")


def test_without_a_model_level_0_brings_its_own_wavelengths_data_and_folds(tmp_path):
    """`stacking --wavelength joint --level-0 RUN RUN`, as docs/answers.md has it, was refused for the default model."""
    values = TrainConfig(model="dense", wavelength="joint", data=DATA, test_folds=(7,)).resolve().as_json()
    (tmp_path / "config.json").write_text(json.dumps(values))
    arguments = ["stacking", "--level-0", str(tmp_path), "--run", str(tmp_path / "out")]
    for more in ([], ["--wavelength", "joint"]):
        config = ensemble.members_of(ensemble.parser().parse_args([*arguments, *more])).config
        assert (config.model, str(config.wavelength), config.data) == ("dense", "joint", DATA)
        assert config.test_folds == (7,)
    (tmp_path / "config.json").write_text(json.dumps(values | {"ensemble": {}}))
    with pytest.raises(UsageError, match="expected a run of one model, received an ensemble"):
        ensemble.main(arguments)


def test_beside_runs_no_option_of_training_is_taken_in_silence(tmp_path):
    """`--level-0 RUN RUN --epochs 1` once trained level 0 as long as ever and said nothing."""
    values = TrainConfig(model="dense", wavelength="joint", data=DATA).resolve().as_json()
    (tmp_path / "config.json").write_text(json.dumps(values))
    arguments = ["stacking", "--level-0", str(tmp_path), "--run", str(tmp_path / "out")]
    given = ["--model", "dense", "--epochs", "1", "--set", "shape=1024-256", "--blocks", "3", "--seed", "1"]
    with pytest.raises(UsageError, match="so --model, --epochs, --set, --blocks would have no effect") as caught:
        ensemble.main([*arguments, *given])
    assert caught.value.exit_code == 2
    assert not (tmp_path / "out").exists()
    given = ensemble.parser().parse_args([*arguments, "--seed", "7", "--test-folds", "1"])
    config = ensemble.members_of(given).config
    assert (config.seed, config.test_folds, config.epochs) == (7, (1,), 40)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--level-1-epochs", "3"], "a ridge has no epochs"),
        (["--meta-model", "dense", "--meta-model-epochs", "0"], "--meta-model-epochs: expected 1 or more"),
        (["--blocks", "0"], "--blocks: expected 1 to 300"),
        (["--members-of", "nowhere"], "expected the run folder of a finished stack"),
    ],
)
def test_bad_options_of_either_level_are_one_sentence(tmp_path, arguments, said):
    with pytest.raises(UsageError, match=said):
        ensemble.main(["stacking", "--data", DATA, *arguments, "--run", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_a_ridge_as_a_model_is_the_ridge():
    rng = np.random.default_rng(2)
    radii = rng.uniform(0.02, 0.2, (60, 3, 4))
    true = radii.mean(axis=1) + rng.normal(0, 0.002, (60, 4))
    ridge = Ridge().fit(meta_model.ridge_features(radii), true)
    model = meta_model.ridge(*ridge.affine(), members=3)
    answer = model({"level_0": radii.astype(np.float32)}).numpy()
    np.testing.assert_allclose(answer, ridge.predict(meta_model.ridge_features(radii)), rtol=1e-4)


@pytest.mark.slow
def test_a_trained_dense_level_1_holds_nothing_of_ours_when_saved(tmp_path, monkeypatch):
    """The saved stack named our loss, of which a process that had not imported it by chance knew nothing."""
    monkeypatch.setattr(meta_model, "UNITS", (8,))
    radii = np.random.default_rng(0).uniform(0.05, 0.2, (40, 2, 3)).astype(np.float32)
    true = radii[:, 0]
    statistics = {"level_0": Moments.of(radii).statistics(), "radius": Moments.of(true).statistics()}
    model = meta_model.dense(statistics, members=2, star=False, flux=False)
    before = np.abs(model({"level_0": radii}).numpy() - true).mean()
    rows = ({"level_0": radii}, true)
    meta_model.fit_dense(model, rows, rows, epochs=30, scale=0.01)
    assert np.abs(model({"level_0": radii}).numpy() - true).mean() < before
    model.save(tmp_path / "level_1.keras")
    assert b"ariel_tf" not in zipfile.ZipFile(tmp_path / "level_1.keras").read("config.json")
