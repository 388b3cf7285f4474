"""Resources of the machine that data may use: memory, cache folder, threads."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from vqkit.errors import ConfigError

FALLBACK_PHYSICAL_BYTES = 8 * 2**30  # where the system does not tell
MAX_WORKERS = 16
_default: ContextVar[int | None] = ContextVar("memory_limit", default=None)
_once: ContextVar[bool] = ContextVar("read_once", default=False)


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


def resolve_memory_limit(memory_limit: int | str | None) -> int:
    """Bytes of decoded data that may stay in memory: what is given, that of ``memory_limited``, or a quarter of all.

    A number of bytes, or a text such as "2GB", "500 MB" or "1.5GiB". 0 means: never in memory. Raises ConfigError for
    a negative number or something that is no size.
    """
    if memory_limit is None:
        default = _default.get()
        return physical_bytes() // 4 if default is None else default
    if isinstance(memory_limit, str):
        return _parsed(memory_limit)
    if isinstance(memory_limit, bool) or not isinstance(memory_limit, int) or memory_limit < 0:
        raise ConfigError(
            f"memory_limit is {memory_limit!r}; it is a whole number of bytes, 0 or more, or a text such as '2GB' "
            "(None: a quarter of physical memory)."
        )
    return memory_limit


@contextmanager
def memory_limited(memory_limit: int | str | None) -> Iterator[None]:
    """Within the block, data for which no other limit is given may take so much memory (None: as before)."""
    token = _default.set(_default.get() if memory_limit is None else resolve_memory_limit(memory_limit))
    try:
        yield
    finally:
        _default.reset(token)


@contextmanager
def read_once() -> Iterator[None]:
    """Within the block, data are loaded that will be read once, in order: sounds are then not kept in memory."""
    token = _once.set(True)
    try:
        yield
    finally:
        _once.reset(token)


def is_read_once() -> bool:
    """Return whether data that are loaded now will be read once."""
    return _once.get()


def _parsed(text: str) -> int:
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(?:([kmgt])(i?)b?|b|bytes)?\s*", text, re.IGNORECASE)
    if found is None:
        raise ConfigError(f"memory limit {text!r}: give a size such as 2GB, 500MB or 1.5GiB, or 0 for none at all")
    number, unit, binary = found.groups()
    power = " kmgt".index(unit.lower()) if unit else 0
    return int(float(number) * (1024 if binary else 1000) ** power)


def shard_cache_bytes() -> int:
    """Bytes that fetched shards of one data set may take in the cache folder: ``$VQKIT_SHARD_CACHE``, or 20 GB.

    Raises ConfigError for something that is no size.
    """
    return _parsed(os.environ.get("VQKIT_SHARD_CACHE") or "20GB")


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
