"""Several processes of one command on this machine, a GPU or a share of the cores each; no TensorFlow at the top.

`python -m ariel_tf.train --wavelength 0-54 --jobs 2` starts two: each takes the next wavelength, or stack of them,
that no other has (`runs.work_queue`). One that dies is started again.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import IO, TextIO

from ariel_tf.core import resources
from ariel_tf.core.devices import describe_gpus, parse_devices
from ariel_tf.core.errors import ArielError, Stopped, UsageError

CREW, NUMBER = "ARIEL_TF_CREW", "ARIEL_TF_JOB"
# Seconds that a job may take to save and end.
PATIENCE = 60.0
LOOK = 0.2
# Exit codes of options, data or losses that another start would only meet again.
FINAL = (2, 3, 4)


def number() -> int | None:
    """Which of several jobs this process is, from 1; None where it is none."""
    text = os.environ.get(NUMBER)
    return int(text) if text else None


def devices_of(devices: str) -> str:
    """What `--devices` means within a job, which sees its own GPU only."""
    kind = parse_devices(devices).kind
    return devices if number() is None else kind


def stop_with_parent() -> None:
    """In a process of a crew: stop, saved, when the process that started it is gone."""
    if os.environ.get(CREW) == "1":

        def wait():
            sys.stdin.read()
            os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=wait, daemon=True).start()


def shares(count: int, devices: str) -> Callable[[int], dict[str, str]]:
    """The environment of each of `count` processes: a GPU each where there are any, and a share of the cores.

    Args:
        count: of processes.
        devices: as of `devices.parse`; GPUs of this list are dealt out.
    """
    cores = max(1, resources.available_cpus() // count)
    threads = {name: str(cores) for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")}
    gpus = [] if parse_devices(devices).kind == "cpu" else _gpus(devices)

    def environment(index: int) -> dict[str, str]:
        return threads | ({"CUDA_VISIBLE_DEVICES": gpus[index % len(gpus)]} if gpus else {})

    return environment


def _gpus(devices: str) -> list[str]:
    from ariel_tf.core.tf_startup import import_tensorflow

    held = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = len(import_tensorflow(start_devices=False).config.list_physical_devices("GPU"))
    there = held.split(",") if held else [str(index) for index in range(count)]
    chosen = parse_devices(devices)
    if chosen.kind == "gpu" and (not there or max(chosen.numbers, default=0) >= len(there)):
        raise UsageError(f"--devices {devices}: {describe_gpus(len(there))} here.")
    return [there[index] for index in chosen.numbers or range(len(there))]


def close_pipe(process: subprocess.Popen) -> None:
    """Close the standard input that lets a process know that this one lives."""
    with contextlib.suppress(BrokenPipeError):
        if process.stdin:
            process.stdin.close()


def told(code: int) -> str:
    """How a process ended, in words."""
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


class Jobs:
    """Processes of one command, each with a number of its own.

    Args:
        command: of each.
        count: how many.
        devices: as of `devices.parse`.
    """

    def __init__(self, command: Sequence[str], count: int, devices: str):
        self.command, self.count, self.environment = list(command), count, shares(count, devices)
        self.processes: dict[int, subprocess.Popen] = {}
        self.readers: list[threading.Thread] = []
        self.asked = 0

    def run(self) -> None:
        """Until all have ended.

        Raises:
            ArielError: too many died.
            Stopped: Ctrl-C or SIGTERM; every job has saved its whole epochs.
        """
        before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            for index in range(self.count):
                self._start(index)
            self._mind()
        finally:
            self._stop()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number, frame) -> None:
        self.asked = number

    def _start(self, index: int) -> None:
        # Its own session: Ctrl-C reaches this process alone, which then asks each job. Its standard input is a pipe
        # that closes when this process dies in any way.
        process = subprocess.Popen(
            self.command,
            env=os.environ | self.environment(index) | {CREW: "1", NUMBER: str(index + 1)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.processes[index] = process
        self.readers += pass_on(process, f"job {index + 1}: ")

    def _mind(self) -> None:
        deaths = 0
        while self.processes:
            for index, process in list(self.processes.items()):
                code = process.poll()
                if code is None:
                    continue
                del self.processes[index]
                close_pipe(process)
                if code in FINAL:
                    sys.exit(code)  # it has said why
                if code:
                    deaths += 1
                    if deaths > 2 * self.count:
                        raise ArielError(f"job {index + 1} {told(code)}, the {deaths}th to do so; repeat the command.")
                    print(f"job {index + 1} {told(code)}: it is started again", flush=True)
                    self._start(index)
            if self.asked:
                raise Stopped("stopped; every job has saved its whole epochs. The same command goes on.", self.asked)
            time.sleep(LOOK)

    def _stop(self) -> None:
        """Ask those that are left to save and end; kill those that do not."""
        end(list(self.processes.values()), PATIENCE)
        for thread in self.readers:
            thread.join(LOOK)


def end(processes: Sequence[subprocess.Popen], patience: float) -> None:
    """Ask processes to save and end, and after `patience` seconds kill those that did not."""
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + patience
    for process in processes:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        close_pipe(process)


def pass_on(process: subprocess.Popen, prefix: str) -> list[threading.Thread]:
    """Show what a process writes to its pipes, signed; the threads that do so, which end with it."""
    threads = []
    for stream, out in ((process.stdout, sys.stdout), (process.stderr, sys.stderr)):
        assert stream is not None
        threads.append(threading.Thread(target=_pass_on, args=(stream, out, prefix), daemon=True))
        threads[-1].start()
    return threads


def _pass_on(stream: IO[str], out: TextIO, prefix: str) -> None:
    """A process's lines, each with a word on whose it is."""
    with stream:
        for line in stream:
            out.write(prefix + line)
            out.flush()
