"""Output paths that may be written: never an input, and never a file that vqkit did not write.

A *file* is replaced where it is empty, where vqkit wrote it for the same purpose (it bears a mark: the first key of a
JSON document, the text "Software" of a PNG, the first bytes of a ``.vqk`` file), or where somebody insists
(``--force``); an input is not replaced even then. A *folder* is new or empty, or holds what vqkit wrote there and
nothing else; no word allows to empty another. Every file appears whole or not at all (see ``vqkit.storage.atomic``).
"""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import final

from vqkit.errors import ConfigError
from vqkit.spelling import option as option_words
from vqkit.storage.lock import LOCK

MARK = "written_by"
"""First key of a JSON document of numbers; its value names the command."""
PNG_MARK = "vqkit sheet"
"""The text "Software" of a picture that shows results, so that a later one may take its place."""
_START, _END = 4096, 65536
"""Bytes at the beginning of a file, and at its end, that tell what it is."""


@final
@dataclass(frozen=True)
class FileKind:
    """A kind of file that is written.

    Attributes:
        what: its name: ".vqk file".
        owns: whether a file that begins with these bytes is one that vqkit wrote, and that may be replaced.
        signal: whether a reader of a folder takes such a file for one of its signals.
        both_ends: whether ``owns`` is to see the file's last bytes too, after the first ones.
    """

    what: str
    owns: Callable[[bytes], bool]
    signal: bool = False
    both_ends: bool = False


def numbers_of(command: str) -> FileKind:
    """JSON documents of a command, which begin with its mark (see ``marked``)."""
    start = f'{{\n  "{MARK}": {json.dumps(command)}'.encode()
    return FileKind(f"JSON document of {command}", lambda found: found.startswith(start))


def marked(command: str, values: dict[str, object]) -> dict[str, object]:
    """A document that bears the mark of the command."""
    return {MARK: command, **values}


SHEET = FileKind(
    "sheet that vqkit wrote",
    lambda found: found.startswith(b"\x89PNG") and b"tEXtSoftware\0" + PNG_MARK.encode() in found,
    signal=True,
)
RESTORED = FileKind("picture that vqkit may replace", lambda _: False, signal=True)
"""A decoded picture may be the only copy of somebody's own: only ``--force`` replaces it."""


def check_file(path: Path, kind: FileKind, inputs: Sequence[Path], *, option: str, force: bool = False) -> None:
    """Raise unless a file may be written there.

    Args:
        path: where.
        kind: what will be written.
        inputs: files and folders that are read.
        option: what named the path, for messages.
        force: somebody insists on replacing a file that vqkit did not write.

    Raises:
        ConfigError: an input or a part of one, by whatever name (links, upper and lower case); a picture among the
            pictures that are read; something that is no file; another's file without ``force``; no place for a file.
    """
    if not os.path.lexists(path):
        _check_new(path, inputs, option)
    elif not path.is_file():
        kept = "is a folder" if path.is_dir() else "is no file on a disk, which could be replaced by another"
        raise ConfigError(f"{path} {kept}: name a file ({option})")
    else:
        _check_known(path, kind, inputs, option, force=force)
    if kind.signal:
        _check_apart(path, inputs, option)


def check_folder(path: Path, inputs: Sequence[Path], *, option: str, signals: bool = False) -> None:
    """Raise unless a folder there would be apart from all that is read.

    Args:
        path: where.
        inputs: files and folders that are read.
        option: what named the path, for messages.
        signals: whether it will hold what a reader of a folder takes for signals.

    Raises:
        ConfigError: an input, something around an input, a part of a data folder, or no place for a folder.
    """
    own = path.resolve()
    for each in inputs:
        if own == each.resolve() or (path.exists() and each.exists() and path.samefile(each)):
            raise ConfigError(f"{path} is one of the inputs, which would be lost; name another folder ({option})")
        if path.is_dir() and own in each.resolve().parents and not _is_vqkits(path):
            raise ConfigError(f"{path} holds the input {each}, which could be lost; name another folder ({option})")
    if not os.path.lexists(path):
        _check_new(path, inputs, option)
    if signals:
        _check_apart(path, inputs, option)


def check_contents(path: Path, what: str, owns: Callable[[Path], bool] | None = None) -> None:
    """Raise unless ``path`` is a new or an empty folder, or holds only what vqkit left there.

    Args:
        path: a folder, or nothing yet.
        what: that may be there, with its article: "a comparison".
        owns: whether an entry of the folder is a part of that; None: only files that a killed
            process has left unfinished are.

    Raises:
        ConfigError: a file, or a folder with other things in it.
    """
    if path.is_dir():
        entries = sorted(entry for entry in path.iterdir() if entry.name != LOCK)
        owned = owns or is_temporary
        foreign = next((each for each in entries if not owned(each)), None)
        if foreign is not None:
            other = "" if owns is None else f" that is not {what}"
            raise ConfigError(
                f"{path} already holds something{other} ({foreign.name!a}): it is not empty, and what lies there stays "
                f"as it is; choose a new or empty folder{f' for {what}' if owns is None else ''}"
            )
    elif os.path.lexists(path):
        known = "is a file" if path.is_file() else "exists and is no folder"
        raise ConfigError(f"{path} {known}; choose a new or empty folder")


def is_temporary(path: Path) -> bool:
    """Return True if a file or folder has the name of one that a killed process left unfinished."""
    return path.name.startswith(".") and path.name.endswith(".part")


def check_different(places: Iterable[tuple[str, Path]]) -> None:
    """Raise ``ConfigError`` where two options name one place."""
    seen: dict[str, str] = {}
    for option, path in places:
        other = seen.setdefault(path_key(path.resolve()), option)
        if other != option:
            raise ConfigError(f"{path} is named by {other} and by {option}: name two places")


def _check_new(path: Path, inputs: Sequence[Path], option: str) -> None:
    """Raise where nothing is yet, and nothing can be made, or a disk could take the name for an input's."""
    scheme = path.parts[0] if len(path.parts) > 1 else ""
    if re.fullmatch(r"[a-z][a-z0-9+-]+:", scheme) and not os.path.lexists(scheme):  # a path has one slash of the two
        raise ConfigError(
            f"{path}: {scheme}// is no kind of address that is known here, and there is no folder {scheme}; choose "
            f"another {option}"
        )
    above = next(each for each in path.absolute().parents if os.path.lexists(each))
    if not above.is_dir():
        raise ConfigError(
            f"{path}: a part of this path is a file ({above}: exists and is no folder); choose another place to write "
            f"to ({option})"
        )
    if not os.access(above, os.W_OK | os.X_OK):
        raise ConfigError(f"{path}: nothing may be written in {above} (permission denied); choose another {option}")
    try:
        path.lstat()
    except FileNotFoundError:
        pass
    except OSError as error:  # such as a name of more letters than the disk takes
        raise ConfigError(f"{path}: {error.strerror}; name another {option}") from error
    key = path_key(path.resolve())
    for each in inputs:
        if key == path_key(each.resolve()):
            raise ConfigError(f"{path} is one of the inputs but for upper and lower case; name another {option}")


def _check_known(path: Path, kind: FileKind, inputs: Sequence[Path], option: str, *, force: bool) -> None:
    """Raise where there is a file that must stay."""
    if any(each.is_file() and each.samefile(path) for each in inputs):
        raise ConfigError(f"{path} is one of the inputs, which would be lost; name another file to write ({option})")
    try:
        with path.open("rb") as file:
            start = file.read(_START)
            if kind.both_ends:
                file.seek(max(len(start), path.stat().st_size - _END))
                start += file.read(_END)
    except OSError:
        start = b"?"  # not readable: not ours to replace
    if not start or kind.owns(start):
        return
    folders = [each for each in inputs if each.is_dir()]
    within = next((each for each in folders if each.resolve() in path.resolve().parents), None)
    within = within or (next((each for each in folders if _reaches(each, path)), None) if force else None)
    if within is not None:
        raise ConfigError(f"{path} is a part of the input {within}, which would be lost; name another {option}")
    if not force:
        insisting = option_words("force", True)
        raise ConfigError(f"{path} exists and is no {kind.what}: choose another {option}, or overwrite it: {insisting}")


def _check_apart(path: Path, inputs: Sequence[Path], option: str) -> None:
    """Raise where pictures would be written among those that are read: the next reading would take them for data."""
    for each in inputs:
        if each.is_dir() and not _is_vqkits(each) and each.resolve() in path.resolve().parents:
            raise ConfigError(
                f"{path} lies in the folder {each} that is read, and would be taken for a part of it the next time; "
                f"name a place outside ({option})"
            )


def _is_vqkits(folder: Path) -> bool:
    """Return True if a folder is a run, a model, a token set or a study of vqkit."""
    for name in ("run.json", "config.json", "tokens.json", "_tokens.json", "settings.json"):
        try:
            with (folder / name).open("rb") as file:
                start = file.read(_START)
        except OSError:
            continue
        if b'"vqkit' in start or start.startswith(b'{\n  "settings": {'):
            return True
    return False


def _reaches(folder: Path, file: Path) -> bool:
    """Return True if some file or link under ``folder`` is the same file as ``file``."""
    wanted = file.stat()
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                found = os.stat(Path(where, name))  # noqa: PTH116  (os.walk gives names by the million)
            except OSError:
                continue
            if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
                return True
    return False


def path_key(path: PurePath) -> str:
    """Return the same word for paths that some system takes for one: letters of either case, accents of either form."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", str(path)).casefold())
