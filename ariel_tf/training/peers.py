"""Wait for the other workers of a training in Python, where a signal can end the wait; no TensorFlow.

TensorFlow itself waits inside C++ while holding Python's lock, so no signal would be handled. Here each worker listens
at its own address until it has reached all others, and then passes the port to TensorFlow's server; workers that have
not reached it yet connect to that server.
"""

import socket
import time
from collections.abc import Sequence

from ariel_tf.core import messages

# Seconds between two rounds of attempts, for one attempt, and between two lines about missing workers.
PAUSE, ATTEMPT, REMINDER = 0.2, 2.0, 60.0


def wait_for_peers(index: int, addresses: Sequence[str]) -> None:
    """Wait until every other worker can be reached.

    Args:
        index: index of this worker.
        addresses: HOST:PORT of each worker.
    """
    absent = [address for number, address in enumerate(addresses) if number != index]
    reminded = time.monotonic()
    with socket.socket() as own:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        own.setblocking(False)
        try:
            own.bind(("", _port(addresses[index])))
            own.listen(len(addresses))
        except OSError:  # the port is in use: TensorFlow's own error names it
            return
        while absent := [address for address in absent if not _is_reached(address)]:
            _drop_callers(own)
            if time.monotonic() - reminded > REMINDER:
                reminded = time.monotonic()
                messages.info(f"still waiting for {', '.join(absent)}")
            time.sleep(PAUSE)


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


def _is_reached(address: str) -> bool:
    """Whether a process listens at an address."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        socket.create_connection((host, _port(address)), ATTEMPT).close()
    except OSError:
        return False
    return True


def _drop_callers(own: socket.socket) -> None:
    """Close the connections of workers that have reached this one."""
    try:
        while True:
            own.accept()[0].close()
    except BlockingIOError:
        return
