"""Python processes of tests, forked from one that has imported TensorFlow: each saves seconds of importing it.

    pytest worker ──fork, before TensorFlow starts a device or a thread──▶ zygote ──fork, twice──▶ the process

The process is a child of the pytest worker, as one that `subprocess.Popen` starts: it can be killed, stopped and waited
for. It runs `python -m MODULE ...` or `python -c PROGRAM ...`, with -P or without, as `__main__`, in the environment,
folder and with the files that it is given, and has a zygote of its own, so that the Python processes that it starts are
forked too. Everything else is started as ever. Pictures are dots, as in all tests (`support.pictures`), unless the test
draws; trainings take no step if the test's own take none (`support.pretended`).
"""

import atexit
import contextlib
import ctypes
import fcntl
import json
import os
import runpy
import socket
import subprocess
import sys
import threading
import traceback
import types
import warnings
from collections.abc import Iterator
from typing import Any

import matplotlib
import pytest

from . import pictures

SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of linux/prctl.h
_LONGEST = 1 << 20  # bytes of a request
_zygote: socket.socket | None = None


def start() -> None:
    """Fork the zygote of this process."""
    global _zygote
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        ours.close()
        _serve(its)
    its.close()
    _zygote = ours


def stop() -> None:
    """End the zygote, if there is one."""
    if _zygote is not None:
        _zygote.close()


@contextlib.contextmanager
def forked() -> Iterator[None]:
    """Within it, `subprocess.Popen` forks Python processes from the zygote."""
    # Imported before `Popen` is replaced: a module that takes it by name while it is would keep it for ever.
    try:
        from jupyter_client import launcher
    except ImportError:  # where no notebook can be started
        launcher = None
    with pytest.MonkeyPatch.context() as patch:
        if _zygote is not None:
            patch.setattr(subprocess, "Popen", Forked)
            if launcher is not None:
                patch.setattr(launcher, "Popen", Forked)
        yield


class Forked(subprocess.Popen):
    """A process of the zygote's, or any other command as ever."""

    # The arguments are those of `subprocess.Popen._execute_child` in Python 3.11 to 3.13.
    def _execute_child(self, args: Any, executable: Any, preexec_fn: Any, *rest: Any) -> None:
        cwd, environment, shell, pipes, new_session = rest[2], rest[3], rest[6], rest[7:13], rest[18]
        given = [os.fspath(part) for part in args] if isinstance(args, list) else []
        program = given[2:] if given[1:2] == ["-P"] else given[1:]
        if given[:1] != [sys.executable] or program[:1] not in (["-m"], ["-c"]) or shell or preexec_fn:
            super()._execute_child(args, executable, preexec_fn, *rest)  # type: ignore[misc]
            return
        request = {
            "arguments": program,
            "searches_here": given[1] != "-P",
            "folder": os.fspath(cwd or os.getcwd()),
            "environment": dict(os.environ if environment is None else environment),
            "new_session": new_session,
            "draws": pictures.are_drawn(),
            "pretends": "support.pretended" in sys.modules and sys.modules["support.pretended"].active(),
        }
        files = (pipes[0], pipes[3], pipes[5])
        self.pid = _fork(request, [number if file == -1 else file for number, file in enumerate(files)])
        self._child_created = True
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]


def _fork(request: dict[str, Any], files: list[int]) -> int:
    """Ask the zygote for a process, which becomes this one's child: its number."""
    assert _zygote is not None
    prctl = ctypes.CDLL(None).prctl
    prctl(SUBREAPER, 1, 0, 0, 0)
    try:
        socket.send_fds(_zygote, [json.dumps(request).encode()], files)
        return int(_zygote.recv(100))
    finally:
        prctl(SUBREAPER, 0, 0, 0, 0)


def _serve(requests: socket.socket) -> None:
    """In the zygote: fork what is asked for, until the pytest worker is gone."""
    try:
        atexit._clear()  # type: ignore[attr-defined]  (what pytest would remove at its end)
        kept = {2, requests.fileno()}
        for name in os.listdir("/proc/self/fd"):
            if int(name) not in kept:
                with contextlib.suppress(OSError):
                    os.close(int(name))
        while True:
            content, files, _, _ = socket.recv_fds(requests, _LONGEST, 3)
            if not content:
                os._exit(0)
            numbers, number = os.pipe()
            if os.fork() == 0:
                child = os.fork()
                if child == 0:
                    requests.close()
                    _run(json.loads(content), files)
                os.write(number, str(child).encode())
                os._exit(0)
            os.wait()  # from now on the process is a child of the pytest worker
            requests.send(os.read(numbers, 100))
            for file in (numbers, number, *files):
                os.close(file)
    finally:
        os._exit(1)


def _as_started(draws: bool) -> None:
    """Take back what pytest and the tests changed in this process: warnings, the backend and, if asked, pictures."""
    warnings.resetwarnings()
    for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
        warnings.simplefilter("ignore", category)
    warnings.filterwarnings("default", category=DeprecationWarning, module="__main__")
    if "MPLBACKEND" in os.environ:  # read when matplotlib is imported
        matplotlib.rcParams["backend"] = os.environ["MPLBACKEND"]
    if draws:
        pictures.draw_from_now()


def _run(request: dict[str, Any], files: list[int]) -> None:
    """In the process: the command, to its end."""
    code = 1
    try:
        if request["new_session"]:
            os.setsid()
        above = [fcntl.fcntl(file, fcntl.F_DUPFD, 10) for file in files]
        for number, file in enumerate(above):
            os.dup2(file, number)
        os.closerange(3, max(above) + 1)
        start()
        subprocess.Popen = Forked  # type: ignore[misc]
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        _as_started(request["draws"])
        if request["pretends"]:
            from . import pretended

            held = pretended.trainings()
            held.__enter__()
        sys.stdin, sys.stdout = open(0), open(1, "w")  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, errors="backslashreplace")  # noqa: SIM115
        sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr  # type: ignore[misc]
        kind, what, *arguments = request["arguments"]
        searched = os.environ.get("PYTHONPATH", "")
        here = [request["folder"] if kind == "-m" else ""] if request["searches_here"] else []
        sys.path[:0] = [*here, *filter(None, searched.split(os.pathsep))]
        sys.argv = [kind if kind == "-c" else what, *arguments]
        if kind == "-m":
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        else:
            sys.modules["__main__"] = main = types.ModuleType("__main__")
            exec(compile(what, "<string>", "exec"), main.__dict__)
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
    except BaseException:  # noqa: BLE001  (what the interpreter prints of a programming error)
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            threading._shutdown()  # type: ignore[attr-defined]
            atexit._run_exitfuncs()  # type: ignore[attr-defined]
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(BaseException):
                stream.flush()
        os._exit(code)
