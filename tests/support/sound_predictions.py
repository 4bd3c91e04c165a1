"""Writes predictions that a check accepts: the radii of a data set, and a little noise.

support.sound_predictions DATA FILE
"""

from pathlib import Path

import numpy as np


def main(arguments):
    from ariel_tf.runs.prediction_files import PredictionWriter
    from ariel_tf.submission import open_truth, read_truth

    data, file = arguments
    truth = read_truth(open_truth(data))
    radii = truth["radius"] * np.random.default_rng(0).uniform(0.99, 1.01, truth["radius"].shape)
    with PredictionWriter(Path(file).parent, len(radii), range(55)) as writer:
        writer.add(truth["key"], radii)
        writer.write(Path(file))
