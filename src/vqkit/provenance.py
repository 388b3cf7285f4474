"""Provenance of a result: the command or call that made it, when, with which versions, on which processor."""

from __future__ import annotations

import datetime
import os
import platform
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vqkit._version import __version__
from vqkit.spelling import spelled

_MOST = 4096
"""Characters of a command that are kept."""


def made_by(command: str | None = None) -> dict[str, Any]:
    """Return what a run or a report records of its making, as JSON values.

    Args:
        command: that made it; None: the command line, or the script that calls.

    Returns:
        ``command``, ``date`` (UTC), ``vqkit``, ``torch``, ``numpy`` and ``python`` (versions), ``threads`` of torch,
        ``processor`` and its ``cores``, and ``system``.

    Example:
        >>> from vqkit.provenance import made_by
        >>> sorted(made_by("vqkit train digits"))[:3]
        ['command', 'cores', 'date']
    """
    return {
        "command": (_command() if command is None else command)[:_MOST],
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "vqkit": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "processor": processor(),
        "cores": os.cpu_count() or 1,
        "system": f"{platform.system()} {platform.machine()}",
    }


def processor() -> str:
    """The processor by the name that its maker gave it, as far as the system tells.

    Example:
        >>> from vqkit.provenance import processor
        >>> bool(processor())
        True
    """
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next((name for name in names if name), platform.processor() or platform.machine() or "unknown")


def _command() -> str:
    """The command line, or in Python the script and its arguments (an interactive session has none)."""
    script = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else ""
    return spelled(
        python=shlex.join(["python", script, *sys.argv[1:]]) if script else "python",
        command=shlex.join(["vqkit", *sys.argv[1:]]),
    )
