"""Keras's `fit` under a strategy: one device, several of a host, or several hosts.

    one batch of an epoch, as a single device would read it
        share     each device gets its share of the rows; shares may differ by one row
        step      forward, sum of losses / rows of the whole batch, gradient   on each device
                  gradients added up over the devices, one step of the optimiser

So a training on several devices equals the training on one, up to rounding: the same batches in the same order, the
same loss, gradients that are clipped only after they are summed, batch normalisation over the whole batch. With one
device nothing here has any effect: Keras is used unchanged.

With more than one, three methods of the model object (not of its class, which is saved) are replaced: Keras's own build
fails across hosts, its loss averages shares as if they were equal, and its optimiser clips before it sums.
"""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ariel_tf.core.errors import UsageError


def distribute_dataset(strategy: Any, batches: Any, shared: bool = False) -> Any:
    """Return each device's share of each batch, in the order of the batches.

    Args:
        strategy: result of `strategy_of`.
        batches: a `tf.data.Dataset` of whole batches (nested, rows along the first axis), the same on every host.
        shared: whether they are already this host's shares of those batches.

    Returns:
        what `fit` takes: the dataset itself for one device. Of n rows, device d of k gets rows n d // k to
        n (d + 1) // k, so every row goes to exactly one device.
    """
    import keras
    import tensorflow as tf

    devices = strategy.num_replicas_in_sync
    if devices == 1:
        return batches

    def shares(context: Any) -> tf.data.Dataset:
        here = devices // context.num_input_pipelines
        first, parts = (0, here) if shared else (context.input_pipeline_id * here, devices)

        def of_batch(*batch: Any) -> tf.data.Dataset:
            rows = tf.shape(keras.tree.flatten(batch)[0])[0]

            def share(device: Any) -> Any:
                start, stop = rows * device // parts, rows * (device + 1) // parts
                return keras.tree.map_structure(lambda values: values[start:stop], batch)

            return tf.data.Dataset.range(first, first + here, output_type=tf.int32).map(share)

        return batches.flat_map(of_batch).prefetch(2 * here)

    return strategy.distribute_datasets_from_function(shares)


def prepare(model: Any, batches: Any) -> None:
    """Make `fit` train this compiled model under the strategy in which it was built; can be repeated.

    Args:
        model: whose `train_step` and `test_step` are Keras's own, built and compiled in the strategy's scope.
        batches: a dataset of whole batches, for their shapes.

    Raises:
        UsageError: XLA, which cannot compile a step that communicates between devices.
    """
    strategy = model.distribute_strategy
    if strategy.num_replicas_in_sync == 1:
        return
    import keras
    import tensorflow as tf

    if model.jit_compile is True:
        raise UsageError("--jit yes: XLA can't compile a step of several devices; leave it out, or take one device.")
    sample = keras.tree.map_structure(
        lambda spec: tf.zeros([n or 1 for n in spec.shape], spec.dtype), batches.element_spec
    )
    with strategy.scope():
        model._symbolic_build(data_batch=sample)
    build_optimizer(model)
    expect_summed_gradients(model.optimizer)
    model._maybe_symbolic_build = lambda iterator=None, data_batch=None: None
    model.make_train_function = functools.partial(_make, model, "train_function", _train_step)
    model.make_test_function = functools.partial(_make, model, "test_function", _test_step)


def build_optimizer(model: Any) -> None:
    """Create the variables of a compiled model's optimiser in its strategy's scope, unless they exist.

    `fit` would create them in its first step, and trace that step twice. Building the optimiser of a half precision a
    second time would reset its loss scale.
    """
    if not model.optimizer.built:
        with model.distribute_strategy.scope():
            model.optimizer.build(model.trainable_variables)


def _make(model: Any, name: str, step: Any, force: bool = False) -> Any:
    """Like Keras's `make_train_function` and `make_test_function`: pass an iterator's next batch through `step`."""
    import tensorflow as tf

    strategy = model.distribute_strategy

    def function(iterator: Any) -> dict[str, Any]:
        with _synchronized(model):  # here, since the devices' parts are traced in turn
            logs = strategy.run(functools.partial(step, model), (next(iterator),))
        # The result of one device, with the names by which Keras evaluates the metrics, over all devices, after an
        # epoch.
        return {key: strategy.experimental_local_results(value)[0] for key, value in logs.items()}

    if getattr(model, name) is None or force:
        setattr(model, name, tf.function(function, reduce_retracing=True, autograph=False))
    return getattr(model, name)


def expect_summed_gradients(optimizer: Any) -> None:
    """Make an optimiser accept gradients that are already summed over the devices, so that it clips the sum.

    The optimiser of a half precision wraps another one, which clips and applies.
    """
    while optimizer is not None:
        optimizer._all_reduce_sum_gradients = lambda gradients_and_variables: gradients_and_variables
        optimizer = getattr(optimizer, "inner_optimizer", None)


def replica_slice(rows: Any) -> tuple[Any, Any]:
    """In a replica: return its rows of a whole batch (along the first axis), and their fraction of the batch.

    The split is that of `distribute_dataset`.
    """
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    devices, device = context.num_replicas_in_sync, context.replica_id_in_sync_group
    if devices == 1:
        return rows, 1.0
    count = tf.shape(rows)[0]
    start, stop = count * device // devices, count * (device + 1) // devices
    return rows[start:stop], (stop - start) / count


def all_reduce_sum(values: Any) -> Any:
    """In a replica: return nested tensors, each summed over all replicas."""
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return values
    flat = tf.nest.flatten(values)
    for dtype in sorted({tensor.dtype for tensor in flat}, key=lambda dtype: dtype.name):  # it packs one type at a time
        places = [place for place, tensor in enumerate(flat) if tensor.dtype == dtype]
        for place, total in zip(places, context.all_reduce("SUM", [flat[p] for p in places]), strict=True):
            flat[place] = total
    return tf.nest.pack_sequence_as(values, flat)


def _train_step(model: Any, data: Any) -> dict[str, Any]:
    """One device's part of a step: like `keras.Model.train_step`, exact for shares of different sizes."""
    import tensorflow as tf

    (x, y), (own, total) = data, _rows(data)
    with tf.GradientTape() as tape:
        output = model(x, training=True)
        loss = model.compute_loss(x, y, output, _weights(own, total), training=True)
        _track_loss(model, loss, own, total)
        loss = model.optimizer.scale_loss(loss)
    gradients = all_reduce_sum(tape.gradient(loss, model.trainable_variables))
    model.optimizer.apply(gradients, model.trainable_variables)
    return model.compute_metrics(x, y, output)


def _test_step(model: Any, data: Any) -> dict[str, Any]:
    (x, y), (own, total) = data, _rows(data)
    output = model(x, training=False)
    loss = model.compute_loss(x, y, output, _weights(own, total), training=False)
    _track_loss(model, loss, own, total)
    return model.compute_metrics(x, y, output)


def _rows(data: Any) -> tuple[Any, Any]:
    """Return the rows of this device and of all, float32."""
    import tensorflow as tf

    own = tf.cast(tf.shape(data[1])[0], tf.float32)
    return own, tf.distribute.get_replica_context().all_reduce("SUM", own)


def _weights(own: Any, total: Any) -> Any:
    """Return the weight of each row [own] that makes the sum of the devices' losses the whole batch's mean.

    Keras divides a device's sum of losses by its own rows and by the devices: (sum / own) / devices, but the whole
    batch has sum / all. The weight is own x devices / all: 1 if all shares are equal.
    """
    import tensorflow as tf

    devices = tf.distribute.get_replica_context().num_replicas_in_sync
    return tf.fill([tf.cast(own, tf.int32)], own * devices / total)


def _track_loss(model: Any, loss: Any, own: Any, total: Any) -> None:
    """Return the mean over all rows of all devices, as in `loss` and `val_loss`; a device may have no rows."""
    import tensorflow as tf

    model._loss_tracker.update_state(tf.math.divide_no_nan(loss * total, own), sample_weight=own)


@contextmanager
def _synchronized(model: Any) -> Iterator[None]:
    """Normalise batches over the rows of all devices while a step is traced; the saved layer is not changed."""
    import keras

    found = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    before = [layer.synchronized for layer in found]
    try:
        for layer in found:
            layer.synchronized = True
        yield
    finally:
        for layer, value in zip(found, before, strict=True):
            layer.synchronized = value
