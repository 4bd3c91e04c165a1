"""What a run was made with: commit, versions, hardware. Never a remote URL, a user or a host name."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("ariel_tf", "tensorflow", "keras", "numpy", "tensorboard", "pyarrow")


def collect(strategy: Any) -> dict[str, Any]:
    """Plain JSON values; of a `tf.distribute` strategy, how many devices trained together."""
    return {
        "commit": _commit(),
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
        "hardware": _hardware() | {"devices": strategy.num_replicas_in_sync},
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    """The source's git commit, with + when files differ from it; "unknown" where it is no checkout of its own.

    An installed package may lie inside somebody else's repository, whose commit says nothing about it.
    """
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return "unknown"
    command = ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return answer.stdout.strip() or "unknown"


def _hardware() -> dict[str, Any]:
    import tensorflow as tf

    devices = [tf.config.experimental.get_device_details(gpu).get("device_name", "GPU") for gpu in _gpus(tf)]
    return {"machine": platform.machine(), "system": platform.system(), "cpus": os.cpu_count(), "gpus": devices}


def _gpus(tf) -> list[Any]:
    return tf.config.list_physical_devices("GPU")
