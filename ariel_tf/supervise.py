"""Start the workers of a training and restart all of them when one dies or hangs.

    python -m ariel_tf.supervise --workers 2 -- --model dense --wavelength joint --data DATA --run RUN

What follows `--` are options of `python -m ariel_tf.train`. With `--workers N` it starts N workers on this host.
Without, it starts one: the worker that `TF_CONFIG` describes, or SLURM's task (`srun` starts a supervisor for each);
when a worker anywhere is gone the others end with an error, so each host's supervisor starts its own again.

Workers go on from the last epoch that was saved. A training that ends by itself, done or refused, is not restarted.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ariel_tf.core import cli
from ariel_tf.core.errors import ArielError, Stopped, UsageError, run_command
from ariel_tf.core.processes import pass_on
from ariel_tf.core.schema import Schema, option
from ariel_tf.training import cluster, heartbeat, slurm

# Exit codes of a training that another start would only repeat.
FINAL = (0, 2, 3, 4, 130, 143)
# Seconds that a worker may take to end when it is asked to.
PATIENCE = 60.0
# Seconds between looks, and those in which another worker's end may still explain a first one's.
LOOK, GRACE = 0.2, 2.0


class Options(Schema):
    """What `python -m ariel_tf.supervise` takes before `--`."""

    workers: int | None = option(
        None, "number of workers on this host", low=1, metavar="N", shown="the one of TF_CONFIG or SLURM"
    )
    silence: float = option(
        30.0, "seconds without a heartbeat after which a worker hangs", metavar="SECONDS",
        expected="a number, more than 0", check=lambda seconds: seconds > 0
    )  # fmt: skip
    stall: float = option(
        1800.0, "seconds without a training step after which a worker hangs", metavar="SECONDS",
        expected="a number, more than 0", check=lambda seconds: seconds > 0
    )  # fmt: skip
    restarts: int = option(5, "restarts in a row without a new epoch before giving up", low=0, metavar="N")


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
    supervisor.told = cli.repeated("ariel_tf.supervise", arguments)
    supervisor.run()


@dataclass
class Worker:
    """A process, its number among all workers of the training, and when it last showed a sign of life or a step
    (seconds of `time.monotonic`)."""

    process: subprocess.Popen
    number: int
    heartbeat: Path
    readers: list[threading.Thread] = field(default_factory=list)
    seen: dict[str, tuple[float, float]] = field(default_factory=dict)

    def since(self, suffix: str = "") -> float:
        """Seconds since a sign; its file's own time only tells that it changed: clocks of hosts differ."""
        path = Path(f"{self.heartbeat}{suffix}")
        with contextlib.suppress(FileNotFoundError):
            changed = path.stat().st_mtime
            if changed != self.seen.get(suffix, (0.0, 0.0))[0]:
                self.seen[suffix] = (changed, time.monotonic())
        return time.monotonic() - self.seen[suffix][1]


class Supervisor:
    """One host's workers of a training.

    Args:
        training: options of `python -m ariel_tf.train`.
        workers: on this host; None for the one that the environment describes.
        silence, stall: seconds after which a worker without a sign of life, or without a step, is taken to hang.
        restarts: in a row, without an epoch saved between them, before it gives up.

    Attributes:
        told: the command that a user repeats to go on, which workers name; empty for their own.
    """

    def __init__(self, training: Sequence[str], workers: int | None, silence: float, stall: float, restarts: int):
        self.command = [sys.executable, "-m", "ariel_tf.train", *training]
        self.told = ""
        self.count, self.silence, self.stall, self.restarts = workers, silence, stall, restarts
        self.asked = 0

    def run(self) -> None:
        """Until the training ends by itself.

        Raises:
            ArielError: the training's own end, by its exit code; or too many restarts.
        """
        before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            with tempfile.TemporaryDirectory(prefix="ariel-") as folder:
                self._keep_alive(Path(folder))
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number, frame) -> None:
        self.asked = number

    def _keep_alive(self, folder: Path) -> None:
        failures = epochs = 0
        while True:
            workers = self._start(folder)
            try:
                fault, code = self._watch(workers)
            finally:
                self._end(workers)
            if self.asked:
                raise Stopped("stopped; every whole epoch is saved. The same command goes on.", self.asked)
            if not fault:
                if code:
                    sys.exit(code)  # the worker has said why
                return
            saved = max(map(_epochs, workers))
            failures = 1 if saved > epochs else failures + 1
            epochs = max(epochs, saved)
            if epochs:  # which the next start must not move aside
                self.command = [argument for argument in self.command if argument != "--overwrite"]
            if failures > self.restarts:
                raise ArielError(f"{fault}; gave up after {self.restarts} restarts without a new epoch.")
            print(
                f"{fault}: all workers of this host start again after epoch {epochs} (restart {failures})", flush=True
            )

    def _start(self, folder: Path) -> list[Worker]:
        workers, found = [], configurations(self.count, os.environ)
        for config in found:
            number, _ = cluster.task(config)
            path = folder / f"worker-{number}"
            path.touch()
            Path(f"{path}.steps").write_text("0")
            environment = {**os.environ, heartbeat.VARIABLE: str(path), **({"TF_CONFIG": config} if config else {})}
            environment |= {heartbeat.COMMAND: self.told} if self.told else {}
            # Of several, each one's lines are signed.
            pipe = subprocess.PIPE if len(found) > 1 else None
            # A session of its own: Ctrl-C reaches the supervisor alone, which then asks each worker.
            process = subprocess.Popen(
                self.command, env=environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True
            )
            workers.append(Worker(process, number, path))
            if pipe:
                workers[-1].readers = pass_on(process, f"worker {number}: ")
        return workers

    def _watch(self, workers: Sequence[Worker]) -> tuple[str, int]:
        """What went wrong, or nothing and the exit code once all have ended by themselves."""
        while not self.asked:
            codes = [worker.process.poll() for worker in workers]
            for worker, code in zip(workers, codes, strict=True):
                if code in FINAL[1:]:
                    return "", code
                if code is not None and code not in FINAL:
                    return self._judge(workers, worker.number, code)
                if code is None and worker.since() > self.silence:
                    return f"worker {worker.number} has shown no sign of life for {self.silence:g} s", 1
                if code is None and worker.since(".steps") > self.stall:
                    return f"worker {worker.number} has done no step for {self.stall:g} s", 1
            if all(code == 0 for code in codes):
                return "", 0
            time.sleep(LOOK)
        return "", 128 + self.asked

    def _judge(self, workers: Sequence[Worker], number: int, code: int) -> tuple[str, int]:
        """One worker ended with a fault: perhaps only since another, a moment ago, ended for good."""
        deadline = time.monotonic() + (GRACE if len(workers) > 1 else 0)
        while time.monotonic() < deadline:
            for worker in workers:
                if (other := worker.process.poll()) in FINAL[1:]:
                    return "", int(other or 0)
            time.sleep(LOOK)
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        return f"worker {number} ended {how}", code

    def _end(self, workers: Sequence[Worker]) -> None:
        """End all that still run: by request when the user asked, else at once, since they hang or wait in vain."""
        left = [worker.process for worker in workers if worker.process.poll() is None]
        deadline = time.monotonic() + (PATIENCE if self.asked else 0)
        for process in left if self.asked else ():
            process.terminate()
        for process in left:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
            if process.poll() is None:
                process.kill()
                process.wait()
        for thread in (thread for worker in workers for thread in worker.readers):
            thread.join(LOOK)  # their last words before ours


def _epochs(worker: Worker) -> int:
    return int(Path(f"{worker.heartbeat}.steps").read_text() or 0)


def configurations(workers: int | None, environment: Mapping[str, str]) -> list[str | None]:
    """A `TF_CONFIG` for each worker to start here; None keeps what the environment has."""
    if workers is None:
        return [None if "TF_CONFIG" in environment else slurm.tf_config(environment)]
    if workers == 1:
        return [None]
    # Ports of their own at each start: what is left of an earlier worker can't meddle.
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
