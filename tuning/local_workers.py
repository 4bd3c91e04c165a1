"""Worker processes of a search on this machine: start, watch, restart and stop them; no TensorFlow.

A worker ends with the process that started it, however that ends, so none is left behind.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ariel_tf.core import messages
from ariel_tf.core.errors import ArielError, DataError, UsageError
from ariel_tf.core.processes import ProcessGroup

DEATHS = 5  # consecutive deaths of workers without a finished trial: a fault common to all


class LocalWorkers(ProcessGroup):
    """Worker processes of this machine.

    Args:
        count: number of workers.
        command: command of a worker, without --worker and --worker-name.
        logs: folder of their output.
        environment: variables of each worker, by its index.
    """

    def __init__(self, count: int, command: Sequence[str], logs: Path, environment: Callable[[int], dict[str, str]]):
        super().__init__("worker", logs=logs)
        self.count, self.command, self.share = count, list(command), environment
        self.address, self._trials_ended = "", 0

    def command_of(self, index: int) -> Sequence[str]:
        return [*self.command, "--worker", self.address, "--worker-name", self.name(index)]

    def environment_of(self, index: int) -> dict[str, str]:
        return self.share(index)

    def start_all(self, port: int) -> None:
        self.address = f"127.0.0.1:{port}"
        for index in range(self.count):
            self.start(index)

    def look_after(self, servicer: Any) -> None:
        """Restart dead workers, and kill those that hang.

        Raises:
            ArielError: they die one after another, or refuse their task.
        """
        if servicer.ended > self._trials_ended:
            self._trials_ended, self.deaths = servicer.ended, 0
        for index, code in self.ended():
            if code in (UsageError.exit_code, DataError.exit_code) or (code and self.deaths >= DEATHS):
                raise ArielError(f"{self.name(index)} ended with exit code {code}: {self._last_line(index)}")
            if code:
                self.restart(index, code)
        for index, process in self.processes.items():
            name = self.name(index)
            heard = servicer.heard.get(name)
            if name in servicer.oracle.ongoing_trials and heard and time.monotonic() - heard > servicer.silence:
                messages.info(f"{name} hangs: it is killed and started again")
                process.kill()
        if not self.processes and not servicer.done:
            raise ArielError("every worker has ended, and trials are left; repeat the command to resume.")

    def _last_line(self, index: int) -> str:
        lines = self.log(index).read_text(encoding="utf-8", errors="replace").splitlines()
        return f"{lines[-1] if lines else 'it printed nothing'} (all of it in {self.log(index)})"
