"""Wait for the chief of a search; no TensorFlow, so that the wait is reported immediately."""

import socket
import time

from ariel_tf.core import messages
from ariel_tf.core.errors import ArielError

CHIEF_SILENCE = 300.0  # seconds that a worker waits for its chief, which may be restarted
REMINDER = 30.0  # seconds between two lines of a waiting worker


def wait_for_chief(address: str) -> None:
    """Return once a process listens at HOST:PORT; print immediately, and every `REMINDER` seconds, that it is awaited.

    Raises:
        ArielError: nothing listens there for `CHIEF_SILENCE` seconds.
    """
    host, _, port = address.rpartition(":")
    started = printed = time.monotonic()
    while True:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=5.0).close()
            return
        except OSError as error:
            now, reason = time.monotonic(), error.strerror or str(error)
        if now - started > CHIEF_SILENCE:
            raise ArielError(
                f"--worker {address}: the chief did not answer within {CHIEF_SILENCE:.0f} s ({reason}); start the same "
                f"command with --chief instead of --worker."
            )
        if printed == started or now - printed >= REMINDER:
            printed = now
            messages.info(f"waiting for the chief at {address} ({reason}), {now - started:.0f} s so far")
        time.sleep(min(1.0, REMINDER))
