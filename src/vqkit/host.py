"""Settings of the process and the machine that make everything above them faster."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_THRESHOLD = -3


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed memory for the next allocation instead of returning it to the system.

    A training step frees and takes again the same tens of megabytes; by default glibc hands each large block back and
    the kernel clears every page of it anew. Keeping them saved about a tenth of a CPU training step when it was
    introduced (see ``benchmarks/results/2026-11-22.md``); the process gives memory back to the system only when it
    ends. Does nothing where the C library is not glibc.

    Returns:
        Whether the setting was accepted.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    if not (mallopt(_M_MMAP_THRESHOLD, 1 << 30) or mallopt(_M_MMAP_THRESHOLD, 1 << 25)):  # older glibc: 32 MiB at most
        return False  # without it the other two would make matters worse
    return bool(mallopt(_M_TRIM_THRESHOLD, 1 << 30) and mallopt(_M_TOP_PAD, 1 << 26))


@contextmanager
def utf8_path(path: Path) -> Iterator[Path]:
    """A path to an existing file for libraries that read paths of UTF-8 only: ``path``, or where it is none another.

    (Another one there is on Linux; elsewhere file systems have no such names, or the library says that it cannot.)
    """
    try:
        os.fsencode(path).decode("utf-8")
    except UnicodeDecodeError:
        with path.open("rb") as file:
            other = Path(f"/proc/self/fd/{file.fileno()}")
            yield other if other.exists() else path
    else:
        yield path
