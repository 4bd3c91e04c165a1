"""Functions that tf.data runs in a graph, traced as they are written.

By default AutoGraph rewrites a function's source before it is traced, so that `if` and `for` can depend on tensors.
None of our functions needs that, and without it a small training takes a sixth less time.
"""

import functools
from collections.abc import Callable, Hashable
from typing import Any

import tensorflow as tf


def as_written(function: Callable) -> Callable:
    """Return a function for `tf.data.Dataset.map` and the like that is traced without AutoGraph."""
    return tf.autograph.experimental.do_not_convert(function)


@functools.lru_cache(maxsize=64)
def traced_once(function: Callable, *settings: Hashable) -> Callable[..., Any]:
    """Return `function(*tensors, *settings)` as a graph that all pipelines with these settings share.

    A pipeline of few planets takes longer to trace than to run, and a training builds one for each part of its data.
    """
    return tf.function(lambda *tensors: function(*tensors, *settings), autograph=False)
