"""A signal ends a command within ten seconds with one sentence; a block that saves is left to end by itself."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ariel_tf.core import signals
from ariel_tf.core.errors import Stopped
from ariel_tf.core.signals import Interrupted, graceful_stop, interrupt_on_signal

ROOT = Path(__file__).parents[2]
PROGRAM = '''
import ctypes, signal, sys, time
from pathlib import Path
from ariel_tf.core.errors import Stopped, run_command
from ariel_tf.core.signals import graceful_stop, interrupt_on_signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs ignore
def ready():
    print("ready", flush=True)
def block(seconds):
    """Wait as TensorFlow does for its peers: no signal interrupts it, and no Python code runs in the main thread."""
    mutex, until = ctypes.create_string_buffer(64), (ctypes.c_long * 2)(int(time.time()) + seconds, 0)
    for _ in range(2):
        ctypes.CDLL(None).pthread_mutex_timedlock(mutex, until)
def main():
{body}
run_command(main)
'''
BLOCKED = "block(60)"
PHASES = {
    "python": "ready(); time.sleep(60)",
    "inside C++": f"ready(); {BLOCKED}",
    "a library that swallows it": """
ready()
try: time.sleep(60)
except BaseException: raise RuntimeError("the data set is broken") from None
""",
    "a library that goes on": """
ready()
try: time.sleep(60)
except BaseException: time.sleep(60)
""",
    "a cleanup that hangs": f"""
ready()
try: time.sleep(60)
finally: {BLOCKED}
""",
    "stderr is hidden": f"""
from ariel_tf.core.tf_startup import notices_hidden
with notices_hidden():
    ready()
    {BLOCKED}
""",
}


def start(body, **options):
    indented = "\n".join(f"    {line}" for line in body.strip().splitlines())
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(body=indented)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        **options,
    )


def send(body, *numbers, pause=0.3, **options):
    """(exit code, stdout, stderr, seconds) of a program that is sent signals once it is ready."""
    with start(body, **options) as process:
        assert process.stdout.readline() == "ready\n"
        began = time.monotonic()
        for number in numbers:
            process.send_signal(number)
            time.sleep(pause)
        out, err = process.communicate(timeout=60)
    return process.returncode, out, err, time.monotonic() - began


@pytest.mark.parametrize("phase", PHASES)
def test_a_signal_ends_a_command_in_any_phase_within_ten_seconds_with_one_sentence(phase):
    code, _, err, seconds = send(PHASES[phase], signal.SIGTERM)
    assert code == 143
    assert seconds < 10
    assert err == "\nstopped by SIGTERM; repeat the command to continue.\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGHUP, 129), (signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("phase", ["python", "inside C++"])
def test_each_signal_has_its_exit_code(phase, number, code):
    returned, _, err, _ = send(PHASES[phase], number)
    assert returned == code
    assert err == f"\nstopped by {number.name}; repeat the command to continue.\n"


def test_a_second_signal_ends_a_command_immediately():
    code, _, err, seconds = send(PHASES["a library that goes on"], signal.SIGTERM, signal.SIGTERM)
    assert code == 143
    assert seconds < 5
    assert err == "\nstopped by SIGTERM; repeat the command to continue.\n"


def test_nohup_keeps_a_command_running_when_its_terminal_is_gone():
    ignore = lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)  # noqa: E731
    body = "ready(); time.sleep(1); print('done')"
    code, out, err, _ = send(body, signal.SIGHUP, preexec_fn=ignore)
    assert (code, out, err) == (0, "done\n", "")


SAVING = """
with graceful_stop() as request:
    ready()
    while not request.number: time.sleep(0.01)
    {step}
    raise Stopped("saved", request.number)
"""


def test_a_block_that_saves_is_given_its_time():
    code, _, err, seconds = send(SAVING.format(step="time.sleep(9)"), signal.SIGTERM)
    assert (code, err) == (143, "\nsaved\n")
    assert seconds > 8


def test_a_long_step_is_ended_by_the_same_signal_twice_and_not_by_one():
    step = "with graceful_stop() as request:\n    ready()\n    block({})\n    print(request.number)"
    code, out, _, seconds = send(step.format(7), signal.SIGTERM)
    assert (code, out) == (143, "15\n")
    assert seconds > 5
    code, out, err, seconds = send(step.format(60), signal.SIGTERM, signal.SIGTERM)
    assert (code, out) == (143, "")
    assert seconds < 10
    assert err == "\nstopped by SIGTERM; repeat the command to continue.\n"


def test_a_graceful_block_notes_signals_and_puts_the_handlers_back():
    before = [signal.getsignal(number) for number in signals.SIGNALS]

    def receive():
        with graceful_stop() as request:
            signal.raise_signal(signal.SIGTERM)
            assert (request.number, request.repeated) == (signal.SIGTERM, False)
            signal.raise_signal(signal.SIGHUP)
            assert (request.number, request.repeated) == (signal.SIGHUP, False)
            signal.raise_signal(signal.SIGHUP)
            assert request.repeated
            raise Stopped("saved", request.number)

    with pytest.raises(Stopped):
        receive()
    assert [signal.getsignal(number) for number in signals.SIGNALS] == before


def test_a_signal_that_a_graceful_block_leaves_is_delivered_after_it():
    def leave_it():
        with interrupt_on_signal():
            with graceful_stop():
                signal.raise_signal(signal.SIGTERM)
            pytest.fail("the signal was lost")

    with pytest.raises(Interrupted) as caught:
        leave_it()
    assert caught.value.number == signal.SIGTERM


def test_a_graceful_block_outside_the_main_thread_leaves_the_signals_alone():
    before, seen = signal.getsignal(signal.SIGTERM), []

    def run():
        with graceful_stop() as request:
            seen.append((request.number, signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [(0, before)]
