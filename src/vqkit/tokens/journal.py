"""A journal of work in pieces: whole pieces that a killed process has left are kept, if they belong to the same work.

A file of JSON lines beside the pieces. The first line is the key: everything that the result depends on. Each further
line names the files of a whole piece with their digests, and is on the disk after them; pieces come in any order. What
follows a line that is damaged, and a piece whose files are not as its line says, is work to be done again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, final

from vqkit.checking import check_fields
from vqkit.data.identity import encoded_digest
from vqkit.storage import atomic
from vqkit.storage.reading import parse_json

ENCODING = "encoding.jsonl"
"""The journal of an encoding, in the folder of its token set."""


@final
class Journal:
    """The journal of one piece of work; the caller holds the lock of its folder.

    Args:
        file: the journal.
        key: strict JSON: what the result depends on.
        check: raises ValueError where a line does not say of a piece what is to be known of it.

    Attributes:
        kept: the lines of whole pieces that were there, of the same key.
        other: the key of the work that was there before, where it is another; its pieces are of no use.
    """

    def __init__(self, file: Path, key: Mapping[str, Any], check: Callable[[dict[str, Any]], None]) -> None:
        self._file = file
        lines = read_lines(file)
        self.other: dict[str, Any] | None = lines[0] if lines and lines[0] != dict(key) else None
        self.kept = whole_pieces(file, key, check)
        text = "".join(json.dumps(line) + "\n" for line in [dict(key), *self.kept])
        atomic.write_file(file, lambda temporary: temporary.write_text(text, encoding="utf-8"))

    @property
    def files(self) -> set[str]:
        """The names of all files that are kept, below the folder."""
        return {name for line in self.kept for name in line["files"]}

    def add(self, line: Mapping[str, Any]) -> None:
        """Note a whole piece: its files, which are on the disk, with their digests, and what else is to be known."""
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(dict(line)) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def remove(self) -> None:
        """The work is done: nothing is left to go on with."""
        self._file.unlink(missing_ok=True)


def whole_pieces(file: Path, key: Mapping[str, Any], check: Callable[[dict[str, Any]], None]) -> list[dict[str, Any]]:
    """Return the lines of whole pieces in a journal of this key; the arguments are those of ``Journal``."""
    lines = read_lines(file)
    if not lines or lines[0] != dict(key):
        return []
    return [line for line in lines[1:] if _is_whole(line, file.parent, check)]


def _is_whole(line: dict[str, Any], folder: Path, check: Callable[[dict[str, Any]], None]) -> bool:
    try:
        files = check_fields(line, {"files": Mapping[str, str]})["files"]
        check(line)
        return bool(files) and all(encoded_digest(_place(folder, name)).hex() == files[name] for name in files)
    except (OSError, ValueError):
        return False


def _place(folder: Path, name: str) -> Path:
    """The file of a name, which lies in the folder. Raises ValueError for one that does not."""
    place = PurePosixPath(name)
    if place.is_absolute() or ".." in place.parts:
        raise ValueError(f"{name} lies elsewhere")
    return folder / place


def read_lines(file: Path) -> list[dict[str, Any]]:
    """The lines of a journal up to the first that is damaged; none without a journal."""
    found: list[dict[str, Any]] = []
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return found
    for line in text.splitlines():
        try:
            value = parse_json(line)
        except ValueError:
            break
        if not isinstance(value, dict):
            break
        found.append(value)
    return found
