"""Update the weights in one pass over memory, with TensorFlow's kernel of an optimiser's formula.

Keras implements a step of Adam as about fifteen operations, each of which reads or writes all weights; in a wide dense
model or a stack of small ones they take a third to a half of a training step. TensorFlow's kernel of the same formula
takes a third of their time.
"""

from typing import Any

import keras
import tensorflow as tf


def fuse(optimizer: keras.Optimizer) -> keras.Optimizer:
    """Make an optimiser update each weight in one pass, equal to its own operations up to rounding.

    Only the object's `update_step` is replaced: clipping, weight decay, averages, accumulation, the loss scale of half
    precision, variables and therefore checkpoints remain Keras's. An optimiser without a kernel is not changed.

    Returns:
        The same optimiser.
    """
    inner = getattr(optimizer, "inner_optimizer", None)
    if inner is not None:  # the optimiser of a half precision, which scales the loss
        fuse(inner)
        return optimizer
    kernel = _kernel(optimizer)
    if kernel is None or is_fused(optimizer):
        return optimizer
    own = optimizer.update_step

    def update_step(gradient: Any, variable: Any, learning_rate: Any) -> None:
        if isinstance(gradient, tf.IndexedSlices):  # gradient of an embedding's rows
            own(gradient, variable, learning_rate)
            return
        gradient, rate = tf.cast(gradient, variable.dtype), tf.cast(learning_rate, variable.dtype)
        kernel(optimizer, optimizer._get_variable_index(variable), gradient, variable, rate)

    optimizer.update_step = update_step
    optimizer.fused = True
    return optimizer


def is_fused(optimizer: keras.Optimizer) -> bool:
    """Whether an optimiser updates in one pass."""
    return getattr(optimizer, "fused", False)


def _kernel(optimizer: keras.Optimizer) -> Any:
    """Return the kernel of an optimiser, which updates one variable; None if its formula has none.

    A kernel takes the optimiser, the index of the variable in it, the gradient, the `tf.Variable` and the rate.
    """
    kind = type(optimizer)
    if kind in (keras.optimizers.Adam, keras.optimizers.AdamW):
        return None if optimizer.amsgrad else _adam
    if kind is keras.optimizers.RMSprop:
        several = optimizer._distribution_strategy.num_replicas_in_sync > 1
        return None if optimizer.momentum or optimizer.centered or several else _RMSprop()
    if kind is keras.optimizers.SGD:
        return None if optimizer.momentum else _sgd
    return _nadam if kind is keras.optimizers.Nadam else None


def _adam(optimizer: Any, index: int, gradient: Any, variable: Any, rate: Any) -> None:
    dtype, decays = variable.dtype, (optimizer.beta_1, optimizer.beta_2)
    step = tf.cast(optimizer.iterations.value + 1, dtype)
    # Cast like Keras: its powers are of decays that were temporarily float32.
    powers = [tf.pow(keras.ops.cast(decay, dtype), step) for decay in decays]
    tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=optimizer._momentums[index].value.handle,
        v=optimizer._velocities[index].value.handle,
        beta1_power=powers[0],
        beta2_power=powers[1],
        lr=rate,
        beta1=tf.constant(decays[0], dtype),
        beta2=tf.constant(decays[1], dtype),
        epsilon=tf.constant(optimizer.epsilon, dtype),
        grad=gradient,
    )


def _nadam(optimizer: Any, index: int, gradient: Any, variable: Any, rate: Any) -> None:
    """Nadam's step is Adam's step for the momentum plus one for the gradient alone, which no kernel has."""
    dtype = variable.dtype
    step = tf.cast(optimizer.iterations.value + 1, dtype)
    # Cast like Keras, as in `_adam`.
    beta_1, beta_2, decay = (keras.ops.cast(value, dtype) for value in (optimizer.beta_1, optimizer.beta_2, 0.96))
    now, following = (beta_1 * (1 - 0.5 * tf.pow(decay, step + ahead)) for ahead in (0, 1))
    product = tf.cast(optimizer._u_product.value, dtype)
    root = tf.sqrt(1 - tf.pow(beta_2, step))
    epsilon = optimizer.epsilon * root
    velocity = optimizer._velocities[index].value
    tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=optimizer._momentums[index].value.handle,
        v=velocity.handle,
        beta1_power=tf.zeros([], dtype),
        beta2_power=tf.zeros([], dtype),
        lr=rate * root * following / (1 - product * following),
        beta1=beta_1,
        beta2=beta_2,
        epsilon=epsilon,
        grad=gradient,
    )
    scale = rate * root * (1 - now) / (1 - product)
    optimizer.assign_sub(variable, gradient * scale / (tf.sqrt(velocity) + epsilon))


def _sgd(optimizer: Any, index: int, gradient: Any, variable: Any, rate: Any) -> None:
    tf.raw_ops.ResourceApplyGradientDescent(var=variable.handle, alpha=rate, delta=gradient)


class _RMSprop:
    """RMSprop's kernel writes a momentum, which Keras's optimiser does not have: a temporary array."""

    def __init__(self) -> None:
        self._unused: dict[int, Any] = {}

    def __call__(self, optimizer: Any, index: int, gradient: Any, variable: Any, rate: Any) -> None:
        dtype = variable.dtype
        if index not in self._unused:
            with tf.init_scope():
                self._unused[index] = tf.Variable(tf.zeros(variable.shape, dtype), trainable=False)
        tf.raw_ops.ResourceApplyRMSProp(
            var=variable.handle,
            ms=optimizer._velocities[index].value.handle,
            mom=self._unused[index].handle,
            lr=rate,
            rho=tf.constant(optimizer.rho, dtype),
            momentum=tf.zeros([], dtype),
            epsilon=tf.constant(optimizer.epsilon, dtype),
            grad=gradient,
        )
