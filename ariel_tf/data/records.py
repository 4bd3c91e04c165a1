"""The record format: one planet as a tf.train.Example; writing, reading in a graph, and reading in NumPy.

With n observations, all numbers little-endian:

    planet       int64                   AAAA of the file names
    instances    bytes, int32 [n, 2]     (spot, photon) of each observation
    star         bytes, float64 [6]      `challenge.STAR_PARAMETERS`
    orbit        bytes, float64 [2]      `challenge.ORBIT_PARAMETERS`; NaN in test sets
    radii        bytes, float64 [55]     Rp/Rs; NaN in test sets
    scatter      bytes, float32 [n, 55]  noise outside transit
    flux/00 ...  bytes, float32 [n, 300] one feature per wavelength, up to flux/54
    flux/white   bytes, float32 [n, 300] inverse-variance mean over wavelengths

One feature per wavelength, so that a reader parses only the wavelengths it needs; bytes, because float lists are 25
times slower to write and several times slower to read.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from ariel_tf.challenge import FLUX_BOUNDS, N_STEPS, N_WAVELENGTHS, ORBIT_PARAMETERS, STAR_PARAMETERS
from ariel_tf.core.errors import DataError
from ariel_tf.planet import Planet

WHITE = "flux/white"
# Two digits of a file's name.
MAX_INSTANCE = 99


def flux_feature(wavelength: int) -> str:
    """Return the feature's name: `flux/07` for wavelength 7."""
    return f"flux/{wavelength:02d}"


def encode(planet: Planet) -> bytes:
    """Return a serialised tf.train.Example; the same planet always gives the same bytes."""
    return encode_part(planet, range(N_WAVELENGTHS), white=True)


def encode_part(planet: Planet, wavelengths: Sequence[int], white: bool) -> bytes:
    """Return a record with the light curves of some wavelengths only; `parse` can read no others from it.

    Args:
        planet: its `flux` has only these wavelengths, [w, n, 300]; the rest is complete.
        wavelengths: ascending.
        white: whether it has white light.
    """
    raw = {
        "instances": _little(planet.instances, "<i4"),
        "star": _little(planet.star, "<f8"),
        "orbit": _little(planet.orbit, "<f8"),
        "radii": _little(planet.radii, "<f8"),
        "scatter": _little(planet.scatter, "<f4"),
    }
    if white:
        raw[WHITE] = _little(planet.white, "<f4")
    for index, wavelength in enumerate(wavelengths):
        raw[flux_feature(wavelength)] = _little(planet.flux[index], "<f4")
    example = tf.train.Example()
    feature = example.features.feature
    feature["planet"].int64_list.value.append(planet.number)
    for name, value in raw.items():
        feature[name].bytes_list.value.append(value)
    return example.SerializeToString(deterministic=True)  # sorted map keys


def parse(
    serialized: tf.Tensor, wavelengths: Sequence[int], white: bool = False, labelled: bool = False
) -> dict[str, tf.Tensor]:
    """Parse the parts of a record that a reader needs, inside a TensorFlow graph.

    Args:
        serialized: string [], one record.
        wavelengths: some of the 55, in the requested order; a Python sequence, fixed in the graph. May be empty.
        white: whether to include the white light curves.
        labelled: whether the radii must be known; otherwise they may be NaN.

    Returns:
        planet int32 [], instances int32 [n, 2], star float32 [6], radii float32 [w] (NaN in test sets),
        scatter float32 [n, w], flux float32 [w, n, 300], and with `white` white float32 [n, 300].

    Raises:
        tf.errors.InvalidArgumentError: not a record, or a value out of its bounds; the message names planet and
        quantity.
    """
    names = ["instances", "star", "radii", "scatter", *map(flux_feature, wavelengths)] + [WHITE] * white
    features = {name: tf.io.FixedLenFeature([], tf.string) for name in names}
    features["planet"] = tf.io.FixedLenFeature([], tf.int64)
    record = tf.io.parse_single_example(serialized, features)
    instances = tf.reshape(tf.io.decode_raw(record["instances"], tf.int32), [-1, 2])
    n = tf.shape(instances)[0]
    columns = list(wavelengths)
    radii = tf.ensure_shape(tf.io.decode_raw(record["radii"], tf.float64), [N_WAVELENGTHS])
    radii = tf.gather(radii, tf.constant(columns, tf.int32))
    star = tf.ensure_shape(tf.io.decode_raw(record["star"], tf.float64), [len(STAR_PARAMETERS)])
    scatter = tf.reshape(tf.io.decode_raw(record["scatter"], tf.float32), [n, N_WAVELENGTHS])
    parsed = {
        "planet": tf.cast(record["planet"], tf.int32),
        "instances": instances,
        "star": tf.cast(star, tf.float32),
        "radii": tf.cast(radii, tf.float32),
        "scatter": tf.gather(scatter, tf.constant(columns, tf.int32), axis=1),
        "flux": _parse_flux([record[flux_feature(wavelength)] for wavelength in columns], n),
    }
    if white:
        parsed["white"] = tf.reshape(tf.io.decode_raw(record[WHITE], tf.float32), [n, N_STEPS])
    _refuse_bounds(record["planet"], star, radii, parsed, labelled)
    return parsed


def _refuse_bounds(
    number: tf.Tensor, star: tf.Tensor, radii: tf.Tensor, parsed: dict[str, tf.Tensor], labelled: bool
) -> None:
    """Return an assertion in the graph that every value is within the bounds of `planet.planet_faults`.

    Args:
        number: int64 [], the planet, before the cast.
        star, radii: float64 [6] and [w], before the cast.
        parsed: result of `parse`.
        labelled: whether radii must be known.
    """
    low = tf.constant([parameter.low for parameter in STAR_PARAMETERS], tf.float64)
    high = tf.constant([parameter.high for parameter in STAR_PARAMETERS], tf.float64)
    sound_radii = (radii > 0) & (radii <= 1)
    checks = {
        "a number": (number >= 0) & (number <= tf.int32.max),
        "a spot or photon instance": tf.reduce_all((parsed["instances"] >= 0) & (parsed["instances"] <= MAX_INSTANCE)),
        "a stellar parameter": tf.reduce_all((star > low) & (star < high)),
        "a relative radius": tf.reduce_all(sound_radii if labelled else sound_radii | tf.math.is_nan(radii)),
        "a scatter": tf.reduce_all((parsed["scatter"] >= 0) & (parsed["scatter"] < np.inf)),
    }
    if parsed["flux"].shape[0]:
        checks["flux"] = _flux_within_bounds(parsed["flux"])
    if "white" in parsed:
        checks["white light"] = _flux_within_bounds(parsed["white"])
    sound = tf.stack([*checks.values()])
    first = tf.argmin(tf.cast(sound, tf.int32))
    name = tf.strings.as_string(number, width=4, fill="0")
    faults = tf.constant([*checks])
    fault = tf.strings.join(["planet ", name, " has ", faults[first], " out of bounds"])
    tf.debugging.Assert(tf.reduce_all(sound), [fault])


def _flux_within_bounds(flux: tf.Tensor) -> tf.Tensor:
    """Whether all flux is finite and within `FLUX_BOUNDS`; minimum and maximum of NaN are NaN, which fails.

    Reductions need no memory of their own, unlike comparisons, which would cost a tenth of the reading time.
    """
    return (tf.reduce_min(flux) > FLUX_BOUNDS[0]) & (tf.reduce_max(flux) < FLUX_BOUNDS[1])


def as_record(planet: Planet, wavelengths: Sequence[int], white: bool = False) -> dict[str, np.ndarray]:
    """Return the parts of a planet that a reader needs, in NumPy: like `parse` of the planet's record."""
    columns = list(wavelengths)
    record = {
        "planet": np.array(planet.number, np.int32),
        "instances": planet.instances,
        "star": planet.star.astype(np.float32),
        "radii": planet.radii[columns].astype(np.float32),
        "scatter": planet.scatter[:, columns],
        "flux": planet.flux[columns],
    }
    return record | {"white": planet.white} if white else record


def specs(wavelengths: Sequence[int], white: bool = False) -> dict[str, tf.TensorSpec]:
    """Return shapes and types of the results of `parse` and `as_record`."""
    count = len(wavelengths)
    found = {
        "planet": tf.TensorSpec([], tf.int32),
        "instances": tf.TensorSpec([None, 2], tf.int32),
        "star": tf.TensorSpec([len(STAR_PARAMETERS)], tf.float32),
        "radii": tf.TensorSpec([count], tf.float32),
        "scatter": tf.TensorSpec([None, count], tf.float32),
        "flux": tf.TensorSpec([count, None, N_STEPS], tf.float32),
    }
    return found | {"white": tf.TensorSpec([None, N_STEPS], tf.float32)} if white else found


def narrow(record: dict[str, tf.Tensor], columns: Sequence[int], white: bool = False) -> dict[str, tf.Tensor]:
    """Return a record with some of its wavelengths only, in a TensorFlow graph.

    Args:
        record: result of `parse`, with white light.
        columns: positions of the requested wavelengths among those of the record.
        white: whether to keep the white light curves.
    """
    narrowed = {name: values for name, values in record.items() if white or name != "white"}
    narrowed["radii"] = tf.gather(record["radii"], columns)
    narrowed["scatter"] = tf.gather(record["scatter"], columns, axis=1)
    narrowed["flux"] = tf.gather(record["flux"], columns)
    return narrowed


def _parse_flux(raw: list[tf.Tensor], n: tf.Tensor) -> tf.Tensor:
    """Decode a string [] per wavelength to float32 [w, n, 300], in one op for all."""
    if not raw:
        return tf.zeros([0, n, N_STEPS])
    return tf.reshape(tf.io.decode_raw(tf.stack(raw), tf.float32), [len(raw), n, N_STEPS])


def decode(serialized: bytes) -> Planet:
    """Return the whole planet in NumPy, bit for bit what was encoded.

    Raises:
        DataError: the bytes are not a record of this schema.
    """
    try:
        example = tf.train.Example.FromString(serialized)
    except DecodeError as error:
        raise DataError(f"expected a record of one planet, received {len(serialized)} bytes of another kind") from error
    feature = example.features.feature
    number = feature["planet"].int64_list.value
    if len(number) != 1:
        raise DataError(f"expected one planet number in the record, received {len(number)}")
    instances = _array(feature, "instances", "<i4", (-1, 2))
    n = len(instances)
    return Planet(
        number=int(number[0]),
        instances=instances,
        star=_array(feature, "star", "<f8", (len(STAR_PARAMETERS),)),
        orbit=_array(feature, "orbit", "<f8", (len(ORBIT_PARAMETERS),)),
        radii=_array(feature, "radii", "<f8", (N_WAVELENGTHS,)),
        flux=np.stack([_array(feature, flux_feature(w), "<f4", (n, N_STEPS)) for w in range(N_WAVELENGTHS)]),
        scatter=_array(feature, "scatter", "<f4", (n, N_WAVELENGTHS)),
        white=_array(feature, WHITE, "<f4", (n, N_STEPS)),
    )


def _little(array: np.ndarray, dtype: str) -> bytes:
    return np.ascontiguousarray(array, np.dtype(dtype)).tobytes()


def _array(feature: Any, name: str, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return a bytes feature as a native array of that shape; raise DataError if it contains anything else."""
    value: Sequence[bytes] = feature[name].bytes_list.value if name in feature else []
    if len(value) != 1:
        raise DataError(f"expected the feature {name!r} once in the record, received {len(value)}")
    size = np.dtype(dtype).itemsize * abs(int(np.prod(shape)))
    if len(value[0]) % size if -1 in shape else len(value[0]) != size:
        raise DataError(f"expected {dtype} {list(shape)} in the feature {name!r}, received {len(value[0])} bytes")
    return np.frombuffer(value[0], dtype).reshape(shape).astype(dtype[1:])
