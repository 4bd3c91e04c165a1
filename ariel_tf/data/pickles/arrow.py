"""Read pyarrow's text columns, as pandas 2 and 3 store them, from their buffers, without pyarrow."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ariel_tf.core.errors import DataError
from ariel_tf.data.pickles.values import MOST_ROWS, is_made


def texts(value: Any, read: Callable[[Any], bytes]) -> list[str | None]:
    """Return pyarrow text: chunks, or one array of (type, length, nulls, offset, buffers, ...); None where missing.

    Args:
        value: record of the array.
        read: function from the record of a buffer to its bytes.
    """
    if is_made(value, "chunked_array") and value.args and type(value.args[0]) is list:
        found: list[str | None] = []
        for chunk in value.args[0]:
            found += _array(chunk, read)
            if len(found) > MOST_ROWS:
                raise DataError(f"expected at most {MOST_ROWS} rows")
        return found
    return _array(value, read)


def _array(value: Any, read: Callable[[Any], bytes]) -> list[str | None]:
    parts = value.args[0] if is_made(value, "_restore_array") and len(value.args) == 1 else None
    if type(parts) is not tuple or len(parts) < 5 or type(parts[4]) is not list or len(parts[4]) != 3:
        raise DataError("expected text of pyarrow")
    kind, length, _, offset, buffers = parts[:5]
    args = kind.args if is_made(kind, "type_for_alias") else ()
    form = "<i8" if args == ("large_string",) else "<i4" if args == ("string",) else ""
    if not form or type(length) is not int or type(offset) is not int or length < 0 or offset < 0:
        raise DataError("expected text of pyarrow")
    valid, raw, characters = (None if one is None else read(one) for one in buffers)
    if raw is None or len(raw) < (offset + length + 1) * int(form[-1]):
        raise DataError("expected text of pyarrow with a place for each value")
    ends = np.frombuffer(raw, form, length + 1, offset * int(form[-1]))
    characters = characters or b""
    if length and (ends[0] < 0 or (np.diff(ends) < 0).any() or ends[-1] > len(characters)):
        raise DataError("expected text of pyarrow within its characters")
    found: list[str | None] = [
        characters[start:end].decode() for start, end in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)
    ]
    if valid is not None:
        bits = np.unpackbits(np.frombuffer(valid, np.uint8), bitorder="little")[offset : offset + length]
        if len(bits) != length:
            raise DataError("expected text of pyarrow with a validity for each value")
        found = [text if bit else None for text, bit in zip(found, bits.tolist(), strict=True)]
    return found
