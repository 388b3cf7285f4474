"""A lock of a folder or a file that is being written: the second writer is told who the first one is.

The lock is a small file (``.lock`` in the folder, ``.NAME.lock`` beside a file) that says who holds it. Where the
system has ``flock`` the lock ends with its process, however that ends; elsewhere, and on disks that cannot lock, the
file's existence is the lock, and it counts for nothing once its process is gone.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vqkit.errors import ConfigError
from vqkit.storage.reading import parse_json

fcntl: Any = None
with suppress(ImportError):  # Windows has none
    import fcntl

LOCK = ".lock"
"""Name of the lock file in a folder."""

_BYTES = 200
"""Longest name of a file that is repeated whole in the names of hidden files beside it: 255 is the most for a name."""
_SHOWN = 160
_LONGEST = 1 << 16
"""Bytes of a lock file that are read."""
_WRITTEN_WITHIN = 10.0
"""Seconds after which a lock file without a word in it is a killed process's."""
"""Letters of a command that are shown."""


@contextmanager
def folder_lock(path: Path, doing: str) -> Iterator[None]:
    """Be the only writer in a folder, which is made if need be (and taken away again if nothing was put into it).

    Args:
        path: the folder.
        doing: what for, for the message: "training".

    Raises:
        ConfigError: another process, or another place in this one, holds it; the message says who, and since when. Or
            no folder can be made there.
    """
    try:
        made = not path.is_dir()
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{path}: no folder can be made there ({error.strerror}); choose another place") from error
    try:
        with _held(path / LOCK, path, doing):
            yield
    finally:
        if made:
            with suppress(OSError):
                path.rmdir()  # only where it is empty


@contextmanager
def file_lock(path: Path, doing: str) -> Iterator[None]:
    """Be the only writer of a file, whose folder is made if need be.

    Args:
        path: the file.
        doing: what for, for the message: "compressing".

    Raises:
        ConfigError: another process, or another place in this one, holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _held(path.parent / f".{short_name(path)}.lock", path, doing):
        yield


def folder_writer(path: Path) -> dict[str, Any] | None:
    """Return who writes in a folder now (``pid``, ``host``, ``since``, ``doing``, ``command``); no lock is touched.

    None: nobody does. A process of another machine counts as there as long as its lock is.
    """
    owner = _owner(path / LOCK)
    return owner if owner and not _has_ended(owner) else None


def _has_ended(owner: dict[str, Any]) -> bool:
    """Return True if a lock's owner was a process of this machine that is no more."""
    pid = owner.get("pid")
    here = owner.get("host") == socket.gethostname()
    return isinstance(pid, int) and pid > 0 and here and not _is_alive(pid)


def short_name(path: Path) -> str:
    """A file's name for hidden files beside it: of a long one the first letters and a digest of all."""
    if len(path.name.encode("utf-8", "surrogateescape")) <= _BYTES:
        return path.name
    digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]
    return f"{path.name[: _BYTES // 4]}~{digest}"


@contextmanager
def _held(lock: Path, what: Path, doing: str) -> Iterator[None]:
    handle = _taken(lock, what)
    try:
        os.ftruncate(handle, 0)
        os.write(handle, json.dumps(_me(doing)).encode())
        yield
    finally:
        with suppress(OSError):
            if sys.platform == "win32":
                os.close(handle)
                lock.unlink(missing_ok=True)
            else:  # first the name, then the lock: who waits for this file sees that it is no longer there
                lock.unlink(missing_ok=True)
                os.close(handle)


def _taken(lock: Path, what: Path) -> int:
    """A handle of the lock file, locked.

    Raises:
        ConfigError: somebody else has it.
    """
    while True:
        try:
            handle, new = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666), True
        except FileExistsError:
            try:
                handle, new = os.open(lock, os.O_RDWR), False
            except FileNotFoundError:
                continue
        held = _flocked(handle)
        if held is None and new:
            return handle
        if held and _same_file(handle, lock):
            return handle
        os.close(handle)
        if held is None and _is_stale(lock):
            lock.unlink(missing_ok=True)
        elif not held and (owner := _owner_soon(lock)) is not None:
            raise _refused(lock, what, owner)
        # else its owner took the file away between our opening and locking it


def _flocked(handle: int) -> bool | None:
    """Lock a file; return True if that worked, False if another process holds it, None without ``flock`` here."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _same_file(handle: int, path: Path) -> bool:
    try:
        there = path.stat()
    except OSError:
        return False
    mine = os.fstat(handle)
    return (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)


def _me(doing: str) -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "doing": doing,
        "command": " ".join(sys.argv)[:_SHOWN],
    }


def _owner(lock: Path) -> dict[str, Any]:
    """Read the lock file; {} where it is being written or is of an older version."""
    try:
        with lock.open("rb") as file:
            found = parse_json(file.read(_LONGEST).decode("utf-8", "replace"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _owner_soon(lock: Path) -> dict[str, Any] | None:
    """Read the lock file, which its owner may be about to write; None: the owner has ended, and it is gone."""
    for _ in range(50):
        if owner := _owner(lock):
            return owner
        if not lock.exists():
            return None
        time.sleep(0.02)
    return _owner(lock)


def _is_stale(lock: Path) -> bool:
    """Return True if the process that created a lock file has ended."""
    owner = _owner(lock)
    if isinstance(owner.get("pid"), int) and owner["pid"] > 0:
        return _has_ended(owner)
    try:
        return time.time() - lock.stat().st_mtime > _WRITTEN_WITHIN
    except OSError:
        return True


def _is_alive(pid: int) -> bool:
    if sys.platform == "win32":
        import ctypes

        query = 0x1000  # PROCESS_QUERY_LIMITED_INFORMATION; os.kill would end the process
        handle = ctypes.windll.kernel32.OpenProcess(query, False, pid)
        if handle:
            ctypes.windll.kernel32.CloseHandle(handle)
        return bool(handle)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _refused(lock: Path, what: Path, owner: dict[str, Any]) -> ConfigError:
    said = {name: _printable(owner.get(name, "?")) for name in ("pid", "host", "since", "doing", "command")}
    here = owner.get("host") == socket.gethostname()
    by = "another process is" if owner else "somebody else is"
    who = f"process {said['pid']}" + ("" if here else f" on {said['host']}")
    if here and owner.get("pid") == os.getpid():
        by, who = "this process is already", f"process {said['pid']}"
    return ConfigError(
        f"{what}: {by} {said['doing']} here ({who}, since {said['since']}: {said['command']}); wait for it or stop it, "
        f"or choose another place (if it is gone for sure, delete {lock})"
    )


def _printable(value: object) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in str(value)[:_SHOWN])
