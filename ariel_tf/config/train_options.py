"""The options that determine a trained model: name, type, bounds, default, flag and help of each.

`config.train_config` derives the configuration of a training from them.
"""

from typing import Annotated, Any

from pydantic import Field, PlainValidator

from ariel_tf.config import choices
from ariel_tf.config.targets import HELP, Targets
from ariel_tf.config.time_steps import parse_steps
from ariel_tf.core import user_code
from ariel_tf.core.numbers import whole_number
from ariel_tf.core.schema import Schema, option
from ariel_tf.data.folds import N_FOLDS

DEFAULT_MODEL = "transit"
WHAT, DATA, READS, TRAINS = "what to train", "data", "what the model reads", "how it trains"


def _recipe(help: str, group: str, name: str, **how: Any) -> Any:
    """Return an option whose default may come from the recipe of the model."""
    return option(None, help, group=group, shown=f"the model's, else {choices.FALLBACK[name]}", **how)


def _folds(default: tuple[int, ...], help: str) -> Any:
    def parse(text: str) -> tuple[int | str, ...]:
        numbers = [(part, whole_number(part)) for part in text.split(",")]
        return tuple(part if number is None else number for part, number in numbers)

    def fit(folds: tuple[int, ...]) -> bool:
        return bool(folds) and all(0 <= fold < N_FOLDS for fold in folds)

    return option(
        default, help, group=DATA, metavar="FOLDS", parse=parse, check=fit, expected=f"folds among 0-{N_FOLDS - 1}"
    )


class TrainOptions(Schema):
    """Options that determine a trained model, as they are given; a field of default None may hold None.

    Attributes:
        model_source: for a model outside this package, its file and checksum or its plug-in, and the unit of a row; no
            flag.
        also_source: fingerprint of the second data set, once it is open; no flag.
    """

    model: str = option(
        DEFAULT_MODEL, "name of the model, or FILE.py:FUNCTION of your own; --list-models describes all of them",
        group=WHAT, metavar="MODEL", parse=user_code.name_by_user
    )  # fmt: skip
    wavelength: Annotated[Targets, PlainValidator(Targets.parse)] = option(
        Targets.one(12), HELP, group=WHAT, metavar="TARGETS", shown="12"
    )
    settings: dict[str, Any] = option(
        {}, "a setting of the model or its training; repeatable; --dry-run prints them", group=WHAT, flag="--set",
        append=True, metavar="NAME=VALUE", expected="settings as names and values"
    )  # fmt: skip

    data: str = option(
        "", "data set: folder of shards and manifest, folder of text files, simulated[:planets=1000,spots=4,...], "
        "simulator[:rows=20000,...] for new planets in each epoch, or "
        "bigquery://PROJECT/DATASET", group=DATA, shown="the folder ./data if it holds a manifest, else simulated",
        parse=user_code.name_by_user
    )  # fmt: skip
    validation_folds: tuple[int, ...] = _folds((8,), "folds whose score selects the best epoch")
    every: int = _recipe("train on every N-th observation only", DATA, "every", low=1, metavar="N")
    planets: int = _recipe("number of training planets; 0: all", DATA, "planets", low=0, metavar="N")
    bootstrap: str = _recipe(
        "draw the training planets with replacement, by --seed", DATA, "bootstrap", choices=choices.YES_NO
    )
    also: str = option(
        "", "second data set; its training folds supply --share of each batch; validation and test planets are those "
        "of --data", group=DATA, metavar="DATA", shown="none", parse=user_code.name_by_user
    )  # fmt: skip
    share: float = option(
        0.2, "share of the rows of each batch that come from --also", group=DATA, low=0.001, high=0.999, metavar="SHARE"
    )
    test_folds: tuple[int, ...] = _folds((9,), "folds for the test score, which is computed once, at the end")

    channels: str = _recipe(
        "light curves that the model reads: that of its wavelength, white light too, or all 55", READS, "channels",
        choices=choices.CHANNELS
    )  # fmt: skip
    steps: str = _recipe(
        "time steps: START:STOP[:EVERY] within 0:300, a list like 5,9,12, or random:N", READS, "steps",
        check=parse_steps
    )  # fmt: skip
    ramp: str = _recipe(
        "detector ramp at the start of a light curve: keep it, set it to 1, or divide it out", READS, "ramp",
        choices=choices.RAMPS
    )  # fmt: skip
    function: str = _recipe(
        "function of the flux, applied before it is scaled", READS, "function", choices=choices.FUNCTIONS
    )
    transform: str = _recipe("scaling of the light curves", READS, "transform", choices=choices.TRANSFORMS)
    star: str = _recipe(
        "stellar parameters that the model reads: none, all, or names separated by commas", READS, "star",
        check=lambda text: choices.parse_star(text) is not None
    )  # fmt: skip
    clip_star: str = _recipe("clip the far tails of the stellar parameters", READS, "clip_star", choices=choices.YES_NO)
    logg: str = _recipe("encoding of the surface gravity", READS, "logg", choices=("number", "one-hot"))

    weights: str = option(
        "none", "file of pretrained weights of the backbone, for models such as image", group=TRAINS, metavar="FILE",
        flag="--pretrained-weights", aliases=("--weights",)
    )  # fmt: skip
    init_from: str = option(
        "", "run folder whose best weights the training starts from, with its model; --set frozen_epochs=N trains only "
        "the last layers for N epochs first", group=TRAINS, metavar="RUN", shown="random weights, by --seed"
    )  # fmt: skip
    augment: str = _recipe(
        f"data augmentation: none, or one or several of {', '.join(choices.AUGMENTATIONS)}, separated by commas",
        TRAINS, "augment", check=lambda text: choices.parse_augment(text) is not None
    )  # fmt: skip
    head: str = _recipe("quantity that the last layer predicts", TRAINS, "head", choices=choices.HEADS)
    loss: str = _recipe("loss that training minimises", TRAINS, "loss", choices=choices.LOSSES)
    optimizer: str = _recipe("optimiser used for training", TRAINS, "optimizer", choices=choices.OPTIMIZERS)
    epochs: int = _recipe("maximum number of passes over the training data", TRAINS, "epochs", low=1, metavar="N")
    patience: int = _recipe(
        "epochs without a better validation score before training stops; 0: never", TRAINS, "patience", low=0,
        metavar="N"
    )  # fmt: skip
    batch_size: int = _recipe("observations in a training step", TRAINS, "batch_size", low=1, metavar="N")
    precision: str = _recipe(
        "numeric precision of the layers; weights are always float32", TRAINS, "precision", choices=choices.PRECISIONS
    )
    fused: str = option(
        "yes", "update the weights in one pass over memory; no: by Keras's own operations; the two differ in rounding",
        group=TRAINS, choices=choices.YES_NO
    )  # fmt: skip
    jit: str = _recipe(
        "compile the training step with XLA; auto: for models that were measured to be faster with it, so far none",
        TRAINS, "jit", choices=choices.AUTO_NO_YES
    )  # fmt: skip
    onednn: str = option(
        "auto", "compute matrix products with oneDNN, which is faster on many processors and rounds differently; auto: "
        "TensorFlow's choice for the processor", group=TRAINS, choices=choices.AUTO_NO_YES
    )  # fmt: skip
    seed: int = option(
        0, "random seed for weight initialisation, shuffling and dropout", group=TRAINS, low=0, metavar="N"
    )

    model_source: dict[str, Any] = Field(default={})
    also_source: dict[str, Any] = Field(default={})
