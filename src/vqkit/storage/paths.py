"""Collision-free output paths for the signals of a file, on every file system."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import final

from vqkit.storage.outputs import path_key

MAX_PART_BYTES = 255
"""Longest name of a file or a folder in UTF-8: what common systems allow."""


@final
class OutputPaths:
    """Relative paths for the signals of a file, found from their names; the same for the same names.

    A name's suffix is replaced: ``a.jpg`` is written to ``a.png``. Where that is another's place, or a folder's, the
    suffix is added: ``a.jpg.png``, then ``a.jpg.2.png`` and so on. Upper and lower case, and different ways to write
    one letter in Unicode, count as the same, as they are on the disks of some systems. What is too long is cut.

    Args:
        named: the numbers of the signals that have names, with these.
        suffix: of the files, such as ``.png``.
        digits: of the numbers of signals without a name, so that they sort as they count.
    """

    def __init__(self, named: Iterable[tuple[int, str]], suffix: str, digits: int = 6) -> None:
        self._suffix, self._digits = suffix, digits
        named = list(named)
        self._taken = {path_key(folder) for _, name in named for folder in _folder(name).parents}
        self._taken |= {path_key(_folder(name)) for _, name in named}
        self._tried: Counter[str] = Counter()
        self._found: dict[int, PurePosixPath] = {}
        often = Counter(path_key(_place(name, suffix)) for _, name in named)
        for number, name in sorted(named, key=lambda each: self._rank(each[1], often)):
            self._found[number] = self._settle(name, alone=self._rank(name, often) < 2)

    def of(self, number: int) -> PurePosixPath:
        """The place of a signal; of one without a name: its number, beside the names that there are."""
        if number in self._found:
            return self._found[number]
        place = PurePosixPath(f"{number:0{self._digits}d}{self._suffix}")
        while path_key(place) in self._taken:
            place = PurePosixPath(f"_{place}")
        return place

    def _rank(self, name: str, often: Counter[str]) -> int:
        """Order of choice: names that stay unchanged first, then names that are unique without their suffix."""
        plain = _place(name, self._suffix)
        if str(plain) == name:
            return 0
        return 1 if often[path_key(plain)] == 1 else 2

    def _settle(self, name: str, *, alone: bool) -> PurePosixPath:
        for place in self._candidates(name, alone=alone):
            if path_key(place) not in self._taken:
                break
        self._taken.add(path_key(place))
        return place

    def _candidates(self, name: str, *, alone: bool) -> Iterator[PurePosixPath]:
        if alone:
            yield _place(name, self._suffix)
        folder, last = _folder(name), PurePosixPath(name).name
        longer = folder / _fitting(last, self._suffix)
        yield longer
        key = path_key(longer)
        while True:  # it goes on where the last one of this name has stopped: many of one name take no square of time
            self._tried[key] += 1
            yield folder / _fitting(last, f".{self._tried[key] + 1}{self._suffix}")


def digits_of(count: int) -> int:
    """Return the digits that numbers of so many files have, so that names sort as they count.

    Example:
        >>> digits_of(1_000_000), digits_of(1_000_001)
        (6, 7)
    """
    return max(6, len(str(count - 1)))


def _place(name: str, suffix: str) -> PurePosixPath:
    return _folder(name) / _fitting(PurePosixPath(name).stem, suffix)


def _folder(name: str) -> PurePosixPath:
    return PurePosixPath(*(_fitting(part, "") for part in PurePosixPath(name).parts[:-1]))


def _fitting(part: str, suffix: str) -> str:
    """A part of a path and a suffix; of a part that is too long the end is cut and marked with ``~``."""
    if len((part + suffix).encode()) <= MAX_PART_BYTES:
        return part + suffix
    room = MAX_PART_BYTES - len(suffix.encode()) - 1
    return part.encode()[:room].decode(errors="ignore") + "~" + suffix
