"""Stop on a signal: gracefully the first time, immediately the second; no TensorFlow.

    graceful_stop        a block that checks its `StopRequest` between two steps, saves, and raises `Stopped`
    interrupt_on_signal  a block in which a signal raises `Interrupted` at once
    Watcher              the default around a whole command: like `interrupt_on_signal`, and a thread ends the process
                         if Python cannot, because the main thread is inside C++ (TensorFlow waiting for other workers)

The innermost of these blocks handles a signal. Exit codes are 128 + the signal's number: 129 SIGHUP, 130 SIGINT,
143 SIGTERM.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Seconds after a signal within which Python must have handled it, and the command must have ended.
UNHANDLED, UNFINISHED = 2.0, 7.0
_LOOK = 0.05


class Interrupted(KeyboardInterrupt):
    """A signal was received. Like KeyboardInterrupt it is not an `Exception`, which a library might catch."""

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number


@dataclass
class StopRequest:
    """The signal that a block of `graceful_stop` has received.

    Attributes:
        number: the last signal; 0 for none.
        repeated: whether a signal was received twice, which is a request to stop immediately.
    """

    number: int = 0
    repeated: bool = False


# Active graceful blocks, the signal that the innermost has recorded, and the number of calls of our handlers.
_graceful = _noted = _handled = 0


def describe_signal(number: int) -> str:
    """Return the message of a command that is stopped with nothing to save."""
    return f"stopped by {signal.Signals(number).name}; repeat the command to continue."


def _install(handler: Callable[[int], None]) -> dict[int, Any]:
    """Handle the stop signals and return the previous handlers. Does nothing outside the main thread."""

    def handle(number: int, _: Any) -> None:
        global _handled
        _handled += 1
        handler(number)

    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:  # nohup
                continue
            before[number] = signal.signal(number, handle)
    return before


def _restore(before: dict[int, Any]) -> None:
    for number, handler in before.items():
        signal.signal(number, signal.SIG_DFL if handler is None else handler)  # None: a handler of C++


@contextmanager
def graceful_stop() -> Iterator[StopRequest]:
    """Record stop signals for this block. A signal that the block ignores is delivered again when it ends."""
    global _graceful, _noted
    request = StopRequest()

    def note(number: int) -> None:
        global _noted
        request.repeated |= request.number == number
        request.number = _noted = number

    before = _install(note)
    _graceful += bool(before)
    try:
        yield request
    finally:
        _noted = 0
        _graceful -= bool(before)
        _restore(before)
    if request.number and callable(before.get(request.number)):
        signal.raise_signal(request.number)


@contextmanager
def interrupt_on_signal() -> Iterator[None]:
    """Raise `Interrupted` on the first stop signal in this block; a second one goes to the previous handlers."""
    global _graceful

    def interrupt(number: int) -> None:
        _restore(before)
        raise Interrupted(number)

    before = _install(interrupt)
    _graceful += bool(before)
    try:
        yield
    finally:
        _graceful -= bool(before)
        _restore(before)


class Watcher:
    """Stop a command within ten seconds of a signal, with one sentence on stderr, whatever it is doing.

    Attributes:
        received: the signal that interrupted the command; 0 for none.
        reported: whether the message has been printed.
    """

    def __init__(self) -> None:
        self.received, self.reported = 0, False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._before = _install(self._interrupt)
        if self._before:
            # A copy, since stderr is redirected to a file while TensorFlow starts and prints its notices.
            self._stderr = os.dup(2)
            self._reader, self._writer = os.pipe()
            os.set_blocking(self._writer, False)
            self._wakeup_before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
            threading.Thread(target=self._watch, name="signals", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._before and not self.received:  # an interrupted command is watched until it ends
            _restore(self._before)
            signal.set_wakeup_fd(self._wakeup_before)
            os.close(self._writer)  # which ends the thread
            os.close(self._stderr)

    def _interrupt(self, number: int) -> None:
        if self.received:
            self._end(self.received)
        self.received = number
        raise Interrupted(number)

    def _watch(self) -> None:
        unhandled, due = 0, _handled
        while byte := os.read(self._reader, 1):
            number, read = byte[0], time.monotonic()
            if number not in SIGNALS:
                continue
            due += 1
            while _handled < due and time.monotonic() < read + UNHANDLED:
                time.sleep(_LOOK)
            if _handled >= due:
                time.sleep(_LOOK)  # the handler may only have begun
                if self.received:
                    time.sleep(UNFINISHED)
                    self._end(self.received)
            elif not _graceful or number in (unhandled, _noted):  # a graceful block may be in a long step, once
                self._end(number)
            else:
                unhandled = number

    def _end(self, number: int) -> None:
        if not self.reported:
            with contextlib.suppress(OSError):
                os.write(self._stderr, f"\n{describe_signal(number)}\n".encode())
        os._exit(128 + number)
