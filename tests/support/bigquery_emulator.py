"""A BigQuery emulator as a process of its own, spoken to over real connections."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PATIENCE_S = 120


@dataclass(frozen=True)
class Emulator:
    """Where a running emulator listens, on this machine."""

    rest: int
    grpc: int
    pid: int

    @property
    def environment(self) -> dict[str, str]:
        """What the suite needs to know to use it."""
        return {
            "BIGQUERY_EMULATOR_HOST": f"127.0.0.1:{self.rest}",
            "BIGQUERY_STORAGE_EMULATOR_HOST": f"127.0.0.1:{self.grpc}",
        }


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Emulator]:
    """Start an emulator that keeps its files in `folder`, wait until it listens, and stop it in the end."""
    # Another environment's where this one has no room for it, as that of tensorflow-io.
    python = os.environ.get("ARIEL_EMULATOR_PYTHON", sys.executable)
    environment = os.environ | {"HOME": str(folder)}
    # Its database looks for extensions in HOME; these come from installed packages, so no network is needed.
    extensions = "import duckdb_extensions as e; e.import_extension('spatial'); e.import_extension('avro')"
    subprocess.run([python, "-c", extensions], env=environment, check=True, timeout=PATIENCE_S)
    log = folder / "emulator.log"
    command = [python, "-m", "bqemulator", "start", "--rest-port", "0", "--grpc-port", "0", "--project", "proj"]
    with log.open("w") as output:
        process = subprocess.Popen([*command, "--log-format", "json"], env=environment, stdout=output, stderr=output)
    try:
        ports = _ports(log, process)
        yield Emulator(ports["rest.listen"], ports["grpc.listen"], process.pid)
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def _ports(log: Path, process: subprocess.Popen) -> dict[str, int]:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end and process.poll() is None:
        found = {}
        for line in log.read_text().splitlines():
            with contextlib.suppress(ValueError, TypeError, KeyError):
                page = json.loads(line)
                found[page["event"]] = page["port"]
        if {"rest.listen", "grpc.listen"} <= found.keys():
            return found
        time.sleep(0.05)
    raise RuntimeError(f"the emulator did not start:\n{log.read_text()[-2000:]}")
