"""Output of `train --dry-run`: configuration, settings with range and meaning, model, memory, and cost in BigQuery."""

import json
import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ariel_tf.config.hyperparameters import meaning
from ariel_tf.config.run_options import RunOptions
from ariel_tf.config.train_config import Role, TrainConfig
from ariel_tf.core import resources
from ariel_tf.core.resources import format_bytes
from ariel_tf.training import distribute
from ariel_tf.training.job import TrainingJob, data_facts

if TYPE_CHECKING:
    from ariel_tf.models.builder import Built

# Bytes of each weight besides its own and its optimiser's: gradient, two temporaries of the step, the best epoch's.
WEIGHT_COPIES = 4
# Of each layer's output: forward, backward, and one in between.
OUTPUT_COPIES = 3
FLOAT = 4
# Number of rows in the table of layers.
MOST_LAYERS = 24
_WIDTH = 110


class Memory(NamedTuple):
    """Bytes that a training needs.

    Attributes:
        used: bytes that this process uses now: libraries, model, and rows that are held in memory.
        weights: gradients, optimiser and copies of the weights.
        outputs: outputs of all layers, for a batch.
    """

    used: int
    weights: int
    outputs: int

    @property
    def total(self) -> int:
        """Return the sum of all parts."""
        return sum(self)


def describe(job: TrainingJob, built: "Built", groups: Sequence[Sequence[int]] = ()) -> None:
    """Print what the training would do.

    Args:
        job: job with the settings of the built model.
        built: model of the training, or of its first wavelength.
        groups: wavelengths that are trained together, for a list of wavelengths.
    """
    print(json.dumps(job.identity | data_facts(job.source, job.config.folds), indent=2))
    print("\n".join(["", *setting_lines(built), "", *model_lines(built), "", *memory_lines(job, built, groups)]))
    print(f"would train in {job.path}; nothing was written")


def print_cost(config: TrainConfig, options: RunOptions) -> None:
    """Print the configuration, and what its training would scan in BigQuery and cost, for --dry-run.

    Args:
        config: resolved configuration; its data is a BigQuery address.
        options: run options, with the price of a TiB.
    """
    from ariel_tf.core.tf_startup import import_tensorflow

    import_tensorflow()
    from ariel_tf.data.bigquery.cost import print_training_cost
    from ariel_tf.data.dataset import fits_in_memory
    from ariel_tf.data.sources import open_source

    roles: tuple[Role, ...] = ("train", "validation", "test")
    own, together = ({role: its.selection(role) for role in roles} for its in (config.first, config))
    source = open_source(config.data, config.signature.inputs)
    print(json.dumps(config.as_json() | {"data": source.description, "fingerprint": source.fingerprint}, indent=2))
    in_memory = fits_in_memory(source, own["train"], options.memory_bytes)
    print_training_cost(source, own, together, config.epochs, in_memory, options.price)


def setting_lines(built: "Built") -> list[str]:
    """Return one line per setting: name, value, range and meaning."""
    rows = [(name, _short(value), built.ranges.get(name, ""), meaning(name)) for name, value in built.settings.items()]
    head = ("--set", "value", "range", "meaning")
    widths = [min(24, max(len(row[column]) for row in (head, *rows))) for column in range(3)]
    return [line for row in (head, *rows) for line in _row(row, widths)]


def _row(cells: tuple[str, ...], widths: list[int]) -> list[str]:
    """Return a row of the table as lines: long ranges and meanings are wrapped."""
    parts = [[cells[0]], [cells[1]], textwrap.wrap(cells[2], widths[2]) or [""]]
    parts.append(textwrap.wrap(cells[3], max(30, _WIDTH - sum(widths) - 6)) or [""])
    lines = []
    for index in range(max(map(len, parts))):
        texts = [part[index] if index < len(part) else "" for part in parts]
        lines.append("  ".join(f"{text:{width}s}" for text, width in zip(texts, [*widths, 0], strict=True)).rstrip())
    return lines


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)


def model_lines(built: "Built") -> list[str]:
    """Return the number of weights, and the layers that have some or consist of several operations."""
    import keras

    model = built.inference
    total, trained = (sum(math.prod(one.shape) for one in part) for part in (model.weights, model.trainable_weights))
    inputs = ", ".join(f"{one.name} {list(one.shape[1:])}" for one in model.inputs)
    lines = [
        f"model {model.name}: {inputs} to {list(model.output.shape[1:])}",
        f"{total:,} weights, {trained:,} of them trained, {format_bytes(FLOAT * total)}",
    ]
    holding = [layer for layer in model.layers if layer.weights or isinstance(layer, keras.Model)]
    for layer in holding[:MOST_LAYERS]:
        count = sum(math.prod(one.shape) for one in layer.weights)
        lines.append(f"  {layer.name:24s}{type(layer).__name__:22s}{count:12,d} weights")
    if (more := len(holding) - MOST_LAYERS) > 0:
        lines.append(f"  ... and {more} more layers like these")
    if (without := len(model.operations) - len(holding)) > 0:
        lines.append(f"  and {without} others without weights")
    return lines


def memory_needed(job: TrainingJob, built: "Built") -> Memory:
    """Estimate the memory of one model's training, rather too high than too low."""
    model = built.training
    distribute.build_optimizer(model)
    trained = sum(math.prod(one.shape) for one in model.trainable_variables)
    slots = sum(math.prod(one.shape) for one in model.optimizer.variables)
    outputs = sum(_numbers(one) for one in model.operations)
    return Memory(
        used=resources.memory_used(),
        weights=FLOAT * (slots + WEIGHT_COPIES * trained),
        outputs=FLOAT * OUTPUT_COPIES * rows_of_a_batch(job) * outputs,
    )


def rows_of_a_batch(job: TrainingJob) -> int:
    """Return the size of a batch, which holds no more rows than there are for training."""
    folds = job.config.first.train_folds
    rows = sum(source.observations(folds) for source in (job.source, job.also) if source is not None)
    return min(job.config.batch_size, max(1, rows))


def stack_memory(job: TrainingJob, built: "Built", used: int, group: Sequence[int]) -> Memory:
    """Estimate the memory of a stack of models.

    Args:
        job: job of the run.
        built: model of one wavelength.
        used: bytes that this process uses now.
        group: wavelengths of the stack.
    """
    from ariel_tf.training.stacked import memory

    return Memory(used, len(group) * memory.needed_by_each(job, built.training, group), 0)


def _numbers(operation: Any) -> int:
    """Return the number of values that a layer or an operation computes per row."""
    import keras

    if isinstance(operation, keras.Model):
        return sum(_numbers(one) for one in operation.operations if not isinstance(one, keras.layers.InputLayer))
    tensors = keras.tree.flatten(operation.output)
    # Keras may not know a dimension other than the batch; a constant has no batch.
    return sum(math.prod(size or 1 for size in tensor.shape[1:]) for tensor in tensors if hasattr(tensor, "shape"))


def memory_lines(job: TrainingJob, built: "Built", groups: Sequence[Sequence[int]] = ()) -> list[str]:
    """Return the memory that the training needs, and the free memory; for stacks, that of the largest group."""
    needed = memory_needed(job, built)
    lines = [
        f"memory of one model's training: about {format_bytes(needed.total)}",
        f"  {format_bytes(needed.used):>10s}  this process now: libraries, model, rows that are held in memory",
        f"  {format_bytes(needed.weights):>10s}  gradients, optimiser and copies of the weights",
        f"  {format_bytes(needed.outputs):>10s}  outputs of layers, {rows_of_a_batch(job)} rows a batch",
    ]
    if len(largest := max(groups, key=len, default=())) > 1:
        needed = stack_memory(job, built, needed.used, largest)
        lines.append(f"memory of {len(largest)} models trained together: about {format_bytes(needed.total)}")
    lines.append(f"  {format_bytes(resources.free_memory()):>10s}  of the machine's memory are free")
    if needed.total - needed.used > resources.free_memory():
        lines.append("  this may not fit: a smaller --batch-size needs less")
    return lines
