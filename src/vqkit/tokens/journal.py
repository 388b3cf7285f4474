"""A journal of work in pieces: whole pieces that a killed process has left are kept, if they belong to the same work.

A file of JSON lines beside the pieces. The first line is the key: everything that the result depends on. Each further
line names the files of a whole piece with their digests, and is on the disk after them. What follows a line that is
damaged, or a file that is not as its line says, is work to be done again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
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
        self._folder = file.parent
        self._check = check
        lines = read_lines(file)
        same = bool(lines) and lines[0] == dict(key)
        self.other: dict[str, Any] | None = lines[0] if lines and not same else None
        self.kept: list[dict[str, Any]] = []
        for line in lines[1:] if same else []:
            if not self._is_whole(line):
                break
            self.kept.append(line)
        text = "".join(json.dumps(line) + "\n" for line in [dict(key), *self.kept])
        atomic.write_file(file, lambda temporary: temporary.write_text(text, encoding="utf-8"))

    @property
    def files(self) -> set[str]:
        """The names of all files that are kept, below the folder."""
        return {name for line in self.kept for name in line["files"]}

    def add(self, files: Iterable[Path], **about: Any) -> None:
        """Note a whole piece: its files, which are on the disk, and what else is to be known of it."""
        digests = {file.relative_to(self._folder).as_posix(): encoded_digest(file).hex() for file in files}
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"files": digests, **about}) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def remove(self) -> None:
        """The work is done: nothing is left to go on with."""
        self._file.unlink(missing_ok=True)

    def _is_whole(self, line: dict[str, Any]) -> bool:
        try:
            files = check_fields(line, {"files": Mapping[str, str]})["files"]
            self._check(line)
            return bool(files) and all(encoded_digest(self._place(name)).hex() == files[name] for name in files)
        except (OSError, ValueError):
            return False

    def _place(self, name: str) -> Path:
        """The file of a name, which lies in the folder. Raises ValueError for one that does not."""
        place = PurePosixPath(name)
        if place.is_absolute() or ".." in place.parts:
            raise ValueError(f"{name} lies elsewhere")
        return self._folder / place


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
