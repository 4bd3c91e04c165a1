"""Runs commands in forked children that have TensorFlow already, under the library that counts file-system steps.

    python -m support.steps.server LIBRARY      requests and replies are JSON, a line each, on stdin and stdout

Importing TensorFlow starts none of its threads, so a fork before the first operation is safe, and a child costs what
the command itself costs. Started by `Server` with LD_PRELOAD.
"""

import contextlib
import ctypes
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

READS, CONNECTIONS = 1, 2  # of steps.c
KINDS = {"count": 0, "kill": 1, "ENOSPC": 2, "EIO": 3, "EACCES": 4, "short write": 5, "signal": 6}
NEVER = 2**31
SOURCE = Path(__file__).with_name("steps.c")
TESTS = Path(__file__).parents[2]
# What the commands import while they run: imported once.
HEAVY = ("matplotlib.figure", "matplotlib.backends.backend_agg", "scipy.optimize", "scipy.special", "pandas", "h5py")
COMMANDS = (
    *(f"ariel_tf.{name}" for name in ("train", "ensemble", "trees", "predict", "export", "submission")),
    *(f"pipelines.{name}" for name in ("convert", "simulate", "arrays", "upload", "download")),
    "tuning.search",
    "support.pretended_run",
)
ROOMS = (
    "training.one_model",
    "training.fit",
    "training.stacked.fit",
    "runs.predictor",
    "evaluation.prediction_figures",
)


@dataclass(frozen=True)
class Result:
    """What became of a command.

    Attributes:
        code: exit code; negative, the signal that ended it.
        steps: operation and path of each step.
        fired: number of faults that were injected.
        output: what it printed.
        seconds: CPU time.
        after: seconds from the fault to the end.
    """

    code: int
    steps: list[str]
    fired: int
    output: str
    seconds: float
    after: float


def memory_folder() -> tempfile.TemporaryDirectory:
    """A temporary folder in memory where the system has one: thousands of flushes would wait for a disk."""
    memory = Path("/dev/shm")
    return tempfile.TemporaryDirectory(prefix="steps-", dir=memory if os.access(memory, os.W_OK) else None)


def build(folder: Path) -> Path:
    """Compile the library with the system's C compiler."""
    library = folder / "steps.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"], check=True, capture_output=True)
    return library


class Server:
    """The server as a child process; a context manager.

    Args:
        tensorflow: whether it imports TensorFlow and all commands once; without, only what needs none runs fast.
    """

    def __init__(self, tensorflow: bool = True):
        self._folder = memory_folder()
        library = str(build(Path(self._folder.name)))
        paths = [str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")]
        environment = os.environ | {
            "LD_PRELOAD": library,
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "XDG_CACHE_HOME": str(Path(self._folder.name) / "cache"),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.steps.server", library, str(int(tensorflow))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )  # fmt: skip

    def run(self, folder: Path, command: list[str], kind: str = "count", at: int = NEVER, **how: bool) -> Result:
        """Run a command with `folder` as the current folder; let its step number `at` below it be of this kind.

        Args:
            folder: where the command runs.
            command: module and arguments.
            kind: of `KINDS`.
            at: number of the step that fails.
            how: "pretended": trainings take no steps (`support.pretended`); "drawn": pictures are not dots;
                "reads", "connections": these count as steps too.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {"folder": str(folder.resolve()), "command": command, "kind": KINDS[kind], "at": at, "how": how}
        print(json.dumps(request), file=self._process.stdin, flush=True)
        return Result(**json.loads(self._process.stdout.readline()))

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()  # the end of its input ends it
        self._folder.cleanup()


def serve(library: Any) -> None:
    """Answer one request after another."""
    library.steps_count.restype = library.steps_fired.restype = ctypes.c_long
    library.steps_when.restype = ctypes.c_double
    library.steps_name.restype = ctypes.c_char_p
    library.steps_arm.argtypes = [ctypes.c_char_p, ctypes.c_long, ctypes.c_int, ctypes.c_int]
    replies = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        request = json.loads(line)
        with tempfile.TemporaryFile() as output:
            child = os.fork()
            if child == 0:
                _run(request, library, output.fileno())
            _, waited, used = os.wait4(child, 0)
            status = os.waitstatus_to_exitcode(waited)
            output.seek(0)
            text = output.read().decode("utf-8", "backslashreplace")
        steps = [library.steps_name(step).decode() for step in range(library.steps_count())]
        reply = {"code": status, "steps": steps, "fired": library.steps_fired(), "output": text}
        reply["seconds"] = used.ru_utime + used.ru_stime
        reply["after"] = time.monotonic() - library.steps_when()
        print(json.dumps(reply), file=replies, flush=True)


def _run(request: dict[str, Any], library: Any, output: int) -> None:
    """In the child: the command, to its end."""
    code = 99
    try:
        null = os.open(os.devnull, os.O_RDONLY)
        for number, place in ((0, null), (1, output), (2, output)):
            os.dup2(place, number)
        sys.stdin, sys.stdout, sys.stderr = (open(n, "rw"[n > 0], closefd=False) for n in range(3))  # noqa: SIM115
        sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr  # type: ignore[misc]
        os.chdir(request["folder"])
        from ariel_tf.core.errors import run_command

        module, *arguments = request["command"]
        how = request["how"]
        if not how.get("drawn"):
            from ariel_tf.core import figures

            figures.draw = _dots
        trainings: Any = contextlib.nullcontext()
        if how.get("pretended"):
            from support import pretended

            trainings = pretended.trainings(stacks=False)
        scope = READS * how.get("reads", False) + CONNECTIONS * how.get("connections", False)
        library.steps_arm(os.fsencode(request["folder"]), request["at"], request["kind"], scope)
        sys.argv = [module, *arguments]
        with trainings:
            run_command(lambda: importlib.import_module(module).main(arguments))
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001  (what the interpreter prints of a programming error)
        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _dots(draw: Any, arguments: tuple[Any, ...]) -> None:
    """In place of `core.figures.draw`: each picture is a dot, written as pictures are."""
    from ariel_tf.core.atomic_files import replacing
    from support.pictures import DOT

    for path in arguments:
        if isinstance(path, Path):
            with replacing(path) as temporary:
                temporary.write_bytes(DOT)


def main() -> None:
    library, tensorflow = ctypes.CDLL(sys.argv[1]), int(sys.argv[2])
    if tensorflow:
        from ariel_tf.core.tf_startup import import_tensorflow

        import_tensorflow(start_devices=False)
        for name in (*HEAVY, *(f"ariel_tf.{room}" for room in ROOMS), "support.pretended"):
            importlib.import_module(name)
    for name in ("pandas", *COMMANDS):
        importlib.import_module(name)
    serve(library)


if __name__ == "__main__":
    main()
