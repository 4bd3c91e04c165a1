"""Worker processes of one machine: started, watched, started again when they die, stopped; no TensorFlow.

A worker ends with the process that started it, however that ended, so none is left behind.
"""

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ariel_tf.core.errors import ArielError, DataError, UsageError
from ariel_tf.core.processes import CREW, close_pipe, end, told

DEATHS = 5  # of workers in a row, without a trial that ended between them: something is wrong with all


class Crew:
    """Worker processes of this machine: started, watched, started again, stopped.

    Args:
        count: how many.
        command: of a worker, without --worker and --worker-name.
        logs: folder of their output.
        devices: environment of each worker, by its index.
    """

    def __init__(self, count: int, command: Sequence[str], logs: Path, environment: Callable[[int], dict[str, str]]):
        self.count, self.command, self.logs, self.environment = count, list(command), logs, environment
        self.processes: dict[int, subprocess.Popen] = {}
        self.deaths, self.ended = 0, 0
        self.address = ""

    def start_all(self, port: int) -> None:
        self.address = f"127.0.0.1:{port}"
        for index in range(self.count):
            self._start(index)

    def _start(self, index: int) -> None:
        command = [*self.command, "--worker", self.address, "--worker-name", self.name(index)]
        with (self.logs / f"{self.name(index)}.txt").open("a", encoding="utf-8") as log:
            # Its own group: Ctrl-C reaches this process alone, which then asks them to stop. Its standard input is a
            # pipe that closes when this process dies in any way.
            self.processes[index] = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=os.environ | self.environment(index) | {CREW: "1"},
                start_new_session=True,
            )

    @staticmethod
    def name(index: int) -> str:
        return f"worker{index}"

    def mind(self, servicer: Any) -> None:
        """Start dead workers again, and kill those that hang.

        Raises:
            ArielError: they die one after another, or refuse their task.
        """
        if servicer.ended > self.ended:
            self.ended, self.deaths = servicer.ended, 0
        for index, process in list(self.processes.items()):
            name, code = self.name(index), process.poll()
            if code is None:
                heard = servicer.heard.get(name)
                if name in servicer.oracle.ongoing_trials and heard and time.monotonic() - heard > servicer.silence:
                    print(f"{name} hangs: it is killed and started again", flush=True)
                    process.kill()
                continue
            close_pipe(process)
            if code == 0:
                del self.processes[index]
                continue
            self.deaths += 1
            if code in (UsageError.exit_code, DataError.exit_code) or self.deaths > DEATHS:
                raise ArielError(f"{name} ended with exit code {code}: {self._last_words(name)}")
            print(f"{name} {told(code)}: it is started again", flush=True)
            self._start(index)
        if not self.processes and not servicer.done:
            raise ArielError("every worker has ended, and trials are left; repeat the command to go on.")

    def _last_words(self, name: str) -> str:
        lines = (self.logs / f"{name}.txt").read_text(encoding="utf-8", errors="replace").splitlines()
        return f"{lines[-1] if lines else 'it said nothing'} (all of it in {self.logs / name}.txt)"

    def stop(self, patience: float = 60.0) -> None:
        """Ask all to stop, which saves their epochs; kill those that do not."""
        end(list(self.processes.values()), patience)
