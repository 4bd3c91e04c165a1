"""Tables and mappings in an unpickled value, from any exporter: pandas of any version, or `to_dict`.

    dict                                     {label: value}
    (table.to_dict(), index name)            {column: {label: value}}
    pandas.Series                            {label: value}
    pandas.DataFrame                         {column: {label: value}}, only the requested columns

A label is text, a number, or a tuple of these. pandas objects are `values.Made` records: their blocks and axes are read
from the arguments and states that pandas stores, without pandas.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ariel_tf.core.errors import DataError
from ariel_tf.data.pickles import arrow
from ariel_tf.data.pickles.values import MOST_ROWS, Array, Made, Span, is_made

Label = Any
_INDEXES = ("Index", "Int64Index", "UInt64Index", "Float64Index", "NumericIndex")
_STRINGS = ("StringArray", "StringArrayNumpySemantics")
_ARROW_STRINGS = ("ArrowStringArray", "ArrowStringArrayNumpySemantics")
_MASKED = ("IntegerArray", "FloatingArray", "BooleanArray")
# Axes inside axes, extension arrays inside blocks: real tables need four levels.
_DEEPEST = 6


class Reader:
    """Reads tables of one pickle.

    Args:
        handle: the open file, for bytes that are still in it.
    """

    def __init__(self, handle: int):
        self._handle = handle

    # --- requested by other modules ---------------------------------------------------------------------------

    def mapping(self, value: Any) -> dict[Label, Any]:
        """Return {label: value} from a dict, a series, or an exported series."""
        value = _exported(value)
        if type(value) is dict:
            return value
        if is_made(value, "Series"):
            (_, rows), blocks = self._frame(value)
            return _paired(rows, self._values(blocks[0][0], 0))
        raise DataError(f"expected a dict or a series, found {_called(value)}")

    def columns(self, value: Any) -> dict[Label, Callable[[], dict[Label, Any]]]:
        """Return the columns of a table by name; each is read when it is called: {label: value}."""
        value = _exported(value)
        if type(value) is dict:
            if not all(type(column) is dict for column in value.values()):
                raise DataError("expected a table, a dict of columns")
            return {name: _constant(column) for name, column in value.items()}
        if not is_made(value, "DataFrame"):
            raise DataError(f"expected a table, found {_called(value)}")
        (names, rows), blocks = self._frame(value)
        places: dict[Label, Callable[[], dict[Label, Any]]] = {}
        for values, placement in blocks:
            for row, place in enumerate(placement):
                if not 0 <= place < len(names) or names[place] in places:
                    raise DataError("expected a table whose columns have different names")
                places[names[place]] = self._column(rows, values, row)
        return {name: places[name] for name in names if name in places}

    def numbers(self, value: Any, count: int) -> np.ndarray:
        """Return float64 [count] from an array, a list or a tuple."""
        if type(value) in (list, tuple):
            loaded = np.array([one if type(one) in (int, float) else np.nan for one in value])
        else:
            loaded = self._load(value)
        if loaded.dtype.kind not in "fiu":
            raise DataError(f"expected {count} numbers, found other values")
        found = loaded.astype(np.float64)
        if found.shape != (count,):
            raise DataError(f"expected {count} numbers, found an array of {list(found.shape)}")
        return found

    def is_table(self, value: Any) -> bool:
        """Whether `columns` can read it."""
        value = _exported(value)
        is_dict = type(value) is dict and bool(value) and all(type(column) is dict for column in value.values())
        return is_dict or is_made(value, "DataFrame")

    # --- pandas -----------------------------------------------------------------------------------------------

    def _column(self, rows: Sequence[Label], values: Any, row: int) -> Callable[[], dict[Label, Any]]:
        return lambda: _paired(rows, self._values(values, row))

    def _frame(self, frame: Made) -> tuple[tuple[Sequence[Label], Sequence[Label]], list[tuple[Any, Sequence[int]]]]:
        """Return labels of columns and rows, and the blocks with the columns of each."""
        state = frame.state if type(frame.state) is dict else {}
        manager = state.get("_mgr", state.get("_data"))
        if type(manager) is not Made or manager.kind not in ("BlockManager", "SingleBlockManager"):
            raise DataError(f"expected the blocks of a {frame.kind}, as pandas 0.25 to 3 store them")
        axes, blocks = _parts(manager)
        if not 1 <= len(axes) <= 2 or not blocks:
            raise DataError(f"expected the axes and blocks of a {frame.kind}")
        rows = self.labels(axes[-1])
        names: Sequence[Label] = self.labels(axes[0]) if len(axes) == 2 else ("",)
        if not all(map(_is_label, names)):
            raise DataError("expected columns whose names are text or numbers")
        return (names, rows), [(values, _placement(placement)) for values, placement in blocks]

    def labels(self, index: Any, depth: int = 0) -> Sequence[Label]:
        """Return the labels of an index of any kind."""
        if depth > _DEEPEST:
            raise DataError("expected an index, found indexes inside indexes")
        if type(index) is Array:
            return _plain(self._load(index))
        if is_made(index, "_new_Index") and len(index.args) == 2 and type(index.args[1]) is dict:
            kind, state = getattr(index.args[0], "name", ""), index.args[1]
            if kind == "RangeIndex":
                start, stop, step = (state.get(name) for name in ("start", "stop", "step"))
                if type(start) is not int or type(stop) is not int or type(step) is not int or not step:
                    raise DataError("expected the start, stop and step of a range")
                labels = range(start, stop, step)
                if labels and not -MOST_ROWS < labels[0] - labels[-1] < MOST_ROWS:
                    raise DataError(f"expected at most {MOST_ROWS} rows")
                return labels
            if kind == "MultiIndex":
                return self._multi_index(state, depth)
            if kind in _INDEXES:
                data = state.get("data")
                return self.labels(data, depth + 1) if is_made(data, "_new_Index") else list(self._values(data, 0))
        raise DataError(f"expected an index of pandas, found {_called(index)}")

    def _multi_index(self, state: Mapping[str, Any], depth: int) -> list[Label]:
        levels, codes = _sequence(state.get("levels")), _sequence(state.get("codes", state.get("labels")))
        if not levels or len(levels) != len(codes) or len(levels) > _DEEPEST:
            raise DataError("expected the levels and codes of an index")
        parts = []
        for level, code in zip(levels, codes, strict=True):
            labels, at = self.labels(level, depth + 1), self._whole(code)
            _refuse_outside(at, len(labels))
            parts.append([labels[place] for place in at.tolist()])
        if len({len(part) for part in parts}) != 1:
            raise DataError("expected codes of one length in an index")
        return list(zip(*parts, strict=True))

    def _values(self, values: Any, row: int, depth: int = 0) -> Sequence[Any]:
        """Return one row of a block as Python values."""
        if depth > _DEEPEST:
            raise DataError("expected the values of a table, found arrays inside arrays")
        if type(values) is Array:
            loaded = self._load(values)
            if loaded.ndim == 2:
                loaded = loaded[row] if row < len(loaded) else loaded[:0].ravel()
            return _plain(loaded)
        if is_made(values, "__pyx_unpickle_NDArrayBacked") and type(values.state) is tuple and values.args:
            kind = getattr(values.args[0], "name", "")
            arrays = [part for part in values.state if type(part) is Array]
            dtypes = [part for part in values.state if is_made(part, "CategoricalDtype")]
            if kind == "Categorical" and len(arrays) == 1 and len(dtypes) == 1:
                return self._categories(arrays[0], dtypes[0])
            if kind in _STRINGS and len(arrays) == 1:
                return self._values(arrays[0], row, depth + 1)
        if type(values) is Made and type(values.state) is dict:
            state = values.state
            if values.kind in _MASKED:
                missing = self._load(state.get("_mask")).ravel().tolist()
                data = self._load(state.get("_data")).ravel().tolist()
                return [None if absent else value for value, absent in zip(data, missing, strict=True)]
            if values.kind in _ARROW_STRINGS:
                return arrow.texts(state.get("_pa_array", state.get("_data")), self._bytes)
            if values.kind in _STRINGS:
                return self._values(state.get("_ndarray"), row, depth + 1)
        raise DataError(f"expected a column of numbers or text, found {_called(values)}")

    def _categories(self, codes: Array, dtype: Made) -> list[Any]:
        state = dtype.state if type(dtype.state) is dict else {}
        labels, at = self.labels(state.get("categories")), self._whole(codes)
        if (at < -1).any():
            raise DataError("expected codes of categories")
        _refuse_outside(at[at >= 0], len(labels))
        return [None if place < 0 else labels[place] for place in at.tolist()]

    def _bytes(self, buffer: Any) -> bytes:
        content = buffer.args[0] if is_made(buffer, "py_buffer") and len(buffer.args) == 1 else buffer
        if isinstance(content, Span):
            return content.read(self._handle)
        if type(content) is not bytes:
            raise DataError("expected bytes of pyarrow")
        return content

    def _whole(self, value: Any) -> np.ndarray:
        array = self._load(value).ravel()
        if array.dtype.kind not in "iu":
            raise DataError("expected whole numbers as the codes of an index")
        return array.astype(np.int64)

    def _load(self, value: Any) -> np.ndarray:
        if type(value) is not Array:
            raise DataError(f"expected an array, found {_called(value)}")
        return value.load(self._handle)


def _constant(column: dict[Label, Any]) -> Callable[[], dict[Label, Any]]:
    return lambda: column


def _exported(value: Any) -> Any:
    """Return the dict of (table.to_dict(), index names); any other value unchanged."""
    return value[0] if type(value) is tuple and len(value) == 2 and type(value[0]) is dict else value


def _called(value: Any) -> str:
    return value.kind if type(value) is Made else type(value).__name__


def _parts(manager: Made) -> tuple[Sequence[Any], list[tuple[Any, Any]]]:
    """Return axes and blocks (values, placement) of a manager, from its arguments or, since pandas 0.14, its state."""
    if manager.args:
        blocks, axes = manager.args[0], manager.args[1] if len(manager.args) > 1 else None
        blocks = [blocks] if type(blocks) is Made else _sequence(blocks)
        found = []
        for block in blocks:
            if not is_made(block, "_unpickle_block") or len(block.args) < 2:
                raise DataError("expected blocks of a table")
            found.append((block.args[0], block.args[1]))
        return _sequence(axes) if type(axes) in (list, tuple) else [axes], found
    state = manager.state
    page = state[3].get("0.14.1") if type(state) is tuple and len(state) == 4 and type(state[3]) is dict else None
    if type(page) is not dict or not all(type(block) is dict for block in _sequence(page.get("blocks"))):
        raise DataError("expected the blocks of a table, as pandas 0.25 to 3 store them")
    blocks = [(block.get("values"), block.get("mgr_locs")) for block in page["blocks"]]
    return _sequence(page.get("axes")), blocks


def _placement(value: Any) -> Sequence[int]:
    """Return the columns that a block contains."""
    if type(value) is slice and type(value.stop) is int and 0 <= value.stop < 1 << 20:
        return range(*value.indices(value.stop))
    if type(value) is Array and isinstance(value.data, bytes):
        loaded = value.load(-1)
        if loaded.dtype.kind in "iu":
            return [int(place) for place in loaded.ravel().tolist()]
    if type(value) is int:
        return [value]
    raise DataError("expected the columns that a block of a table holds")


def _sequence(value: Any) -> Sequence[Any]:
    """Return a list, a tuple, or a `FrozenList` of pandas."""
    if type(value) is Made and value.kind == "FrozenList" and len(value.args) == 1:
        value = value.args[0]
    if type(value) not in (list, tuple):
        raise DataError(f"expected a list, found {_called(value)}")
    return value


def _refuse_outside(places: np.ndarray, length: int) -> None:
    if len(places) and not (places.min() >= 0 and places.max() < length):
        raise DataError("expected codes within the levels of an index")


def _plain(array: np.ndarray) -> list[Any]:
    """Return the elements of an array as Python values."""
    if array.ndim != 1:
        raise DataError(f"expected one row of values, found an array of {list(array.shape)}")
    return array.tolist()


def _is_label(value: Any) -> bool:
    """Whether a value is text, a number, or a tuple of these, which are fast to hash."""
    parts = value if type(value) is tuple else (value,)
    return all(type(part) in (str, int, float, bool) for part in parts)


def _paired(labels: Sequence[Label], values: Iterable[Any]) -> dict[Label, Any]:
    values = list(values)
    if len(labels) != len(values):
        raise DataError(f"expected a value for each of {len(labels)} rows, found {len(values)}")
    made: dict[Label, Any] = {}
    for label, value in zip(labels, values, strict=True):
        if not _is_label(label) or label in made:
            raise DataError("expected rows whose labels are text or numbers and differ")
        made[label] = value
    return made
