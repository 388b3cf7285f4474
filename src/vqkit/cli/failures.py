"""The end of a failed command: one line that names the cause, an exit status, and never a traceback.

Status 2: what was asked for or given (parts of other packages too), the disk, the memory.
Status 70: a fault of vqkit's own. Status 130: Ctrl-C. Status 1: whoever read the output has closed it.
With ``VQKIT_TRACEBACK`` set Python says all of it.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

import typer

from vqkit.errors import VqkitError
from vqkit.registry import part_at_fault

MISTAKE, CLOSED, INTERNAL, INTERRUPTED = 2, 1, 70, 130

_PLAIN = {
    errno.EEXIST: "exists and is no folder; choose another place to write to",
    errno.ENOTDIR: "a part of this path is a file, not a folder; choose another place to write to",
    errno.EISDIR: "is a folder; name a file",
    errno.ENOSPC: "the disk is full; make room or choose another place to write to",
    errno.EDQUOT: "the disk is full for this user; make room or choose another place to write to",
    errno.EFBIG: "the file is larger than is allowed here; choose another place to write to",
    errno.EROFS: "nothing can be written to this disk; choose another place to write to",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.EMFILE: "too many files are open; allow more (ulimit -n)",
    errno.ENOMEM: "the memory does not suffice",
}
_NO_MEMORY = ("can't allocate memory", "out of memory", "not enough memory", "unable to allocate", "std::bad_alloc")
_TOO_LARGE = ("overflow when unpacking", "size calculation overflowed", "invalid size, tensor numel")
_SMALLER = "give less at a time (--batch-size, --crop), a smaller model, or use a machine with more"


def prepare_streams() -> None:
    """Let no letter stop a command that a terminal cannot show: it is printed as its number."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            with suppress(OSError, ValueError):
                reconfigure(errors="backslashreplace")


def warn(message: str) -> None:
    """A line on standard error, yellow on a terminal that wants colours."""
    _colored(message, typer.colors.YELLOW)


def complain(message: str) -> None:
    """A line on standard error, red on a terminal that wants colours."""
    _colored(message, typer.colors.RED)


def _colored(message: str, color: str) -> None:
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") in ("dumb", "unknown")
    typer.secho(message, err=True, fg=None if plain else color)


def end(error: BaseException, phrase: Callable[[str], str] = str) -> int:
    """Say what was wrong; returns the status to exit with.

    Args:
        error: that ended the command.
        phrase: the message of a mistake in the words of the command.
    """
    if _interrupted(error):
        return INTERRUPTED
    if isinstance(error, OSError) and error.errno == errno.EPIPE:
        return CLOSED
    message, status = _words(error)
    if isinstance(error, VqkitError):
        message = phrase(message)
    with suppress(OSError, ValueError):
        complain(f"vqkit: {' '.join(message.split())}")
    return status


def _interrupted(error: BaseException | None) -> bool:
    """Return True if a ``KeyboardInterrupt`` (Ctrl-C) is the error or among its causes, as of an interrupted import."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, KeyboardInterrupt):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


def _words(error: BaseException) -> tuple[str, int]:
    """The message and the status."""
    told = str(error).strip() or type(error).__name__
    if isinstance(error, VqkitError):
        return told, MISTAKE
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{_PLAIN.get(error.errno or 0, error.strerror or told)}", MISTAKE
    first = told.splitlines()[0]
    if isinstance(error, MemoryError) or any(each in told.lower() for each in _NO_MEMORY):
        return f"the memory does not suffice ({first:.120}); {_SMALLER}", MISTAKE
    if isinstance(error, OverflowError) or any(each in told.lower() for each in _TOO_LARGE):
        return f"a number that was given is too large to compute with ({first:.120}); give a smaller one", MISTAKE
    if "determine home directory" in told:
        return "the home folder is not known; write paths without ~, or set HOME", MISTAKE
    if isinstance(error, RecursionError):
        return "something that was given is nested too deeply to be read; give it with fewer levels", MISTAKE
    part = part_at_fault(error)
    if part is not None:
        return (
            f"{part} failed ({type(error).__name__}: {first:.200}); tell its author, with what the same command says "
            "under VQKIT_TRACEBACK=1",
            MISTAKE,
        )
    return (
        f"internal error, a fault of vqkit's own ({type(error).__name__}: {first:.200}); please report it, with what "
        "the same command says under VQKIT_TRACEBACK=1",
        INTERNAL,
    )


def flush_streams() -> int:
    """Bring out what is still to be printed; the status where that fails, else 0.

    What cannot be written is dropped: Python would say so with the end of a traceback when it leaves.
    """
    status = 0
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError) as error:
            _drop(stream)
            status = end(error) if isinstance(error, OSError) else CLOSED
    return status


def _drop(stream: TextIO) -> None:
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
