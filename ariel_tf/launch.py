"""Print the job file with which a cluster runs a command, divided among its machines.

    python -m ariel_tf.launch slurm --machines 8 -- train --wavelength 0-54 --data DATA --run RUN > job.sh

SYSTEM is slurm (for `sbatch`), kubernetes (for `kubectl apply -f`), vertex (a script of `gcloud` calls for Vertex AI)
or ray (for `ray job submit`). The arguments after `--` are a command of `ariel` with its options, which are checked
here, so that a mistake does not wait in a queue. `ariel_tf.training.launching.work` has the table of how commands are
divided.
"""

import importlib
import re
import sys
from collections.abc import Sequence
from typing import Any

from ariel_tf.core import cli, resources
from ariel_tf.core.errors import UsageError, nearest, run_command
from ariel_tf.core.schema import Schema, option
from ariel_tf.training.launching import kubernetes, ray, slurm, vertex
from ariel_tf.training.launching.work import Machine, Work

SYSTEMS = ("slurm", "kubernetes", "vertex", "ray")
EACH = "each machine"
_VOLUMES = {
    "kubernetes": ("ariel-data:/data", "ariel-runs:/runs"),
    "vertex": ("10.0.0.2:/data:/mnt/nfs/data", "10.0.0.2:/runs:/mnt/nfs/runs"),
}


class Options(Schema):
    """Options of `python -m ariel_tf.launch` before `--`."""

    system: str = option(..., "slurm, kubernetes, vertex or ray", metavar="SYSTEM", positional=True, choices=SYSTEMS)
    machines: int = option(1, "number of machines, pods or tasks", low=1, high=10_000, metavar="N")
    name: str = option(
        "ariel", "name of the job", expected="lower-case letters, digits and -, like ariel-squid",
        check=lambda text: re.fullmatch("[a-z]([-a-z0-9]{0,40}[a-z0-9])?", text) is not None, metavar="NAME"
    )  # fmt: skip
    cpus: int = option(8, "CPU cores per machine", low=1, high=10_000, metavar="N", group=EACH)
    gpus: int = option(0, "GPUs per machine", low=0, high=64, metavar="N", group=EACH)
    memory: str = option(
        "32G", "memory per machine", metavar="SIZE", group=EACH, expected="a size like 32G",
        check=lambda text: text[-1:] in ("M", "G", "T") and resources.parse_bytes(text) is not None
    )  # fmt: skip
    time: str = option(
        "12:00:00", "time limit of the job (slurm)", metavar="HH:MM:SS", group=EACH, expected="a time like 12:00:00",
        check=lambda text: re.fullmatch(r"\d{1,4}:[0-5]\d:[0-5]\d", text, re.ASCII) is not None
    )  # fmt: skip
    image: str = option(
        "registry.example/ariel_tf:latest", "container image (kubernetes, vertex)", metavar="IMAGE", group=EACH,
        check=lambda text: re.fullmatch(r"[\w./:@-]{1,300}", text, re.ASCII) is not None,
        expected="the name of an image"
    )  # fmt: skip
    volume: tuple[str, ...] = option(
        (), "a volume and its mount point in the container: CLAIM:/PATH, SERVER:/SHARE:/PATH (vertex); repeatable",
        append=True, metavar="VOLUME", group=EACH, shown="ariel-data:/data and ariel-runs:/runs"
    )  # fmt: skip
    region: str = option(
        "europe-west4", "region (vertex)", metavar="REGION", group=EACH, check=lambda text: _word(text)
    )
    machine_type: str = option(
        "n1-standard-16", "type of machine (vertex)", metavar="TYPE", group=EACH, check=lambda text: _word(text)
    )  # fmt: skip
    accelerator: str = option(
        "NVIDIA_TESLA_T4", "type of GPU (vertex)", metavar="TYPE", group=EACH, check=lambda text: _word(text)
    )  # fmt: skip

    @property
    def machine(self) -> Machine:
        """Return the resources of each machine."""
        volumes = self.volume or _VOLUMES.get(self.system, ())
        return Machine(
            self.machines, self.cpus, self.gpus, self.memory, self.time, self.name, self.image,
            tuple(self._volume(text) for text in volumes)
        )  # fmt: skip

    def _volume(self, text: str) -> tuple[str, str]:
        source, _, mount = text.rpartition(":")
        form = r"[\w.-]+:/[\w./-]*" if self.system == "vertex" else r"[a-z0-9.-]+"
        if not re.fullmatch(form, source, re.ASCII) or not re.fullmatch(r"/[\w./-]+", mount, re.ASCII):
            expected = "SERVER:/SHARE:/PATH" if self.system == "vertex" else "CLAIM:/PATH"
            raise UsageError(f"--volume: expected {expected}. Received: {text}")
        return source, mount


def _word(text: str) -> bool:
    return re.fullmatch(r"[\w-]{1,100}", text, re.ASCII) is not None


def parser() -> cli.Parser:
    examples = [
        "slurm --machines 8 --gpus 1 -- train --model squid --wavelength 0-54 --data /data --run /runs/squid",
        "kubernetes --machines 4 --gpus 1 -- train --wavelength joint --data /data/train --run /runs/joint",
        "ray --machines 8 -- convert --light-curves /data/noisy_train --params /data/params_train --out /data/train",
    ]
    return cli.Parser("ariel_tf.launch", __doc__, Options, examples=examples, rest="-- COMMAND OPTIONS")


def work_of(command: Sequence[str], machines: int) -> Work:
    """Return the work of a command of `ariel`, whose options are checked.

    Args:
        command: name of the command and its options.
        machines: number of machines.

    Raises:
        UsageError: no such command, or invalid options.
    """
    from ariel_tf.__main__ import MODULES

    if not command:
        raise UsageError("expected a command of ariel after --, like -- train --wavelength 0-54 --run RUN.")
    word, options = command[0].replace("_", "-"), list(command[1:])
    if word not in MODULES or word == "launch":
        raise UsageError(
            f"--: expected a command, one of {', '.join(MODULES)}. Received: {word}{nearest(word, MODULES)}"
        )
    module: Any = importlib.import_module(MODULES[word])
    own = options[: options.index("--")] if "--" in options else options
    arguments = module.parser().parse_args(own)
    given = dict(vars(arguments))
    if word == "train":
        from ariel_tf.config.train_config import TrainConfig

        given["wavelength"] = TrainConfig.from_flags(arguments).wavelength
    return Work.of(word, MODULES[word], options, given, machines)


def job_file(options: Options, command: Sequence[str]) -> str:
    """Return the text of the job file."""
    work, machine = work_of(command, options.machines), options.machine
    if options.system == "slurm":
        return slurm.script(work, machine)
    if options.system == "kubernetes":
        return kubernetes.manifest(work, machine)
    if options.system == "vertex":
        return vertex.script(work, machine, options.region, options.machine_type, options.accelerator)
    return ray.script(work, machine)


def main(arguments: Sequence[str] | None = None) -> None:
    arguments = cli.given(arguments)
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    options = Options.from_flags(parser().parse_args(arguments[:cut]))
    sys.stdout.write(job_file(options, arguments[cut + 1 :]))


if __name__ == "__main__":
    run_command(main)
