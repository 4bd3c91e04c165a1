"""What a run of several wavelengths prints when it is finished."""

from pathlib import Path

from ariel_tf.runs import list_run


def test_a_list_names_the_command_that_prints_its_weighted_scores():
    """`train --wavelength all` printed unweighted scores only, and drew no spectra."""
    row = {"epochs": 3, "best_epoch": 2, "best_score": 9000.0, "observation": 9100.0, "planet": 9200.0}
    mean = {"observation": 9100.0, "planet": 9200.0}
    scores = {"test": mean, "constant": mean, "test_planets": 2, "test_observations": 4, "wavelengths": {"12": row}}
    lines = list_run.report_lines(Path("my runs/all"), scores)
    assert "evaluation   python -m ariel_tf.evaluate 'my runs/all'   (weighted scores, spectra)" in lines
