"""Child processes of one command on this machine: start, watch, restart and stop them; no TensorFlow at the top.

ProcessGroup    the common base class
  Jobs            `ariel_tf.train --wavelength 0-54 --jobs 2`: each process takes the next wavelength, or stack of
                  wavelengths, that no other process has (`runs.work_queue`); a process that dies is restarted
  LocalWorkers    `tuning.search --jobs 2`, in tuning/local_workers.py
and `ariel_tf.supervise`, which restarts all of its workers when one of them has ended.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, TextIO

from ariel_tf.core import messages, resources
from ariel_tf.core.devices import Devices, describe_gpus
from ariel_tf.core.errors import ArielError, Stopped, UsageError
from ariel_tf.core.signals import StopRequest, graceful_stop

# Environment of a child process: that it is a child process, and its number among the jobs.
CHILD, NUMBER = "ARIEL_TF_CREW", "ARIEL_TF_JOB"
# Seconds that a process may take to save and exit after a request to stop.
PATIENCE = 60.0
# Seconds between checks.
LOOK = 0.2
# Exit codes of errors in options, data or losses, which a restart would only repeat.
FINAL = (2, 3, 4)


def job_number() -> int | None:
    """Return the number of this process among several jobs, from 1; None if it is not a job."""
    text = os.environ.get(NUMBER)
    return int(text) if text else None


def is_child() -> bool:
    """Whether a `ProcessGroup` started this process."""
    return os.environ.get(CHILD) == "1"


def stop_with_parent() -> None:
    """In a process of a `ProcessGroup`: save and stop when the parent process has ended."""
    if is_child():

        def wait() -> None:
            sys.stdin.read()
            os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=wait, daemon=True).start()


def devices_in_job(devices: Devices) -> Devices:
    """Return the devices of `--devices` that this process uses; a job uses its own GPU only."""
    return devices if job_number() is None else Devices(devices.kind)


def share_machine(count: int, devices: Devices) -> Callable[[int], dict[str, str]]:
    """Return the environment of each of `count` processes: a share of the cores, and one GPU each if there are any.

    Args:
        count: number of processes.
        devices: GPUs to distribute.
    """
    cores = max(1, resources.available_cpus() // count)
    threads = {name: str(cores) for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")}
    gpus = [] if devices.kind == "cpu" else _gpus(devices)

    def environment(index: int) -> dict[str, str]:
        return threads | ({"CUDA_VISIBLE_DEVICES": gpus[index % len(gpus)]} if gpus else {})

    return environment


def _gpus(devices: Devices) -> list[str]:
    from ariel_tf.core.tf_startup import import_tensorflow

    held = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = len(import_tensorflow(start_devices=False).config.list_physical_devices("GPU"))
    available = held.split(",") if held else [str(index) for index in range(count)]
    if devices.kind == "gpu" and (not available or max(devices.numbers, default=0) >= len(available)):
        raise UsageError(f"--devices {devices}: {describe_gpus(len(available))} here.")
    return [available[index] for index in devices.numbers or range(len(available))]


def describe_exit(code: int) -> str:
    """Describe how a process ended: `was killed by SIGKILL`, `ended with exit code 1`."""
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


class ProcessGroup(ABC):
    """Child processes of one command.

    Each has its own session, so that Ctrl-C reaches only this process, which then sends each of them a stop signal; and
    a pipe as standard input, which closes whenever this process ends (`stop_with_parent`).

    Args:
        label: first part of the processes' names, such as "job ".
        first: number of the first process in its name.
        logs: folder for the output of each process, in a file named after the process; None to print it.
        sign: whether to print each line with the process's name in front; not needed for a single process.

    Attributes:
        processes: processes that have not ended, by index from 0.
        deaths: number of restarts so far.
    """

    def __init__(self, label: str, first: int = 0, logs: Path | None = None, sign: bool = True):
        self.label, self.first, self.logs, self.sign = label, first, logs, sign
        self.processes: dict[int, subprocess.Popen] = {}
        self.deaths = 0
        self._readers: list[threading.Thread] = []

    def name(self, index: int) -> str:
        return f"{self.label}{index + self.first}"

    @abstractmethod
    def command_of(self, index: int) -> Sequence[str]:
        """Return the command of a process."""

    @abstractmethod
    def environment_of(self, index: int) -> dict[str, str]:
        """Return environment variables of a process in addition to those of this one."""

    def start(self, index: int) -> subprocess.Popen:
        """Start or restart a process."""
        with contextlib.ExitStack() as stack:
            output: IO[str] | int | None = None
            if self.logs is not None:
                output = stack.enter_context(self.log(index).open("a", encoding="utf-8"))
            elif self.sign:
                output = subprocess.PIPE
            process = subprocess.Popen(
                self.command_of(index),
                env=os.environ | {CHILD: "1"} | self.environment_of(index),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                text=True,
                errors="backslashreplace",
                start_new_session=True,
            )
        self.processes[index] = process
        for stream, out in ((process.stdout, sys.stdout), (process.stderr, sys.stderr)):
            if stream is not None:
                arguments = (stream, out, f"{self.name(index)}: ")
                self._readers.append(threading.Thread(target=_print_lines, args=arguments, daemon=True))
                self._readers[-1].start()
        return process

    def log(self, index: int) -> Path:
        """Return the path of the file with a process's output."""
        assert self.logs is not None
        return self.logs / f"{self.name(index)}.txt"

    def ended(self) -> list[tuple[int, int]]:
        """Return (index, exit code) of processes that ended since the last call; a negative code is a signal."""
        found = [(index, code) for index, process in self.processes.items() if (code := process.poll()) is not None]
        for index, _ in found:
            _close_pipe(self.processes.pop(index))
        return found

    def restart(self, index: int, code: int) -> None:
        """Restart a process that ended with this exit code, and print a line about it."""
        self.deaths += 1
        messages.info(f"{self.name(index)} {describe_exit(code)}: it is started again")
        self.start(index)

    def stop(self, patience: float, request: StopRequest | None = None) -> None:
        """End all processes: ask them to save and exit, and kill those that have not after some time.

        Args:
            patience: seconds; 0 to kill them at once.
            request: kill them as soon as this request's signal is repeated.
        """
        left = [process for process in self.processes.values() if process.poll() is None]
        for process in left if patience else ():
            process.terminate()
        deadline = time.monotonic() + patience
        while any(process.poll() is None for process in left) and time.monotonic() < deadline:
            if request and request.repeated:
                break
            time.sleep(LOOK / 4)
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
                process.wait()
            _close_pipe(process)
        for thread in self._readers:
            thread.join(LOOK)  # print their last lines before ours


def _close_pipe(process: subprocess.Popen) -> None:
    with contextlib.suppress(BrokenPipeError):
        if process.stdin:
            process.stdin.close()


def _print_lines(stream: IO[str], out: TextIO, prefix: str) -> None:
    """Print a process's lines with its name in front."""
    with stream:
        for line in stream:
            out.write(prefix + line)
            out.flush()


class Jobs(ProcessGroup):
    """Processes of one command, each with its own number.

    Args:
        command: command of each process.
        count: number of processes.
        devices: GPUs to distribute.
    """

    def __init__(self, command: Sequence[str], count: int, devices: Devices):
        super().__init__("job ", first=1)
        self.command, self.count, self.share = list(command), count, share_machine(count, devices)

    def command_of(self, index: int) -> Sequence[str]:
        return self.command

    def environment_of(self, index: int) -> dict[str, str]:
        return self.share(index) | {NUMBER: str(index + 1)}

    def run(self) -> None:
        """Run until all processes have ended.

        Raises:
            ArielError: too many processes died.
            Stopped: a signal was received; every job has saved its epochs, unless the signal was repeated.
        """
        with graceful_stop() as request:
            try:
                for index in range(self.count):
                    self.start(index)
                while self.processes:
                    self._look_after()
                    if request.number:
                        raise Stopped(
                            "stopped; every job has saved its whole epochs. Repeat the command to resume.",
                            request.number,
                        )
                    time.sleep(LOOK)
            finally:
                self.stop(PATIENCE, request)

    def _look_after(self) -> None:
        for index, code in self.ended():
            if code in FINAL:
                sys.exit(code)  # the process has printed the reason
            if code and self.deaths >= 2 * self.count:
                raise ArielError(
                    f"{self.name(index)} {describe_exit(code)}, the {self.deaths + 1}th to do so; repeat the command."
                )
            if code:
                self.restart(index, code)
