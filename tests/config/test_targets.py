"""`--wavelength` lists: what they mean, how they are named, and one sentence for each mistake."""

import pytest

from ariel_tf.config.targets import as_text, folder_name, is_list, parse_list
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
    assert is_list(text)
    assert parse_list(text) == expected


@pytest.mark.parametrize("wavelengths", ["all", "3,7,12-20", "5-9"])
def test_the_slices_of_a_list_hold_each_wavelength_once_and_differ_by_one_at_most(wavelengths):
    whole = parse_list(wavelengths)
    for count in range(1, len(whole) + 1):
        slices = [parse_list(f"{wavelengths}/{count}:{number}") for number in range(1, count + 1)]
        assert tuple(wavelength for one in slices for wavelength in one) == whole
        assert max(map(len, slices)) - min(map(len, slices)) <= 1


@pytest.mark.parametrize("text", ["0-54", "3,7,10-12", "0,2,4", "5", "53-54"])
def test_a_list_has_one_name_and_the_name_reads_back(text):
    assert as_text(parse_list(text)) == text


def test_lists_of_the_same_wavelengths_have_the_same_name():
    assert as_text(parse_list("all")) == as_text(parse_list("20-54,0-19")) == "0-54"


@pytest.mark.parametrize("text", ["12", "joint", "x", "55"])
def test_one_number_or_a_word_is_no_list(text):
    assert not is_list(text)


@pytest.mark.parametrize(
    ("wavelength", "name"), [(3, "w03"), ("joint", "joint"), ("0-54", "w00-w54"), ("3,7,12", "w03-w12")]
)
def test_folder_names(wavelength, name):
    assert folder_name(wavelength) == name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0-55", r"numbers and ranges in 0-54 .* Received: 0-55$"),
        ("9-3", "numbers and ranges"),
        ("-1", "numbers and ranges"),
        ("3,,7", "Received: 3,,7, where nothing is none"),
        ("3,x", "Received: 3,x, where x is none"),
        ("3,joint", "where joint is none"),
        ("1.5,2", "where 1.5 is none"),
        ("²,3", "where ² is none"),
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
        parse_list(text)
    assert str(error.value).startswith("--wavelength: expected ")
