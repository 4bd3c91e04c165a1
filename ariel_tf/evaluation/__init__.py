"""Evaluation of predictions: losses, intervals, comparisons with references, tables, figures."""
