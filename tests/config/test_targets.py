"""`--wavelength`: what it means, how it prints, and one sentence for each mistake."""

import pytest

from ariel_tf.config.targets import Targets
from ariel_tf.core.errors import UsageError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("all", tuple(range(55))),
        ("0-54", tuple(range(55))),
        ("7-7", (7,)),
        ("3,7,12", (3, 7, 12)),
        ("12,3,7", (3, 7, 12)),
        ("50-54,0-2,9", (0, 1, 2, 9, 50, 51, 52, 53, 54)),
        ("0-54/8:3", tuple(range(13, 20))),
        ("all/55:55", (54,)),
        ("1,2,3/1:1", (1, 2, 3)),
    ],
)
def test_lists(text, expected):
    targets = Targets.parse(text)
    assert targets.is_list
    assert targets.chosen == expected
    assert [one.chosen for one in targets.for_each()] == [(wavelength,) for wavelength in expected]


@pytest.mark.parametrize("wavelengths", ["all", "3,7,12-20", "5-9"])
def test_the_slices_of_a_list_hold_each_wavelength_once_and_differ_by_one_at_most(wavelengths):
    whole = Targets.parse(wavelengths).every
    for count in range(1, len(whole) + 1):
        slices = [Targets.parse(f"{wavelengths}/{count}:{number}") for number in range(1, count + 1)]
        assert tuple(wavelength for one in slices for wavelength in one.chosen) == whole
        assert {one.every for one in slices} == {whole}
        lengths = [len(one.chosen) for one in slices]
        assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize("text", ["0-54", "3,7,10-12", "0,2,4", "5", "53-54", "joint"])
def test_targets_have_one_name_and_the_name_reads_back(text):
    assert str(Targets.parse(text)) == text
    assert Targets.parse(Targets.parse(text).as_json()) == Targets.parse(text)


def test_lists_of_the_same_wavelengths_have_the_same_name():
    assert str(Targets.parse("all")) == str(Targets.parse("20-54,0-19")) == "0-54"
    assert str(Targets.parse("0-54/8:3")) == "0-54"


@pytest.mark.parametrize(("text", "kind", "chosen"), [("12", "one", (12,)), ("joint", "joint", tuple(range(55)))])
def test_one_number_or_joint_is_no_list(text, kind, chosen):
    targets = Targets.parse(text)
    assert (targets.kind, targets.chosen) == (kind, chosen)
    assert Targets.parse(targets) is targets


def test_the_configuration_of_a_run_tells_a_list_of_one_from_one():
    assert Targets.parse("7-7").as_json() == "7"
    assert Targets.of_run("7").is_list
    assert Targets.of_run(7) == Targets.one(7)
    assert Targets.of_run("joint") == Targets.joint()


@pytest.mark.parametrize(
    ("wavelength", "name", "words"),
    [
        (3, "w03", "wavelength 3"),
        ("joint", "joint", "all wavelengths"),
        ("0-54", "w00-w54", "all wavelengths"),
        ("3,7,12", "w03-w12", "wavelengths 3,7,12"),
    ],
)
def test_folder_names_and_words(wavelength, name, words):
    targets = Targets.parse(wavelength)
    assert (targets.folder_name, targets.describe()) == (name, words)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("55", r"a whole number in 0-54, joint, or a list like 0-54 or 3,7. Received: 55$"),
        ("x", "Received: x$"),
        ("", "Received: $"),
        ("1.5", "Received: 1.5$"),
        ("0-55", r"numbers and ranges in 0-54 .* Received: 0-55$"),
        ("9-3", "numbers and ranges"),
        ("-1", "numbers and ranges"),
        ("3,,7", "Received: 3,,7, where nothing is none"),
        ("3,x", "Received: 3,x, where x is none"),
        ("3,joint", "where joint is none"),
        ("1.5,2", "where 1.5 is none"),
        ("²,3", "where ² is none"),
        ("²", "Received: ²"),
        ("3,7,3", "each wavelength once. Received: 3,7,3, which has 3 twice"),
        ("0-9,5", "which has 5 twice"),
        ("all,5", "which has 5 twice"),
        ("0-54/8", r"a slice LIST/N:K, the K-th of N slices, K from 1 to N. Received: 0-54/8"),
        ("0-54/8:0", "K from 1 to N"),
        ("0-54/8:9", "K from 1 to N"),
        ("0-54/0:0", "K from 1 to N"),
        ("0-54/", "K from 1 to N"),
        ("0-54/8:3/2:1", "K from 1 to N"),
        ("3,7/3:1", "at most 2 slices of 2 wavelengths"),
    ],
)
def test_each_mistake_is_one_sentence(text, said):
    with pytest.raises(UsageError, match=said) as error:
        Targets.parse(text)
    assert str(error.value).startswith("--wavelength: expected ")
