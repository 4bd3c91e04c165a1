"""Gradient-boosted trees for one wavelength, by XGBoost; needs the extra `trees`.

The target is the transit depth in units of its standard deviation over the training rows. Regularisation uses these
units too, so its ranges have the same meaning at every wavelength: on raw depths of about .005, a penalty of 1 would
prevent any split.
"""

import json
from typing import Any

import numpy as np

from ariel_tf.challenge import PPM, depth_error
from ariel_tf.core.errors import UsageError
from ariel_tf.models.tree_ensemble import Tree

# Rounds without a better score on the validation planets before the boosting ends.
PATIENCE = 50


def xgboost() -> Any:
    """Return the library, or raise an error that says how to install it."""
    try:
        import xgboost as library
    except ImportError as error:
        raise UsageError("trees need XGBoost: pip install 'ariel_tf[trees]'") from error
    return library


def settings(hp: Any) -> dict[str, Any]:
    """Return XGBoost's parameters from a model's settings or from a search.

    Args:
        hp: `config.hyperparameters.Settings`, or keras-tuner's `HyperParameters`.
    """
    return {
        "objective": {"absolute": "reg:absoluteerror", "squared": "reg:squarederror"}[
            hp.Choice("objective", ["absolute", "squared"], default="squared")
        ],
        "max_depth": hp.Int("depth", 1, 10, default=5),
        "learning_rate": hp.Float("learning_rate", 0.005, 0.5, sampling="log", default=0.05),
        "min_child_weight": hp.Float("min_child_weight", 0.5, 200.0, sampling="log", default=4.0),
        "subsample": hp.Float("subsample", 0.2, 1.0, default=0.7),
        "colsample_bytree": hp.Float("columns", 0.1, 1.0, default=0.5),
        "reg_lambda": hp.Float("l2", 1e-3, 100.0, sampling="log", default=1.0),
        "reg_alpha": hp.Float("l1", 0.0, 1.0, default=0.0),
        "gamma": hp.Float("split_gain", 0.0, 1.0, default=0.0),
    }


def rounds(hp: Any) -> int:
    """Return the maximum number of trees; the validation planets select how many are used."""
    return hp.Int("rounds", 10, 3000, sampling="log", default=600)


def fit(
    hp: Any, train: tuple[np.ndarray, np.ndarray], validation: tuple[np.ndarray, np.ndarray], seed: int = 0
) -> tuple[Any, float, float]:
    """Boost until the validation score stops improving.

    Args:
        hp: as for `settings`, with `rounds` in addition.
        train, validation: features float32 [rows, f] and radii [rows], Rp/Rs.
        seed: random seed for the rows and columns that each tree is trained on.

    Returns:
        XGBoost's booster with the best number of rounds, scale and offset: depth = scale * prediction + offset.
    """
    library = xgboost()
    # One thread: in a forest this small, threads wait for each other, 4 to 30 times as long; forests run in parallel.
    fixed = {
        "tree_method": "hist",
        "base_score": 0.0,
        "nthread": 1,
        "verbosity": 0,
        "disable_default_eval_metric": True,
    }
    parameters = settings(hp) | fixed | {"seed": seed}
    scale, offset = unit(train[1])
    depth = np.square(np.asarray(train[1], np.float64))
    data = library.DMatrix(train[0], (depth - offset) / scale)
    held = library.DMatrix(validation[0], validation[1])

    def loss(predicted: np.ndarray, matrix: Any) -> tuple[str, float]:
        """Return the loss of the score, in ppm."""
        radius = matrix.get_label()
        return "ppm", float(PPM * np.mean(depth_error(radius, radii(predicted, scale, offset))))

    booster = library.train(
        parameters, data, rounds(hp), evals=[(held, "validation")], custom_metric=loss,
        early_stopping_rounds=PATIENCE, verbose_eval=False,
    )  # fmt: skip
    return booster[: booster.best_iteration + 1], scale, offset


def unit(radii: np.ndarray) -> tuple[float, float]:
    """Return scale and offset of the target: standard deviation and mean of the depths of radii [rows]."""
    depth = np.square(np.asarray(radii, np.float64))
    return float(depth.std()) or 1.0, float(depth.mean())


def radii(answers: np.ndarray, scale: float, offset: float) -> np.ndarray:
    """Return a booster's predictions as relative radii."""
    return np.sqrt(np.maximum(scale * np.asarray(answers, np.float64) + offset, 0.0))


def trees_of(booster: Any) -> list[Tree]:
    """Return the decision trees in a booster."""
    model = json.loads(bytes(booster.save_raw("json")))["learner"]["gradient_booster"]["model"]
    return [_tree(one) for one in model["trees"]]


def _tree(one: dict[str, Any]) -> Tree:
    """Convert XGBoost's arrays: it stores a leaf's value in place of the threshold; -1 means no child."""
    left, right = (np.array(one[name], int) for name in ("left_children", "right_children"))
    condition = np.array(one["split_conditions"], np.float32)
    leaf, itself = left < 0, np.arange(len(left))
    return Tree(
        feature=np.where(leaf, 0, np.array(one["split_indices"], int)),
        threshold=np.where(leaf, 0, condition).astype(np.float32),
        left=np.where(leaf, itself, left),
        right=np.where(leaf, itself, right),
        value=np.where(leaf, condition, 0).astype(np.float32),
    )
