"""Searches for good settings with keras-tuner, each trial an ordinary training: `python -m tuning.search`."""
