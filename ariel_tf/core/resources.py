"""What the machine has to offer: memory that is free, cores that this process may use."""

import os
from pathlib import Path


def available_cpus() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory() -> int:
    """Bytes that are free of the machine's memory and of what this process's group may have."""
    return min([_free_of_machine(), *_free_of_group()])


def _free_of_machine() -> int:
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _free_of_group(folder: Path = Path("/sys/fs/cgroup")) -> list[int]:
    """What a container's limit leaves, nothing where there is none."""
    try:
        limit, used = ((folder / name).read_text().strip() for name in ("memory.max", "memory.current"))
    except OSError:
        return []
    return [] if limit == "max" else [max(0, int(limit) - int(used))]


def spoken(size: float) -> str:
    """Bytes in words.

    >>> spoken(12_340_000_000), spoken(3_000_000)
    ('12.3 GB', '3.0 MB')
    """
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
