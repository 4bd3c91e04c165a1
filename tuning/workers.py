"""Several processes in one search, in keras-tuner's distributed mode: a chief selects trials, workers train.

    search --jobs N                 chief and N workers on this machine; a worker that dies is restarted
    search --chief HOST:PORT        the chief alone, for workers
    search --worker HOST:PORT       on other machines with access to the same RUN folder

keras-tuner's chief waits indefinitely for a worker that died, and its client an hour for a chief. Here workers have
names and send a sign of life every few seconds; the trial of a worker that is silent for too long is assigned to
another one, which resumes it after its last epoch. The search ends when no trial is left.
"""

import os
import threading
import time
from collections.abc import Callable
from concurrent import futures
from typing import Any

import grpc
from keras_tuner.engine.trial import TrialStatus
from keras_tuner.src import protos
from keras_tuner.src.distribute import oracle_chief, oracle_client

from ariel_tf.core import messages
from ariel_tf.core.errors import ArielError, Stopped
from ariel_tf.core.processes import PATIENCE
from ariel_tf.core.signals import graceful_stop
from tuning.connection import CHIEF_SILENCE
from tuning.local_workers import LocalWorkers
from tuning.safe_oracle import SafeOracle

BEAT = 5.0  # seconds between two signs of life of a worker
SILENCE = 120.0  # seconds without one after which a worker counts as dead
FAREWELL = 10.0  # seconds that a chief, when all is done, waits for idle workers to ask once more


class Servicer(oracle_chief.OracleServicer):
    """keras-tuner's chief, which also tracks live workers and reassigns the trials of dead ones.

    All calls come from one thread, so nothing here needs a lock.
    """

    def __init__(self, oracle: SafeOracle, silence: float = SILENCE, on_change: Callable[[], object] = lambda: None):
        super().__init__(oracle)
        self.silence, self.on_change = silence, on_change
        self.heard: dict[str, float] = {}
        self.error: BaseException | None = None
        self.ended = 0

    def CreateTrial(self, request: Any, context: Any) -> Any:
        return self._guarded(self._create, request, context)

    def _create(self, request: Any, context: Any) -> Any:
        now = time.monotonic()
        self.heard[request.tuner_id] = now
        for name in list(self.oracle.ongoing_trials):
            if now - self.heard.setdefault(name, now) > self.silence:
                number = self.oracle.ongoing_trials[name].trial_id
                messages.info(f"worker {name} is silent: trial {int(number)} is assigned to another worker")
                self.oracle.hand_on(name)
        answer = super().CreateTrial(request, context)
        self.on_change()
        return answer

    def GetTrial(self, request: Any, context: Any) -> Any:
        """Called by workers every few seconds, as a sign of life."""
        for name, trial in self.oracle.ongoing_trials.items():
            if trial.trial_id == request.trial_id:
                self.heard[name] = time.monotonic()
        return super().GetTrial(request, context)

    def EndTrial(self, request: Any, context: Any) -> Any:
        return self._guarded(self._end, request, context)

    def _end(self, request: Any, context: Any) -> Any:
        answer = super().EndTrial(request, context)
        self.ended += 1
        self.on_change()
        return answer

    def _guarded(self, call: Callable[[Any, Any], Any], request: Any, context: Any) -> Any:
        try:
            return call(request, context)
        except BaseException as error:
            self.error = self.error or error  # the chief's main thread raises it
            raise

    @property
    def done(self) -> bool:
        """Whether no trial is left and at least one worker has received this."""
        oracle = self.oracle
        return self.stop_triggered and not oracle.ongoing_trials and not oracle._retry_queue


def serve(
    oracle: SafeOracle,
    address: str,
    on_change: Callable[[], object],
    on_tick: Callable[[Servicer], None] = lambda servicer: None,
    started: Callable[[int], None] = lambda port: None,
    silence: float = SILENCE,
) -> None:
    """Run the chief until no trial is left.

    Args:
        oracle: oracle that selects trials.
        address: HOST:PORT to listen at; port 0 selects a free one.
        on_change: called when a trial began or ended.
        on_tick: called every half second, to check on workers.
        started: called with the port.
        silence: seconds after which a worker counts as dead.

    Raises:
        ArielError: the port is taken; or what `on_tick` raises.
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
            on_tick(servicer)
            time.sleep(0.5)
        last = time.monotonic() + FAREWELL
        while oracle.tuner_ids and time.monotonic() < last:
            time.sleep(0.2)
    finally:
        server.stop(1.0).wait()


def connect(address: str, name: str, oracle: SafeOracle) -> Any:
    """Return a client of the chief at HOST:PORT, with the methods of the oracle."""
    host, _, port = address.rpartition(":")
    os.environ |= {"KERASTUNER_ORACLE_IP": host, "KERASTUNER_ORACLE_PORT": port, "KERASTUNER_TUNER_ID": name}
    oracle_client.TIMEOUT = CHIEF_SILENCE
    return Client(oracle, address)


class Client(oracle_client.OracleClient):
    """keras-tuner's client, with signs of life while it trains, and a one-sentence error if its chief is gone."""

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
                    continue  # the chief may be restarting; the next important call reports its loss

    def create_trial(self, tuner_id: str) -> Any:
        trial = self._asked(super().create_trial, tuner_id)
        self._trial = trial.trial_id if trial.status == TrialStatus.RUNNING else None
        return trial

    def update_trial(self, trial_id: str, metrics: dict[str, Any], step: int = 0) -> Any:
        return self._asked(super().update_trial, trial_id, metrics, step=step)

    def end_trial(self, trial: Any) -> None:
        self._asked(super().end_trial, trial)
        self._trial = None

    def _asked(self, call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        try:
            return call(*arguments, **named)
        except grpc.RpcError as error:
            raise ArielError(
                f"--worker {self.address}: the chief did not answer ({error.code().name.lower()}); "
                "repeat its command, then this one, to resume."
            ) from error


def supervise(
    oracle: SafeOracle, local: LocalWorkers, on_change: Callable[[], object], silence: float = SILENCE
) -> None:
    """Run a chief with workers on this machine, until no trial is left.

    Raises:
        Stopped: a signal was received; every worker has saved its epochs, unless the signal was repeated.
    """
    with graceful_stop() as request:

        def look_after(servicer: Servicer) -> None:
            if request.number:
                raise Stopped("stopped; every trial holds its whole epochs.", request.number)
            local.look_after(servicer)

        try:
            serve(oracle, "127.0.0.1:0", on_change, look_after, local.start_all, silence)
        finally:
            local.stop(PATIENCE, request)
