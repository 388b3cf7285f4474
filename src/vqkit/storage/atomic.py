"""Files and folders that appear whole or not at all, whatever interrupts the writing."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

_LETTERS = 32
"""Of a name that its temporary name repeats: 128 bytes at most, where a name may have 255."""


def write_file(path: Path, write: Callable[[Path], object], *, durable: bool = True) -> None:
    """Let ``write`` fill a temporary file beside ``path``, flush it to the disk, and rename it into place.

    Args:
        path: the file; its folder is made if need be.
        write: given the temporary path.
        durable: wait until the disk has it, so that it survives a power failure too. Without it a file costs
            milliseconds less: for thousands of files that can be made again.

    The permissions are those of a new file: what the umask leaves of 0666.

    Raises:
        OSError: a full disk, no permission (its ``filename`` is ``path``); ``path`` is then as it was before.
    """
    write_files({path: write}, durable=durable)


def write_files(writers: Mapping[Path, Callable[[Path], object]], *, durable: bool = True) -> None:
    """``write_file`` of files that belong together: all are whole before the first is renamed into place.

    Args:
        writers: by path, in the order in which they get their places.
        durable: see ``write_file``.

    Raises:
        OSError: as ``write_file``; all are then as they were before.
    """
    written: dict[Path, Path] = {}
    try:
        for path, write in writers.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = written[path] = _beside(path, lambda new: new.touch(exist_ok=False))
            mode = temporary.stat().st_mode & 0o777  # what the umask leaves; writers that make it anew may set another
            write(temporary)
            temporary.chmod(mode)
            if durable:
                flush(temporary)
        for path, temporary in written.items():
            temporary.replace(path)
        if durable:
            for folder in {path.parent for path in written}:
                flush(folder)
    except BaseException as error:
        for temporary in written.values():
            with suppress(OSError):
                temporary.unlink()
        for path, temporary in written.items():
            _raise_system_error(error, temporary, path)
        raise


def save_npy(path: Path, array: np.ndarray[Any, Any]) -> None:
    """Fill a file with an array in NumPy's format, whatever its suffix; what ``write_file`` is given for one."""
    from numpy import save

    with path.open("wb") as file:
        save(file, array, allow_pickle=False)


def write_json(path: Path, value: Any) -> None:
    """``write_file`` of strict JSON (no NaN), indented, keys in the order given.

    What UTF-8 cannot hold (the bytes of a file's name that are no text) is escaped, and comes back when it is read.
    """
    write_text(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """``write_file`` of text in UTF-8; what UTF-8 cannot hold (see ``write_json``) is escaped."""
    data = text.encode("utf-8", "backslashreplace")
    write_file(path, lambda temporary: temporary.write_bytes(data))


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A temporary folder to fill, renamed to ``path`` (which must not exist) when the block ends well.

    Every file in it is flushed to the disk before the rename, so a folder of this name is always complete.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path, Path.mkdir)
    try:
        yield temporary
        for entry in temporary.rglob("*"):
            if entry.is_file():
                flush(entry)
        flush(temporary)
        temporary.rename(path)
        flush(path.parent)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        _raise_system_error(error, temporary, path)
        raise


def _beside(path: Path, make: Callable[[Path], object]) -> Path:
    """A temporary file or folder beside ``path``, with the permissions that the umask leaves.

    Its name begins with the first letters of the other's, so that a name of the longest length has one too.
    """
    while True:
        temporary = path.parent / f".{path.name[:_LETTERS]}.{secrets.token_hex(4)}.part"
        try:
            make(temporary)
        except FileExistsError:
            continue
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error
        return temporary


def _raise_system_error(error: BaseException, temporary: Path, path: Path) -> None:
    """Raise what the system said while ``temporary`` was written as an ``OSError`` about ``path``; else return.

    Libraries in Rust and C++ (safetensors, Arrow) have the system's number in their text only.
    """
    number = error.errno if isinstance(error, OSError) else None
    if number is None and (found := re.search(r"[(\[](?:os error|errno) (\d+)[)\]]", str(error))):
        number = int(found[1])
    about = getattr(error, "filename", None)
    if number is not None and (about is None or str(about).startswith(str(temporary))):
        raise OSError(number, os.strerror(number), str(path)) from error


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files and folders that a killed process left in ``folder``."""
    for entry in folder.glob(".*.part"):
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Ask the system to put a file or a folder's entries on the disk (folders: where the system can)."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        if path.is_dir():  # Windows cannot open folders; the rename is still atomic there
            return
        raise
    try:
        os.fsync(handle)
    except OSError:
        if not path.is_dir():
            raise
    finally:
        os.close(handle)
