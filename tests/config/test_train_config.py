"""Options: defaults, recipes, files, and one sentence for each mistake."""

import argparse
import json

import pytest

from ariel_tf.challenge import STAR_NAMES
from ariel_tf.config import choices
from ariel_tf.config.targets import Targets
from ariel_tf.config.time_steps import parse_steps
from ariel_tf.config.train_config import TrainConfig, add_flags
from ariel_tf.core.errors import ArielError, UsageError
from ariel_tf.data.selection import Selection, Signature


def configured(*arguments):
    parser = argparse.ArgumentParser()
    add_flags(parser)
    return TrainConfig.from_flags(parser.parse_args(arguments))


def test_a_model_brings_its_recipe_and_flags_override_it():
    squid = configured("--model", "squid")
    assert (squid.epochs, squid.batch_size, squid.time_steps) == (50, 50, range(99, 200))
    assert configured("--model", "squid", "--epochs", "3").epochs == 3
    assert configured("--patience", "0").patience == 0


def test_train_folds_are_what_validation_and_test_leave():
    assert configured().train_folds == (0, 1, 2, 3, 4, 5, 6, 7)
    assert configured("--validation-folds", "0,1", "--test-folds", "5").train_folds == (2, 3, 4, 6, 7, 8, 9)


def test_a_run_s_configuration_is_taken_back_and_flags_override_it(tmp_path):
    first = configured("--model", "squid", "--set", "width=2", "--star", "star_rad,star_temp", "--test-folds", "1,2")
    path = tmp_path / "config.json"
    path.write_text(json.dumps(first.as_json()))
    assert configured("--config", str(path)) == first
    assert configured("--config", str(path), "--seed", "5").seed == 5
    assert first.star_names == ("star_temp", "star_rad")


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("99:200", range(99, 200)),
        (":", range(300)),
        ("50:", range(50, 300)),
        ("::3", range(0, 300, 3)),
        ("12,5,9", (5, 9, 12)),
        ("0,299", (0, 299)),
    ],
)
def test_steps(text, steps):
    assert parse_steps(text) == steps


def test_random_steps_are_drawn_from_the_seed_and_written_out():
    first, again, other = (configured("--steps", "random:100", "--seed", seed) for seed in ("1", "1", "2"))
    assert first == again
    assert first.steps != other.steps
    assert len(set(first.time_steps)) == 100
    assert list(first.time_steps) == sorted(first.time_steps)
    assert configured("--steps", first.steps, "--seed", "7").time_steps == first.time_steps


def test_star_all_is_every_parameter():
    assert configured("--star", "all").star_names == STAR_NAMES


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--wavelength", "55"], "--wavelength: expected a whole number in 0-54, joint, or a list like 0-54 or 3,7. "),
        (["--wavelength", "-1"], "--wavelength"),
        (["--wavelength", "x"], "--wavelength"),
        (["--model", "baselin"], "Received: baselin. Did you mean baseline"),
        (["--steps", "0:301"], "--steps"),
        (["--steps", "200:99"], "--steps"),
        (["--steps", "-5:20"], "--steps"),
        (["--steps", "1:2:0"], "--steps"),
        (["--steps", "a:b"], "--steps"),
        (["--steps", "5"], "--steps"),
        (["--steps", "5,5"], "--steps"),
        (["--steps", "5,300"], "--steps"),
        (["--steps", "random:301"], "--steps"),
        (["--ramp", "remove"], "--ramp: expected one of keep, one, divide"),
        (["--function", "sqr"], "Did you mean sqrt"),
        (["--star", "star_tmp"], "Did you mean star_temp"),
        (["--transform", "standardise"], "Did you mean standardize"),
        (["--head", "x"], "--head: expected one of radius, depth"),
        (["--loss", "msee"], "Did you mean mse"),
        (["--augment", "miror"], "Did you mean mirror"),
        (["--optimizer", "adamm"], "Did you mean adam"),
        (["--epochs", "0"], "--epochs: expected a whole number, 1 or more. Received: 0"),
        (["--batch-size", "1.5"], "--batch-size"),
        (["--seed", "-1"], "--seed"),
        (["--patience", "many"], "--patience"),
        (["--set", "first"], "NAME=VALUE"),
        (["--test-folds", "10"], "--test-folds"),
        (["--test-folds", "a"], "--test-folds"),
        (["--test-folds", "8"], "both"),
        (["--test-folds", "0,1,2,3,4,5,6,7,9"], "no fold is left"),
    ],
)
def test_each_mistake_is_one_sentence(arguments, said):
    with pytest.raises(UsageError, match=said) as error:
        configured(*[arguments[0] + "=" + arguments[1]])
    assert "\n" not in str(error.value)


def test_a_model_of_one_wavelength_names_the_option_that_trains_all():
    with pytest.raises(
        UsageError, match=r"--model squid: predicts one .*; --wavelength all trains 55 models. Received"
    ):
        TrainConfig(model="squid", wavelength="joint").resolve()


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{",
        '{"modle": "squid"}',
        '{"settings": 3}',
        '{"epochs": "x"}',
        '{"model": 3}',
        '{"data": 5}',
        '{"validation_folds": 8}',
        '{"validation_folds": null}',
        '{"wavelength": [1]}',
        '{"star": ["star_temp"]}',
    ],
)
def test_a_config_file_that_does_not_fit_is_refused(tmp_path, content):
    path = tmp_path / "config.json"
    path.write_text(content)
    with pytest.raises(ArielError):
        configured("--config", str(path))


def test_values_survive_json():
    config = TrainConfig().resolve()
    assert json.loads(json.dumps(config.as_json())) == config.as_json()


def test_one_choice_has_one_name():
    assert configured("--steps", "99:200:1").steps == configured("--steps", "99:200").steps == "99:200"
    assert configured("--star", "star_rad,star_temp").star == "star_temp,star_rad"
    assert configured("--augment", "mix,mirror").augment == "mirror,mix"


def test_settings_of_another_model_are_left_behind(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(configured("--model", "squid", "--set", "width=2").as_json()))
    assert configured("--config", str(path), "--model", "baseline").settings == {}
    path.write_text('{"wavelength": "7"}')
    assert configured("--config", str(path)).wavelength == Targets.one(7)


def test_a_training_reads_thinned_and_drawn_rows_and_is_scored_on_all():
    config = configured("--every", "3", "--bootstrap", "yes", "--seed", "5", "--channels", "own+white")
    signature = Signature((12,), (12,), white_light=True)
    assert config.selection("train") == Selection(tuple(range(8)), signature, 3, 5)
    assert config.selection("validation") == Selection((8,), signature)
    assert config.selection("test") == Selection((9,), signature)
    assert configured("--model", "compressed").selection("train").needs_memory


def test_models_of_a_list_read_together_what_each_reads():
    config = configured("--model", "squid", "--wavelength", "3,12")
    assert config.signature == Signature((3, 12), (3, 12))
    assert [one.signature for one in config.for_each_wavelength().values()] == [
        Signature((3,), (3,)),
        Signature((12,), (12,)),
    ]
    config = configured("--model", "squid", "--wavelength", "3,12", "--channels", "all")
    assert config.signature == Signature((3, 12), tuple(range(55)))


def test_the_configuration_of_a_run_that_recorded_the_order_of_its_rows_is_accepted(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(TrainConfig(model="linear").resolve().as_json() | {"rows": "shuffled in windows"}))
    assert configured("--config", str(path)) == TrainConfig(model="linear").resolve()


def test_a_configuration_names_onednn_only_where_it_is_given():
    """The folder of a run is named after its configuration: those of earlier versions name none."""
    assert "onednn" not in TrainConfig(model="squid").as_json()
    given = TrainConfig(model="squid", onednn="yes")
    assert given.as_json()["onednn"] == "yes"
    assert TrainConfig.from_json(given.as_json()) == given


def test_a_run_records_what_jit_auto_is():
    """A run that is resumed by another version must not change its steps."""
    found = TrainConfig(model="squid", jit="auto").resolve()
    assert found.as_json()["jit"] == choices.XLA == "no"
    assert found == TrainConfig(model="squid").resolve()
    assert TrainConfig(model="squid", jit="yes").resolve().jit == "yes"
