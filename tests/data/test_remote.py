"""What counts as data on another machine."""

import pytest

from ariel_tf.core.errors import UsageError
from ariel_tf.data.remote import is_remote, naming, refuse_unnamed
from ariel_tf.data.sources.simulated import Recipe

REMOTE = (
    "bigquery://project/set",
    "gs://bucket/data",
    "s3://bucket/data",
    "https://host/data",
    "file://host/data",
    "hdfs://host/data",
    "GS://bucket/data",
    "//server/share",
    r"\\server\share",
    "/net/server/data",
    "/tmp/../net/server/data",
)


@pytest.mark.parametrize("description", REMOTE)
def test_remote_data_that_only_a_file_names_are_refused(description):
    assert is_remote(description)
    with pytest.raises(UsageError, match=r"^run/config.json names data on .* name it yourself: --data "):
        refuse_unnamed(description, "run/config.json")
    assert naming(description) == ["--data", description]


@pytest.mark.parametrize("description", ["data", "/data/network", "simulated:planets=3", "", "./a:b", "/netbook"])
def test_data_of_this_machine_are_opened(description):
    assert not is_remote(description)
    assert refuse_unnamed(description, "run/config.json") == description
    assert naming(description) == []


def test_a_command_to_copy_is_quoted():
    with pytest.raises(UsageError, match=r"--data 'gs://b/\$\(reboot\)'$"):
        refuse_unnamed("gs://b/$(reboot)", "run/config.json")


@pytest.mark.parametrize("setting", ["planets=1000001", "seed=" + "9" * 5000, "spots=9999999999", "planets=٣"])
def test_a_description_of_too_many_simulated_planets_is_refused(setting):
    with pytest.raises(UsageError, match="expected "):
        Recipe.parse(f"simulated:{setting}")
