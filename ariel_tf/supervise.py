"""Start the workers of a training, and restart all of them when one dies or hangs.

    python -m ariel_tf.supervise --workers 2 -- --model dense --wavelength joint --data DATA --run RUN

The arguments after `--` are options of `python -m ariel_tf.train`. `--workers N` starts N workers on this host. Without
it, the command starts one: the worker that `TF_CONFIG` describes, or SLURM's task (`srun` starts a supervisor for
each). When any worker ends, the others end with an error, so each host's supervisor restarts its own.

Workers resume from the last saved epoch. A training that ends by itself, finished or refused, is not restarted.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ariel_tf.core import cli, messages
from ariel_tf.core.errors import ArielError, Stopped, UsageError, run_command
from ariel_tf.core.processes import LOOK, PATIENCE, ProcessGroup
from ariel_tf.core.schema import Schema, option
from ariel_tf.core.signals import StopRequest, graceful_stop
from ariel_tf.training import cluster, heartbeat, slurm

# Exit codes of a training that a restart would only repeat.
FINAL = (0, 2, 3, 4, 129, 130, 143)
# Seconds within which the end of another worker may still explain the end of the first one.
GRACE = 2.0


class Options(Schema):
    """Options of `python -m ariel_tf.supervise` before `--`."""

    workers: int | None = option(
        None, "number of workers on this host", low=1, metavar="N", shown="the one of TF_CONFIG or SLURM"
    )
    silence: float = option(
        30.0, "seconds without a heartbeat after which a worker counts as hanging", metavar="SECONDS",
        expected="a number, more than 0", check=lambda seconds: seconds > 0
    )  # fmt: skip
    stall: float = option(
        1800.0, "seconds without a training step after which a worker counts as hanging", metavar="SECONDS",
        expected="a number, more than 0", check=lambda seconds: seconds > 0
    )  # fmt: skip
    restarts: int = option(5, "consecutive restarts without a new epoch before giving up", low=0, metavar="N")


def parser() -> cli.Parser:
    examples = ["--workers 2 -- --model dense --wavelength joint --data DATA --run RUN"]
    return cli.Parser("ariel_tf.supervise", __doc__, Options, examples=examples, rest="-- OPTIONS_OF_TRAIN")


def main(arguments: Sequence[str] | None = None) -> None:
    arguments = cli.given(arguments)
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    options, training = Options.from_flags(parser().parse_args(arguments[:cut])), arguments[cut + 1 :]
    if not training:
        raise UsageError("expected options of `python -m ariel_tf.train` after --, like -- --wavelength joint.")
    supervisor = Supervisor(training, options.workers, options.silence, options.stall, options.restarts)
    supervisor.repeat_command = cli.repeated("ariel_tf.supervise", arguments)
    supervisor.run()


@dataclass
class Worker:
    """A process of the training.

    Attributes:
        number: its number among all workers of the training.
        heartbeat: file that shows its signs of life, described in `training.heartbeat`.
    """

    process: subprocess.Popen
    number: int
    heartbeat: Path
    _changes: dict[str, tuple[float, float]] = field(default_factory=dict)

    def seconds_since(self, suffix: str = "") -> float:
        """Return the seconds since its file last changed, by this host's clock, since clocks of hosts differ."""
        path = Path(f"{self.heartbeat}{suffix}")
        with contextlib.suppress(FileNotFoundError):
            changed = path.stat().st_mtime
            if changed != self._changes.get(suffix, (0.0, 0.0))[0]:
                self._changes[suffix] = (changed, time.monotonic())
        return time.monotonic() - self._changes[suffix][1]

    @property
    def epochs(self) -> int:
        """Return the number of epochs that it has saved."""
        return int(Path(f"{self.heartbeat}.steps").read_text() or 0)


class Supervisor(ProcessGroup):
    """The workers of a training on this host.

    Args:
        training: options of `python -m ariel_tf.train`.
        workers: number of workers on this host; None for the one that the environment describes.
        silence, stall: seconds without a sign of life, and without a step, after which a worker counts as hanging.
        restarts: limit on consecutive restarts without a saved epoch.

    Attributes:
        repeat_command: command that workers ask the user to repeat; empty for their own.
    """

    def __init__(self, training: Sequence[str], workers: int | None, silence: float, stall: float, restarts: int):
        super().__init__("worker ")
        self.command = [sys.executable, "-m", "ariel_tf.train", *training]
        self.repeat_command = ""
        self.count, self.silence, self.stall, self.restarts = workers, silence, stall, restarts
        self.request = StopRequest()
        self._environments: dict[int, dict[str, str]] = {}

    def command_of(self, index: int) -> Sequence[str]:
        return self.command

    def environment_of(self, index: int) -> dict[str, str]:
        return self._environments[index]

    def run(self) -> None:
        """Run until the training ends by itself.

        Raises:
            ArielError: too many restarts.
            Stopped: a signal was received; every worker has saved its epochs, unless the signal was repeated.
            SystemExit: exit code of the training, if it is not 0.
        """
        with graceful_stop() as self.request, tempfile.TemporaryDirectory(prefix="ariel-") as folder:
            self._keep_running(Path(folder))

    def _keep_running(self, folder: Path) -> None:
        failures = epochs = 0
        while True:
            workers = self._start(folder)
            try:
                fault, code = self._watch(workers)
            finally:
                # Without this request, the other workers would hang or wait in vain.
                self.stop(PATIENCE if self.request.number else 0, self.request)
            if self.request.number:
                raise Stopped("stopped; every whole epoch is saved. Repeat the command to resume.", self.request.number)
            if not fault:
                if code:
                    sys.exit(code)  # the worker has printed the reason
                return
            saved = max(worker.epochs for worker in workers)
            failures = 1 if saved > epochs else failures + 1
            epochs = max(epochs, saved)
            if epochs:  # saved epochs, which the next start must not move aside
                self.command = [argument for argument in self.command if argument != "--overwrite"]
            if failures > self.restarts:
                raise ArielError(f"{fault}; gave up after {self.restarts} restarts without a new epoch.")
            messages.info(f"{fault}: all workers of this host start again after epoch {epochs} (restart {failures})")

    def _start(self, folder: Path) -> list[Worker]:
        """Start all workers of this host."""
        workers, found = [], configurations(self.count, os.environ)
        self.sign = len(found) > 1
        for config in found:
            number, _ = cluster.task(config)
            path = folder / f"worker-{number}"
            path.touch()
            Path(f"{path}.steps").write_text("0")
            environment = {heartbeat.VARIABLE: str(path)} | ({"TF_CONFIG": config} if config else {})
            environment |= {heartbeat.COMMAND: self.repeat_command} if self.repeat_command else {}
            self._environments[number] = environment
            workers.append(Worker(self.start(number), number, path))
        return workers

    def _watch(self, workers: Sequence[Worker]) -> tuple[str, int]:
        """Wait for a fault or the end; return the fault, or an empty text and the exit code of all workers."""
        while not self.request.number:
            codes = [worker.process.poll() for worker in workers]
            for worker, code in zip(workers, codes, strict=True):
                if code in FINAL[1:]:
                    return "", code
                if code is not None and code not in FINAL:
                    return self._judge(workers, worker.number, code)
                if code is None and worker.seconds_since() > self.silence:
                    return f"worker {worker.number} has shown no sign of life for {self.silence:g} s", 1
                if code is None and worker.seconds_since(".steps") > self.stall:
                    return f"worker {worker.number} has done no step for {self.stall:g} s", 1
            if all(code == 0 for code in codes):
                return "", 0
            time.sleep(LOOK)
        return "", 128 + self.request.number

    def _judge(self, workers: Sequence[Worker], number: int, code: int) -> tuple[str, int]:
        """Return the fault of a worker that ended, or of another one that ended permanently a moment ago."""
        deadline = time.monotonic() + (GRACE if len(workers) > 1 else 0)
        while time.monotonic() < deadline:
            for worker in workers:
                if (other := worker.process.poll()) in FINAL[1:]:
                    return "", int(other or 0)
            time.sleep(LOOK)
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        return f"worker {number} ended {how}", code


def configurations(workers: int | None, environment: Mapping[str, str]) -> list[str | None]:
    """Return a `TF_CONFIG` for each worker to start on this host; None keeps that of the environment."""
    if workers is None:
        return [None if "TF_CONFIG" in environment else slurm.tf_config(environment)]
    if workers == 1:
        return [None]
    # New ports at each start, so that remaining connections of an earlier worker cannot interfere.
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(workers)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    return [
        json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})
        for index in range(workers)
    ]


if __name__ == "__main__":
    run_command(main)
