"""The challenge's score as an exact Keras metric, and the losses; `keras.ops` only.

Targets are always relative radii. What a model's training output means depends on its head:

    head="radius"   output = Rp/Rs
    head="depth"    output = (Rp/Rs)^2, linear in flux; the radius is its square root

so the metric and the losses take the head as an argument and convert the output themselves.
"""

from typing import Any

import keras
from keras import ops

from ariel_tf.challenge import PERFECT_SCORE, PPM, depth_error

# Below this depth (a planet of .001 stellar radii) the square root continues as its tangent, so that the gradient of a
# loss on radii stays finite at depth 0 and positive below it.
SMALLEST_DEPTH = 1e-6


def radius_of(output: Any, head: str) -> Any:
    """Return the predicted radius from a training output, differentiable everywhere."""
    if head == "radius":
        return output
    root = ops.sqrt(ops.maximum(output, SMALLEST_DEPTH))
    tangent = SMALLEST_DEPTH**0.5 + (output - SMALLEST_DEPTH) / (2 * SMALLEST_DEPTH**0.5)
    return ops.where(output > SMALLEST_DEPTH, root, tangent)


def predicted_radius(output: Any, head: str) -> Any:
    """Return the predicted radius as a saved model does: sqrt(max(depth, 0)) for head "depth"."""
    return output if head == "radius" else ops.sqrt(ops.relu(output))


def _widest_float() -> str:
    """Return float64, except on JAX, which by default has only float32."""
    return "float32" if keras.backend.backend() == "jax" else "float64"


@keras.saving.register_keras_serializable(package="ariel_tf")
class ArielScore(keras.metrics.Metric):
    """The score of the Ariel Machine Learning Data Challenge, exact over any number of batches.

    Formula:

        10^4 - 10^6 * sum_ij( w_ij * 2 * y_ij * |yhat_ij - y_ij| ) / sum_ij( w_ij )

    Range (-inf, 10000]; higher is better. The metric keeps the two sums rather than an average of batch scores, so the
    result does not depend on batch size, a partial last batch or the number of replicas. Sums are float64 (float32 on
    JAX).

    Args:
        head: "radius" (default) or "depth": the quantity of the model's output.
        name: defaults to "score".
        dtype: dtype of the sums.

    Example, worked by hand: y = .1, .2 and yhat = .1, .21 give
    10^4 - 10^6 * (2 * .1 * 0 + 2 * .2 * .01) / 2 = 8000; weighted 3 : 1 it is
    10^4 - 10^6 * (3 * 0 + 1 * .004) / 4 = 9000.

    >>> score = ArielScore()
    >>> score.update_state([[0.1], [0.2]], [[0.1], [0.21]])
    >>> round(float(score.result()), 2)
    8000.0
    >>> score.reset_state()
    >>> score.update_state([[0.1], [0.2]], [[0.1], [0.21]], sample_weight=[[3.0], [1.0]])
    >>> round(float(score.result()), 2)
    9000.0
    """

    def __init__(self, head: str = "radius", name: str = "score", dtype: str | None = None):
        super().__init__(name=name, dtype=dtype or _widest_float())
        self.head = head
        self._direction = "up"
        self.error = self.add_variable(shape=(), initializer="zeros", dtype=self.dtype, name="error")
        self.weight = self.add_variable(shape=(), initializer="zeros", dtype=self.dtype, name="weight")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch: radii [batch, wavelengths], outputs of that shape, weights broadcastable to it."""
        true = ops.cast(y_true, self.dtype)
        # Cast before any arithmetic: float32 radii are then subtracted without rounding.
        predicted = predicted_radius(ops.cast(y_pred, self.dtype), self.head)
        error = depth_error(true, predicted)
        weight = ops.ones_like(error)
        if sample_weight is not None:
            sample_weight = ops.cast(sample_weight, self.dtype)
            if len(sample_weight.shape) < len(error.shape):  # one weight a row
                sample_weight = ops.expand_dims(sample_weight, -1)
            weight = weight * sample_weight
        self.error.assign_add(ops.sum(weight * error))
        self.weight.assign_add(ops.sum(weight))

    def result(self) -> Any:
        return PERFECT_SCORE - PPM * ops.divide_no_nan(self.error, self.weight)

    def get_config(self) -> dict[str, Any]:
        return {"head": self.head, "name": self.name, "dtype": self.dtype}


MEANS = {"mse": "mean squared", "mae": "mean absolute", "huber": "mean Huber"}


def describe_loss(kind: str, head: str) -> str:
    """Describe the quantity and the unit of `loss` and `val_loss`; the arguments are those of `RadiusLoss`.

    >>> describe_loss("mse", "radius")
    'mean squared error of the radius Rp/Rs, in units of its variance over the training planets'
    """
    if kind == "ariel":
        return "mean error in depth 2 y |y' - y|, in units of the depth's standard deviation over the training planets"
    what = "radius Rp/Rs" if head == "radius" else "depth (Rp/Rs)^2"
    unit = "variance" if kind == "mse" else "standard deviation"
    return f"{MEANS[kind]} error of the {what}, in units of its {unit} over the training planets"


@keras.saving.register_keras_serializable(package="ariel_tf")
class RadiusLoss(keras.losses.Loss):
    """Errors of the head's quantity in units of its standard deviation over the training planets.

    Dimensionless, so a constant prediction has a loss near 1 whatever the head, and neither gradients nor an
    optimiser's epsilon depend on depths being of the order of .005.

    | kind | radius head | depth head |
    |---|---|---|
    | mse | ((yhat - y) / scale)^2 | ((dhat - y^2) / scale)^2 |
    | mae | |yhat - y| / scale | |dhat - y^2| / scale |
    | huber | half the mse up to errors of 1, then mae - 1/2 | the same |
    | ariel | 2 y |yhat - y| / scale | the same, with yhat = sqrt(dhat) |

    Args:
        kind: mse, mae, huber or ariel.
        head: radius or depth.
        scale: standard deviation over the training planets of the radius (mse, mae, huber with head radius) or
            of the depth (everything else); a float, one for each wavelength, or a tensor of them.
    """

    def __init__(
        self, kind: str = "mse", head: str = "radius", scale: Any = 1.0, name: str = "loss", **options: Any
    ) -> None:
        super().__init__(name=name, **options)
        self.kind, self.head = kind, head
        if ops.is_tensor(scale):
            self.scale = scale
        else:
            self.scale = [float(value) for value in scale] if hasattr(scale, "__len__") else float(scale)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        y_true = ops.cast(y_true, y_pred.dtype)
        scale = ops.convert_to_tensor(self.scale, y_pred.dtype)
        if self.kind == "ariel":
            error = depth_error(y_true, radius_of(y_pred, self.head)) / scale
        else:
            target = y_true if self.head == "radius" else ops.square(y_true)
            error = (y_pred - target) / scale
            size = ops.abs(error)
            if self.kind == "mse":
                error = ops.square(error)
            elif self.kind == "huber":
                error = ops.where(size <= 1, ops.square(error) / 2, size - 0.5)
            else:
                error = size
        return ops.mean(error, axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "kind": self.kind, "head": self.head, "scale": self.scale}
