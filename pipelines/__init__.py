"""Offline work on data sets, run as `python -m pipelines.NAME`."""
