"""One step of an optimiser, in one pass over memory where that is possible.

Keras writes Adam as some ten operations, each of which reads or writes all weights; of a stack of small models that
is half the time of a step. TensorFlow's own kernel of the same formula takes a third of it.
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


def apply(optimizer: keras.Optimizer, gradients: Sequence[Any], variables: Sequence[keras.Variable]) -> None:
    """As `optimizer.apply(gradients, variables)`, equal up to rounding.

    Args:
        optimizer: built for these variables in this order; without clipping, averages or accumulation, which
            `stackable.refuse_unstackable` makes sure of.
    """
    if (
        type(optimizer) is not keras.optimizers.Adam
        or optimizer.amsgrad
        or optimizer.weight_decay
        or optimizer.clipvalue
    ):
        optimizer.apply(gradients, variables)
        return
    slots = zip(optimizer._momentums, optimizer._velocities, strict=True)
    for variable, gradient, (momentum, velocity) in zip(variables, gradients, slots, strict=True):
        dtype = variable.value.dtype
        step = tf.cast(optimizer.iterations.value + 1, dtype)
        decays = optimizer.beta_1, optimizer.beta_2
        # Cast as Keras does: its powers are of decays that were float32 for a moment.
        powers = [tf.pow(keras.ops.cast(decay, dtype), step) for decay in decays]
        tf.raw_ops.ResourceApplyAdam(
            var=variable.value.handle,
            m=momentum.value.handle,
            v=velocity.value.handle,
            beta1_power=powers[0],
            beta2_power=powers[1],
            lr=tf.cast(optimizer.learning_rate, dtype),
            beta1=tf.constant(decays[0], dtype),
            beta2=tf.constant(decays[1], dtype),
            epsilon=tf.constant(optimizer.epsilon, dtype),
            grad=tf.cast(gradient, dtype),
        )
    optimizer.iterations.assign_add(1)
