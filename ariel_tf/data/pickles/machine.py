"""Read a pickle file to inert values: a pickle machine for protocols 0 to 5 that runs no code from the file.

    file ── opcodes ──▶ numbers, text, lists, dicts ... and, for what `constructors.ADMITTED` names, `values` records
                        bytes of arrays are skipped: a `values.Span` records their position

Python's own unpickler imports and calls what the file names. Here a name is looked up in a table of constructors of
this package, and any other name is refused. Memory is bounded: a length is compared with the length of the file before
anything is allocated, long values stay in the file, and the numbers of operations and of bytes in memory are limited.

Opcodes: the comments of Python's `pickletools`.
"""

import os
import stat
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ariel_tf.core.errors import DataError
from ariel_tf.data.pickles.constructors import admit, construct
from ariel_tf.data.pickles.stack import MARK, Machine
from ariel_tf.data.pickles.values import Array, DType, Made, Span

# 100,000 observations take about 10 million operations.
MOST_OPERATIONS = 40_000_000
# Keys of dicts; tuples of these too. Hashing anything deeper could take unlimited time.
_SCALARS = (str, int, float, bool, bytes, type(None))
_LONGEST_KEY = 8
# Pickles are often compressed; arrays are read in place, so they must be decompressed first.
_COMPRESSED = {
    b"\x1f\x8b": "a gzip archive (gunzip)",
    b"BZh": "a bzip2 archive (bunzip2)",
    b"\xfd7zXZ": "an xz archive (unxz)",
    b"\x28\xb5\x2f\xfd": "a zstd archive (unzstd)",
    b"PK\x03\x04": "a zip archive (unzip)",
}
_LONGEST_INTEGER = 16


def _set_items(machine: Machine, values: list[Any]) -> None:
    into = machine.top(dict)
    if len(values) % 2:
        raise DataError("is no sound pickle: a key without a value")
    for place in range(0, len(values), 2):
        key = values[place]
        if type(key) is tuple:
            sound = len(key) <= _LONGEST_KEY and all(type(part) in _SCALARS for part in key)
        else:
            sound = type(key) in _SCALARS
        if not sound:
            raise DataError(f"has a {type(key).__name__} as a key, expected text or numbers")
        if key in into:
            raise DataError(f"has the key {ascii(key)[:60]} twice")
        into[key] = values[place + 1]


def _text(machine: Machine, length: int) -> Any:
    span = machine.span(length, "utf-8")
    return span or machine.read(length).decode("utf-8", "surrogatepass")


def _bytes(machine: Machine, length: int) -> Any:
    span = machine.span(length)
    return span or machine.read(length)


def _old_bytes(machine: Machine, length: int) -> Any:
    """Return a `str` of Python 2: text if it is short, the bytes of an array if it is long."""
    span = machine.span(length)
    return span or machine.read(length).decode("latin-1")


def _long(raw: bytes) -> int:
    if len(raw) > _LONGEST_INTEGER:
        raise DataError("holds a whole number of more than 16 bytes")
    return int.from_bytes(raw, "little", signed=True)


def _long_of(machine: Machine, length: int) -> int:
    return _long(machine.read(length) if 0 <= length <= _LONGEST_INTEGER else bytes(_LONGEST_INTEGER + 1))


def _int_line(machine: Machine) -> int | bool:
    line = machine.line()
    return line == b"01" if line in (b"00", b"01") else _decimal(line)


def _decimal(line: bytes) -> int:
    digits = line.removesuffix(b"L")
    if len(digits) > 40:
        raise DataError("holds a whole number of more than 40 digits")
    return int(digits)


def _quoted(machine: Machine) -> Any:
    """Return text of Python 2 in protocol 0."""
    line = machine.line()
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
        raise DataError("is no sound pickle: text without quotation marks")
    return line[1:-1].decode("unicode-escape")


def _unicode_line(machine: Machine) -> Any:
    found = machine.long_line("raw-unicode-escape")
    return found if isinstance(found, Span) else found.decode("raw-unicode-escape")


def _build(machine: Machine) -> None:
    state = machine.pop()
    if type(machine.stack[-1]) not in (Array, DType, Made):
        raise DataError(f"sets the state of a {type(machine.stack[-1]).__name__}, which has none")
    machine.stack[-1].build(state)


def _call(machine: Machine) -> None:
    args = machine.pop()
    machine.push(construct(machine.pop(), args))


def _call_with_names(machine: Machine) -> None:
    names = machine.pop()
    if names != {} or type(names) is not dict:
        raise DataError("calls a constructor with names of arguments")
    _call(machine)


def _stack_global(machine: Machine) -> None:
    name = machine.pop()
    machine.push(admit(machine.pop(), name))


def _tuple_of(count: int) -> Callable[[Machine], None]:
    def operation(machine: Machine) -> None:
        machine.push(tuple([machine.pop() for _ in range(count)][::-1]))

    return operation


def _extend(machine: Machine, values: list[Any]) -> None:
    machine.top(list).extend(values)


def _dict(machine: Machine, values: list[Any]) -> None:
    machine.push({})
    _set_items(machine, values)


def _pair(machine: Machine) -> list[Any]:
    value = machine.pop()
    return [machine.pop(), value]


def _memorise(machine: Machine, place: int) -> None:
    if machine.stack[-1] is MARK:
        raise DataError("is no sound pickle: a mark is no value")
    machine.memo[place] = machine.stack[-1]


def _protocol(machine: Machine) -> None:
    if (version := machine.read(1)[0]) > 5:
        raise DataError(f"is a pickle of protocol {version}, expected 0 to 5")


_EFFECTS: dict[bytes, Callable[[Machine], Any]] = {
    b"\x80": _protocol,
    b"\x95": lambda m: m.read(8),  # a frame's length, which is only a hint for reading ahead
    b"(": lambda m: m.push(MARK),
    b"0": lambda m: m.stack.pop(),
    b"1": lambda m: m.pop_to_mark(),
    b"2": lambda m: m.push(m.stack[-1]),
    b"a": lambda m: _extend(m, [m.pop()]),
    b"e": lambda m: _extend(m, m.pop_to_mark()),
    b"s": lambda m: _set_items(m, _pair(m)),
    b"u": lambda m: _set_items(m, m.pop_to_mark()),
    b"d": lambda m: _dict(m, m.pop_to_mark()),
    b"p": lambda m: _memorise(m, _decimal(m.line())),
    b"q": lambda m: _memorise(m, m.read(1)[0]),
    b"r": lambda m: _memorise(m, m.number("<I")),
    b"\x94": lambda m: _memorise(m, len(m.memo)),
    b"R": _call,
    b"\x81": _call,
    b"\x92": _call_with_names,
    b"b": _build,
    b"\x93": _stack_global,
    b"\x85": _tuple_of(1),
    b"\x86": _tuple_of(2),
    b"\x87": _tuple_of(3),
}
_VALUES: dict[bytes, Callable[[Machine], Any]] = {
    b"N": lambda m: None,
    b"\x88": lambda m: True,
    b"\x89": lambda m: False,
    b"F": lambda m: float(m.line()),
    b"G": lambda m: struct.unpack(">d", m.read(8))[0],
    b"I": _int_line,
    b"J": lambda m: m.number("<i"),
    b"K": lambda m: m.read(1)[0],
    b"M": lambda m: m.number("<H"),
    b"L": lambda m: _decimal(m.line()),
    b"\x8a": lambda m: _long_of(m, m.read(1)[0]),
    b"\x8b": lambda m: _long_of(m, m.number("<i")),
    b"S": _quoted,
    b"T": lambda m: _old_bytes(m, m.number("<i")),
    b"U": lambda m: _old_bytes(m, m.read(1)[0]),
    b"V": _unicode_line,
    b"X": lambda m: _text(m, m.number("<I")),
    b"\x8c": lambda m: _text(m, m.read(1)[0]),
    b"\x8d": lambda m: _text(m, m.number("<Q")),
    b"B": lambda m: _bytes(m, m.number("<I")),
    b"C": lambda m: _bytes(m, m.read(1)[0]),
    b"\x8e": lambda m: _bytes(m, m.number("<Q")),
    b"\x96": lambda m: _bytes(m, m.number("<Q")),
    b"]": lambda m: [],
    b"l": lambda m: m.pop_to_mark(),
    b")": lambda m: (),
    b"t": lambda m: tuple(m.pop_to_mark()),
    b"}": lambda m: {},
    b"g": lambda m: m.memo[_decimal(m.line())],
    b"h": lambda m: m.memo[m.read(1)[0]],
    b"j": lambda m: m.memo[m.number("<I")],
    b"c": lambda m: admit(*(m.line().decode() for _ in range(2))),
}
_REFUSED = {
    ord("P"): "a persistent id, which refers to something outside the file",
    ord("Q"): "a persistent id, which refers to something outside the file",
    0x82: "a code of the extension registry",
    0x83: "a code of the extension registry",
    0x84: "a code of the extension registry",
    0x8F: "a set, where arrays and tables are expected",
    0x90: "a set, where arrays and tables are expected",
    0x91: "a set, where arrays and tables are expected",
    0x97: "a buffer outside the file",
    0x98: "a buffer outside the file",
    ord("i"): "an object of a class of Python 2",
    ord("o"): "an object of a class of Python 2",
}


def _pushing(make: Callable[[Machine], Any]) -> Callable[[Machine], Any]:
    def operation(machine: Machine) -> None:
        machine.stack.append(make(machine))

    return operation


def _effect(run: Callable[[Machine], Any]) -> Callable[[Machine], Any]:
    def operation(machine: Machine) -> None:
        run(machine)

    return operation


_OPERATIONS: list[Callable[[Machine], Any] | None] = [None] * 256
for _code, _function in _EFFECTS.items():
    _OPERATIONS[_code[0]] = _effect(_function)
for _code, _function in _VALUES.items():
    _OPERATIONS[_code[0]] = _pushing(_function)
_OPERATIONS[ord(".")] = lambda machine: True


def _run(machine: Machine) -> Any:
    """Return the value in the pickle.

    Raises:
        DataError: the file is not a pickle, is damaged, or names an object that is not admitted.
    """
    for _ in range(MOST_OPERATIONS):
        code = machine.code()
        operation = _OPERATIONS[code]
        if operation is None:
            raise DataError(f"holds {_REFUSED.get(code, 'something that is no operation of a pickle')}")
        if operation(machine):
            value = machine.pop()
            if machine.position != machine.size or machine.stack:
                raise DataError(f"holds more after its end at byte {machine.position}; expected one pickle a file")
            return value
    raise DataError(f"takes more than {MOST_OPERATIONS} operations to read, which no file of planets does")


def load(path: Path, progress: Callable[[int], None] | None = None) -> Any:
    """Return the value in a pickle file; the bytes of its arrays stay in the file.

    Args:
        path: path of the file.
        progress: called from time to time with the number of bytes passed since the last call.

    Raises:
        DataError: the file is not a pickle, is damaged, or names an object that is not admitted.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"{path}: expected a file, found a pipe or a device")
        if kind := next((kind for magic, kind in _COMPRESSED.items() if file.peek(8).startswith(magic)), None):
            raise DataError(f"{path}: expected a pickle, found {kind}; unpack it, and give the file that was in it.")
        machine = Machine(file, status.st_size, progress)
        try:
            return _run(machine)
        except DataError as error:
            raise DataError(f"{path}: {error}") from None
        except (IndexError, KeyError, ValueError, TypeError, OverflowError, RecursionError, struct.error) as error:
            found = f"byte {machine.position}: {type(error).__name__}"
            raise DataError(f"{path}: expected a pickle, found something else or a damaged one ({found})") from error
