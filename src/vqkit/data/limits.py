"""How much a source may keep in memory, where it may write, and how many threads it may use."""

from __future__ import annotations

import os
from pathlib import Path

from vqkit.errors import ConfigError

FALLBACK_PHYSICAL_BYTES = 8 * 2**30  # where the system does not tell
MAX_WORKERS = 16


def physical_bytes() -> int:
    """Physical memory in bytes, or the container's limit where that is lower."""
    try:
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        physical = FALLBACK_PHYSICAL_BYTES
    try:
        allowed = int(Path("/sys/fs/cgroup/memory.max").read_text())
    except (OSError, ValueError):  # no cgroup v2, or the word "max"
        allowed = physical
    return max(1, min(physical, allowed))


def resolve_memory_limit(memory_limit: int | None) -> int:
    """Bytes of decoded data that may stay in memory: the number given, or a quarter of physical memory.

    0 means: never in memory. Raises ConfigError for a negative number or something that is no integer.
    """
    if memory_limit is None:
        return physical_bytes() // 4
    if isinstance(memory_limit, bool) or not isinstance(memory_limit, int) or memory_limit < 0:
        raise ConfigError(
            f"memory_limit is {memory_limit!r}; it is a whole number of bytes, 0 or more "
            "(None: a quarter of physical memory)."
        )
    return memory_limit


def cache_folder() -> Path:
    """``$VQKIT_CACHE``, or ``~/.cache/vqkit``. Not created here.

    Raises ConfigError where neither is known.
    """
    given = os.environ.get("VQKIT_CACHE")
    try:
        return Path(given).expanduser() if given else Path.home() / ".cache" / "vqkit"
    except RuntimeError as error:  # a user without an entry, and no HOME
        raise ConfigError(
            "this user has no home folder, so there is no place for copies of large tables: set VQKIT_CACHE to a folder"
        ) from error


def default_workers() -> int:
    """Threads for reading and decoding: one per processor this process may use, at most 16."""
    try:
        available = len(os.sched_getaffinity(0))
    except AttributeError:
        available = os.cpu_count() or 1
    return max(1, min(MAX_WORKERS, available))
