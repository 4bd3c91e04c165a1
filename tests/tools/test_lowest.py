"""The requirements of `make test-lowest` are the lower bounds that setup.cfg declares, each within its own bounds."""

import configparser
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from support.tools import tool

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def lowest():
    return tool("lowest")


def test_every_dependency_is_pinned_to_the_lower_bound_that_is_declared(lowest):
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    lines = setup["options"]["install_requires"] + "\n" + setup["options.extras_require"]["test"]
    declared = [Requirement(line) for line in lines.splitlines() if line.strip() and not line.strip().startswith("#")]
    declared = {one.name: one for one in declared if one.name not in lowest.SOURCE_TOOLS}
    pinned = {Requirement(line).name: Requirement(line) for line in lowest.requirements(["test"])}
    assert pinned.keys() == declared.keys()
    for name, requirement in pinned.items():
        (pin,) = requirement.specifier
        version = pin.version.removesuffix(".*")
        assert pin.operator == "=="
        assert Version(version) in declared[name].specifier
        bound = re.search(r"(?:>=|==)([\w.]+)", str(declared[name].specifier))[1]
        assert (version + ".").startswith(bound + ".")
        assert requirement.extras == declared[name].extras


def test_a_bound_without_a_patch_takes_the_newest_patch(lowest):
    assert lowest.lowest("numpy >=1.26,<3") == "numpy ==1.26.*"
    assert lowest.lowest("pytest >=8,<10") == "pytest ==8.0.*"
    assert lowest.lowest("keras-tuner[bayesian] >=1.4.7,<1.5") == "keras-tuner[bayesian] ==1.4.7"
    with pytest.raises(ValueError, match="expected NAME >=VERSION"):
        lowest.lowest("numpy")
