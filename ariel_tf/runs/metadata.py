"""The environment in which a run was made: commit, versions, Keras settings, hardware.

Remote URLs, which may contain a credential, and the names of user and host are never recorded.
"""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from ariel_tf.core.tf_startup import keras_settings, uses_onednn

PACKAGES = ("ariel_tf", "tensorflow", "keras", "numpy", "tensorboard", "pyarrow")


def collect(strategy: Any) -> dict[str, Any]:
    """Return plain JSON values for one start of a run.

    Args:
        strategy: a `tf.distribute` strategy, whose number of devices is recorded.
    """
    return {
        "commit": _commit(),
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
        "keras": keras_settings(),
        "hardware": _hardware() | {"devices": strategy.num_replicas_in_sync, "onednn": uses_onednn()},
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    """Return the source's git commit, with + if files differ from it; "unknown" outside a checkout.

    An installed package may be inside another repository, whose commit does not describe it.
    """
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return "unknown"
    command = ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return found.stdout.strip() or "unknown"


def _hardware() -> dict[str, Any]:
    import tensorflow as tf

    devices = [tf.config.experimental.get_device_details(gpu).get("device_name", "GPU") for gpu in _gpus(tf)]
    return {"machine": platform.machine(), "system": platform.system(), "cpus": os.cpu_count(), "gpus": devices}


def _gpus(tf: Any) -> list[Any]:
    return tf.config.list_physical_devices("GPU")
