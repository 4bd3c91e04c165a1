"""configs/: every page is a configuration that train accepts, and its README lists it with a command that works."""

import json
import re
from pathlib import Path

import pytest

from ariel_tf.config.train_config import TrainConfig
from ariel_tf.train import parser

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "configs").glob("*.json"))
# The command that a page spells out in full.
COMMANDS = {
    "first_training": "--wavelength 12",
    "challenge_network": "--model squid --wavelength 12",
    "all_wavelengths_jointly": "--wavelength joint --data simulated:planets=400,spots=4,photons=2,seed=0",
    "one_model_per_wavelength": "--model squid --wavelength all --channels own+white "
    "--data simulated:planets=400,spots=4,photons=2,seed=0",
}


def configured(*arguments: str) -> TrainConfig:
    return TrainConfig.from_flags(parser().parse_args(arguments))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_is_the_training_of_its_command_and_states_only_values_in_force(page):
    """A page that a changed default left behind would train something else than its README says."""
    config = configured("--config", str(page))
    assert config == configured(*COMMANDS[page.stem].split())
    values, stated = config.as_json(), json.loads(page.read_text(encoding="utf-8"))
    assert {name: values[name] for name in stated} == stated


def test_the_readme_lists_every_page_with_its_command():
    text = (ROOT / "configs/README.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\w+)\.json$", text, re.MULTILINE) == [
        "first_training", "challenge_network", "all_wavelengths_jointly", "one_model_per_wavelength",
    ]  # fmt: skip
    assert {page.stem for page in PAGES} == set(COMMANDS)
    for name in COMMANDS:
        assert f"    python -m ariel_tf.train --config configs/{name}.json" in text
