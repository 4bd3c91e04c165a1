"""Signs of life of a training, in files that `python -m ariel_tf.supervise` watches; no TensorFlow.

    FILE        touched every second by a thread: the process exists and gets CPU time
    FILE.steps  written as steps are done, so that it also makes progress; contains the number of saved epochs

A stopped process (SIGSTOP, a frozen host) is detected by the first, a deadlock only by the second. `ARIEL_HEARTBEAT`
names the file; without it nothing is written. `ARIEL_COMMAND` holds the supervisor's own command, which a user repeats.
"""

import os
import signal
import threading
import time
from pathlib import Path

from ariel_tf.core.atomic_files import write_text
from ariel_tf.core.processes import is_child

VARIABLE, COMMAND = "ARIEL_HEARTBEAT", "ARIEL_COMMAND"
INTERVAL = 1.0

_last = 0.0


def start() -> None:
    """Start the heartbeat, for as long as this process and its supervisor live."""
    name = os.environ.get(VARIABLE)
    if name and all(thread.name != VARIABLE for thread in threading.enumerate()):
        threading.Thread(target=_beat, args=(Path(name), os.getppid()), name=VARIABLE, daemon=True).start()


def _beat(path: Path, supervisor: int) -> None:
    while os.getppid() == supervisor:
        path.touch()
        time.sleep(INTERVAL)
    if not is_child():  # its `stop_with_parent` does this, and a second signal would stop it before it has saved
        os.kill(os.getpid(), signal.SIGTERM)


def advance(epochs: int | None = None) -> None:
    """Record that a step is done; with a number, that this many epochs are saved."""
    global _last
    name, now = os.environ.get(VARIABLE), time.monotonic()
    if not name:
        return
    path = Path(f"{name}.steps")
    if epochs is not None:
        write_text(path, str(epochs))
    elif now - _last > INTERVAL and path.exists():
        path.touch()
    _last = now
