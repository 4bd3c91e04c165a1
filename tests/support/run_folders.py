"""What tests of run folders share: reading their files, and stopping a training where it hurts."""

import csv
import json
import signal
from pathlib import Path

from ariel_tf import train
from ariel_tf.training import callbacks, schedule


def run(*arguments):
    """`python -m ariel_tf.train` with these arguments, in this process."""
    train.main([*arguments])


def table(path):
    """Rows of a CSV file, as dictionaries of text."""
    return list(csv.DictReader(Path(path).read_text().splitlines()))


def loaded(path):
    """The content of a JSON file."""
    return json.loads(Path(path).read_text())


# Shares of the time that go into saving: each epoch is saved, or none but the first and the last.
ALWAYS, SELDOM = 1.0, 1e-9


def send_in_epoch(patch, number, signal_number, share=ALWAYS):
    """Let a training that saves at this pace receive a signal at the start of an epoch, counted from 1.

    `patch` undoes it.
    """
    patch.setattr(schedule, "SHARE", share)
    reseed = callbacks.Reseed.on_epoch_begin

    def on_epoch_begin(self, epoch, logs=None):
        reseed(self, epoch, logs)
        if epoch + 1 == number:
            signal.raise_signal(signal_number)

    patch.setattr(callbacks.Reseed, "on_epoch_begin", on_epoch_begin)
