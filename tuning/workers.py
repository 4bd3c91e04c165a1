"""Many processes on one search, over keras-tuner's own distributed mode: a chief that decides, workers that train.

    search --jobs N                 chief and N workers on this machine; a worker that dies is started again
    search --chief HOST:PORT        the chief alone, for workers
    search --worker HOST:PORT       on other machines that see the same RUN folder

keras-tuner's chief waits for ever for a worker that died, and its client an hour for a chief. Here workers have
names of their own and say every few seconds that they live; the trial of one that is silent for too long is
handed on, and whoever takes it up goes on from its last epoch. The search ends when no trial is left.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent import futures
from pathlib import Path

import grpc
from keras_tuner.engine.trial import TrialStatus
from keras_tuner.src import protos
from keras_tuner.src.distribute import oracle_chief, oracle_client

from ariel_tf.errors import ArielError, DataError, Stopped, UsageError
from ariel_tf.training import distribute
from tuning.oracles import SafeOracle

BEAT = 5.0  # seconds between two signs of life of a worker
SILENCE = 120.0  # seconds without one after which a worker counts as dead
CHIEF_SILENCE = 300.0  # seconds that a worker waits for its chief, which may be started again
FAREWELL = 10.0  # seconds that a chief that is done waits for idle workers to ask once more
DEATHS = 5  # of workers in a row, without a trial that ended between them: something is wrong with all


class Servicer(oracle_chief.OracleServicer):
    """keras-tuner's chief, which also notes who lives and hands on the trials of the dead.

    All calls come from one thread, so nothing here needs a lock.
    """

    def __init__(self, oracle: SafeOracle, silence: float = SILENCE, on_change: Callable[[], object] = lambda: None):
        super().__init__(oracle)
        self.silence, self.on_change = silence, on_change
        self.heard: dict[str, float] = {}
        self.error: BaseException | None = None
        self.ended = 0

    def CreateTrial(self, request, context):
        return self._guarded(self._create, request, context)

    def _create(self, request, context):
        now = time.monotonic()
        self.heard[request.tuner_id] = now
        for name in list(self.oracle.ongoing_trials):
            if now - self.heard.setdefault(name, now) > self.silence:
                number = self.oracle.ongoing_trials[name].trial_id
                print(f"worker {name} is silent: trial {int(number)} is handed on", flush=True)
                self.oracle.hand_on(name)
        answer = super().CreateTrial(request, context)
        self.on_change()
        return answer

    def GetTrial(self, request, context):
        """Asked by workers every few seconds, as a sign of life."""
        for name, trial in self.oracle.ongoing_trials.items():
            if trial.trial_id == request.trial_id:
                self.heard[name] = time.monotonic()
        return super().GetTrial(request, context)

    def EndTrial(self, request, context):
        return self._guarded(self._end, request, context)

    def _end(self, request, context):
        answer = super().EndTrial(request, context)
        self.ended += 1
        self.on_change()
        return answer

    def _guarded(self, call, request, context):
        try:
            return call(request, context)
        except BaseException as error:
            self.error = self.error or error  # the chief's main thread raises it
            raise

    @property
    def done(self) -> bool:
        """Whether no trial is left, and a worker was told so."""
        oracle = self.oracle
        return self.stop_triggered and not oracle.ongoing_trials and not oracle._retry_queue


def serve(
    oracle: SafeOracle,
    address: str,
    on_change: Callable[[], object],
    mind: Callable[[Servicer], None] = lambda servicer: None,
    started: Callable[[int], None] = lambda port: None,
    silence: float = SILENCE,
) -> None:
    """Be the chief until no trial is left.

    Args:
        oracle: that decides.
        address: HOST:PORT to listen at; port 0 takes a free one.
        on_change: called when a trial began or ended.
        mind: called every half second, to look after workers.
        started: called with the port.
        silence: seconds after which a worker counts as dead.

    Raises:
        ArielError: the port is taken; or what `mind` raises.
    """
    servicer = Servicer(oracle, silence, on_change)
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1), options=[("grpc.so_reuseport", 0)])
    protos.get_service_grpc().add_OracleServicer_to_server(servicer, server)
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise ArielError(f"--chief {address}: cannot listen there; is the port taken?") from error
    server.start()
    started(port)
    try:
        while not servicer.done:
            if servicer.error:
                raise servicer.error
            mind(servicer)
            time.sleep(0.5)
        last = time.monotonic() + FAREWELL
        while oracle.tuner_ids and time.monotonic() < last:
            time.sleep(0.2)
    finally:
        server.stop(1.0).wait()


def connect(address: str, name: str, oracle: SafeOracle):
    """A client of the chief at HOST:PORT, that has the oracle's methods."""
    host, _, port = address.rpartition(":")
    os.environ |= {"KERASTUNER_ORACLE_IP": host, "KERASTUNER_ORACLE_PORT": port, "KERASTUNER_TUNER_ID": name}
    oracle_client.TIMEOUT = CHIEF_SILENCE
    return Client(oracle, address)


class Client(oracle_client.OracleClient):
    """keras-tuner's client, which says that it lives while it trains, and ends with a sentence if its chief is gone."""

    def __init__(self, oracle: SafeOracle, address: str):
        super().__init__(oracle)
        self.address = address
        self._trial: str | None = None
        threading.Thread(target=self._beat, daemon=True).start()

    def _beat(self) -> None:
        request = protos.get_service().GetTrialRequest
        while True:
            time.sleep(BEAT)
            trial = self._trial
            if trial is not None:
                try:
                    self.stub.GetTrial(request(trial_id=trial), timeout=BEAT)
                except grpc.RpcError:
                    continue  # the chief may be starting again; the next call that matters tells

    def create_trial(self, tuner_id):
        trial = self._asked(super().create_trial, tuner_id)
        self._trial = trial.trial_id if trial.status == TrialStatus.RUNNING else None
        return trial

    def update_trial(self, trial_id, metrics, step=0):
        return self._asked(super().update_trial, trial_id, metrics, step=step)

    def end_trial(self, trial):
        self._asked(super().end_trial, trial)
        self._trial = None

    def _asked(self, call, *arguments, **named):
        try:
            return call(*arguments, **named)
        except grpc.RpcError as error:
            raise ArielError(
                f"--worker {self.address}: the chief did not answer ({error.code().name.lower()}); "
                "repeat its command, then this one, to go on."
            ) from error


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
                env=os.environ | self.environment(index) | {"ARIEL_TF_CREW": "1"},
                start_new_session=True,
            )

    @staticmethod
    def name(index: int) -> str:
        return f"worker{index}"

    def mind(self, servicer: Servicer) -> None:
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
        for process in self.processes.values():
            process.terminate()
        deadline = time.monotonic() + patience
        for process in self.processes.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def told(code: int) -> str:
    """How a process ended, in words."""
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def stop_with_parent() -> None:
    """In a worker of a crew: stop, saved, when the process that started it is gone."""
    if os.environ.get("ARIEL_TF_CREW") == "1":

        def wait():
            sys.stdin.read()
            os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=wait, daemon=True).start()


def shares(count: int, devices: str) -> Callable[[int], dict[str, str]]:
    """The environment of each of `count` workers: a GPU each where there are any, and a share of the cores.

    Args:
        count: of workers.
        devices: as of `distribute.parse`; GPUs of this list are dealt out.
    """
    import tensorflow as tf

    cores = max(1, (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1) // count)
    threads = {name: str(cores) for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")}
    chosen = distribute.parse(devices)
    held = os.environ.get("CUDA_VISIBLE_DEVICES")
    there = held.split(",") if held else [str(i) for i in range(len(tf.config.list_physical_devices("GPU")))]
    gpus = [] if chosen.kind == "cpu" else [there[i] for i in chosen.numbers or range(len(there))]

    def environment(index: int) -> dict[str, str]:
        return threads | ({"CUDA_VISIBLE_DEVICES": gpus[index % len(gpus)]} if gpus else {})

    return environment


def supervise(oracle: SafeOracle, crew: Crew, on_change: Callable[[], object], silence: float = SILENCE) -> None:
    """A chief with a crew of its own, until no trial is left.

    Raises:
        Stopped: Ctrl-C or SIGTERM; every worker has saved its whole epochs.
    """

    def asked(number, frame):
        raise Stopped("stopped; every trial holds its whole epochs.", number)

    before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        serve(oracle, "127.0.0.1:0", on_change, crew.mind, crew.start_all, silence)
    finally:
        for number in before:
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave workers behind
        crew.stop()
        for number, handler in before.items():
            signal.signal(number, handler)
