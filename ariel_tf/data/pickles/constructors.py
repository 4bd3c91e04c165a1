"""Constructors named in pickles of arrays and tables, and the inert records that represent their results.

A name that is not in `ADMITTED` is refused as soon as it is read. An admitted name is never imported: NumPy's are read
to `values.Array` and Python numbers, and those of pandas and pyarrow, of all versions, are recorded as `values.Made`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ariel_tf.core.errors import DataError
from ariel_tf.data.pickles.values import Array, DType, Global, Made, Span

# Bytes are stored as text in protocols 0 to 2.
_LATIN = ("latin1", "latin-1")

# Names that occur as arguments of the above and are not called.
_NAMES = [("numpy", "ndarray"), ("builtins", "object"), ("__builtin__", "object")]

_RECORDED = {
    "pandas": [
        "DataFrame", "Series", "Index", "RangeIndex", "MultiIndex", "CategoricalIndex", "Categorical",
        "CategoricalDtype", "StringDtype",
        *(f"{kind}{bits}Dtype" for kind in ("Int", "UInt") for bits in (8, 16, 32, 64)),
        "Float32Dtype", "Float64Dtype", "BooleanDtype",
    ],
    "pandas.arrays": [
        "ArrowStringArray", "StringArray", "IntegerArray", "FloatingArray", "BooleanArray", "Categorical",
    ],
    "pandas.core.frame": ["DataFrame"],
    "pandas.core.series": ["Series"],
    "pandas.core.internals": ["BlockManager", "SingleBlockManager"],
    "pandas.core.internals.managers": ["BlockManager", "SingleBlockManager"],
    "pandas._libs.internals": ["_unpickle_block"],
    "pandas._libs.arrays": ["__pyx_unpickle_NDArrayBacked"],
    "pandas.core.indexes.base": ["_new_Index", "Index"],
    "pandas.core.indexes.range": ["RangeIndex"],
    "pandas.core.indexes.multi": ["MultiIndex"],
    "pandas.core.indexes.category": ["CategoricalIndex"],
    "pandas.core.indexes.numeric": ["Int64Index", "UInt64Index", "Float64Index", "NumericIndex"],
    "pandas.core.indexes.frozen": ["FrozenList"],
    "pandas.core.arrays.categorical": ["Categorical"],
    "pandas.core.dtypes.dtypes": ["CategoricalDtype"],
    "pandas.core.arrays.string_": ["StringArray", "StringArrayNumpySemantics", "StringDtype"],
    "pandas.core.arrays.string_arrow": ["ArrowStringArray", "ArrowStringArrayNumpySemantics"],
    "pandas.core.arrays.integer": [
        "IntegerArray", *(f"{kind}{bits}Dtype" for kind in ("Int", "UInt") for bits in (8, 16, 32, 64))
    ],
    "pandas.core.arrays.floating": ["FloatingArray", "Float32Dtype", "Float64Dtype"],
    "pandas.core.arrays.boolean": ["BooleanArray", "BooleanDtype"],
    "pyarrow.lib": ["chunked_array", "_restore_array", "type_for_alias", "py_buffer"],
}  # fmt: skip
# The missing value of pandas.
_MISSING = [("pandas", "NA"), ("pandas._libs.missing", "NA")]


def admit(module: Any, name: Any) -> Any:
    """Return the value of a name in a pickle.

    Raises:
        DataError: a name that no pickle of arrays and tables needs.
    """
    if type(module) is not str or type(name) is not str:
        raise DataError("is no sound pickle: a name that is no text")
    if (module, name) in _MISSING:
        return None
    if (module, name) not in ADMITTED:
        shown = ascii(f"{module[:100]}.{name[:100]}")[1:-1]
        raise DataError(
            f"refers to {shown}, which no file of arrays and tables needs, so nothing of it was read; "
            "an untrusted pickle can run any program"
        )
    return Global(module, name)


def construct(called: Any, args: Any) -> Any:
    """Return the record of a call of an admitted constructor.

    Raises:
        DataError: another object is called, or with other arguments.
    """
    if type(called) is not Global or type(args) is not tuple:
        raise DataError("calls something that is no constructor")
    constructor = ADMITTED[called.module, called.name]
    if constructor is None:
        raise DataError(f"calls {called.module}.{called.name}, which is no constructor here")
    return constructor(*args)


def _recorder(kind: str) -> Callable[..., Made]:
    return lambda *args: Made(kind, args)


def _reconstruct(kind: Any, shape: Any, code: Any) -> Array:
    if kind != Global("numpy", "ndarray"):
        raise DataError("expected an array of the type numpy.ndarray")
    return Array()


def _frombuffer(data: Any, dtype: Any, shape: Any, order: Any, axes: Any = None) -> Array:
    array = Array()
    array.fill(data, dtype, shape, "C" if order == "K" else order, axes or ())
    return array


def _scalar(dtype: Any, raw: Any) -> Any:
    """Return a NumPy number as a Python number."""
    if type(raw) is str:
        raw = raw.encode("latin-1")
    if type(dtype) is not DType or type(raw) is not bytes or not dtype.code or dtype.is_object:
        raise DataError("expected a number of NumPy")
    kind = np.dtype(dtype.code)
    if kind.itemsize != len(raw) or not raw:
        raise DataError("expected a number of NumPy")
    return np.frombuffer(raw, kind)[0].item()


def _encode(text: Any, encoding: Any = "latin1", errors: Any = "strict") -> Any:
    """Return bytes that are stored as text."""
    if encoding not in _LATIN:
        raise DataError("expected bytes that are stored as latin-1 text")
    if type(text) is Span and text.text:
        return text
    if type(text) is not str:
        raise DataError("expected bytes that are stored as latin-1 text")
    return text.encode("latin-1")


def _bytes(content: Any = b"", encoding: Any = "latin1") -> Any:
    if type(content) is str:
        return _encode(content, encoding)
    if type(content) is Span or type(content) is bytes:
        return content
    raise DataError("expected bytes")


def _dtype(name: Any, align: Any = False, copy: Any = True) -> DType:
    return DType.named(name)


def _slice(*args: Any) -> slice:
    if len(args) > 3 or not all(one is None or type(one) is int for one in args):
        raise DataError("expected a slice of whole numbers")
    return slice(*args)


def _newobj(kind: Any, *args: Any) -> Any:
    """Return an object without state, as `copyreg` makes it."""
    if type(kind) is not Global or kind.module in ("copyreg", "copy_reg"):
        raise DataError("expected a class of pandas")
    return construct(kind, args)


def _reconstructor(kind: Any, base: Any, state: Any) -> Any:
    if type(base) is not Global or base.name != "object" or state is not None:
        raise DataError("expected a class of pandas")
    return _newobj(kind)


_CALLED: dict[Callable[..., Any], list[tuple[str, str]]] = {
    _reconstruct: [("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct")],
    _scalar: [("numpy.core.multiarray", "scalar"), ("numpy._core.multiarray", "scalar")],
    _frombuffer: [("numpy.core.numeric", "_frombuffer"), ("numpy._core.numeric", "_frombuffer")],
    _dtype: [("numpy", "dtype")],
    _encode: [("_codecs", "encode")],
    _bytes: [(module, name) for module in ("builtins", "__builtin__") for name in ("bytes", "bytearray")],
    _slice: [("builtins", "slice"), ("__builtin__", "slice")],
    _reconstructor: [("copyreg", "_reconstructor"), ("copy_reg", "_reconstructor")],
    _newobj: [("copyreg", "__newobj__"), ("copy_reg", "__newobj__")],
}
# All admitted names, and the function for a call of each; None for names that occur only as arguments.
ADMITTED: dict[tuple[str, str], Callable[..., Any] | None] = dict.fromkeys(_NAMES)
ADMITTED |= {place: constructor for constructor, places in _CALLED.items() for place in places}
ADMITTED |= {(module, name): _recorder(name) for module, names in _RECORDED.items() for name in names}
