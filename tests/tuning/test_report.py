"""The commands that a search's report gives."""

import json
import shlex

import pytest

from tuning import report


@pytest.mark.parametrize(("data", "naming"), [("simulated", []), ("bigquery://a/b", ["--data", "bigquery://a/b"])])
def test_the_command_that_trains_the_best_names_each_option_once(tmp_path, data, naming):
    """It named --run twice."""
    (tmp_path / "config.json").write_text(json.dumps({"data": data, "model": "squid"}))
    expected = ["--config", f"{tmp_path}/best.json", *naming, "--run", f"{tmp_path}/best"]
    assert shlex.split(report.retrain_command(tmp_path)) == ["python", "-m", "ariel_tf.train", *expected]
