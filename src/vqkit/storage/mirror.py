"""Copies of remote files in the cache folder: fetched once, again only when the store says that they have changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import final

from vqkit.errors import DataError
from vqkit.resources import cache_folder
from vqkit.storage import atomic
from vqkit.storage.remote import RemoteFile, RemoteFolder

_AT_ONCE = 8


@final
class Mirror:
    """The copies of files below an address, in a folder of ``$VQKIT_CACHE/remote`` that may be deleted at any time.

    Args:
        url: the address.
        part: of it, such as a pattern of names: each part has copies of its own, and no others lie among them.

    Attributes:
        files: what lies there, by name, as it was when this was made.
        folder: of the copies.
    """

    def __init__(self, url: str, part: str = "") -> None:
        self._part = part
        self.remote = RemoteFolder(url)
        self.files = self.remote.files()
        named = f"{self.remote.url}\n{part}" if part else self.remote.url
        place = hashlib.sha256(named.encode()).hexdigest()[:16]
        self.folder = cache_folder() / "remote" / place / (PurePosixPath(self.remote.url).name or "files")

    def path(self, name: str) -> Path:
        """Return the path of the copy of a file, fetched now if it is not there, or is older.

        Raises:
            DataError: there is no such file, or it cannot be fetched.
        """
        about = self.files.get(name)
        if about is None:
            raise DataError(f"{self.remote.address(name)}: nothing there")
        copy = self.place(name)
        if not self._is_same(copy, about):
            atomic.write_file(copy, lambda temporary: self.remote.fetch(name, temporary), durable=False)
            if copy.stat().st_size != about.size:
                size = copy.stat().st_size
                copy.unlink()
                raise DataError(
                    f"{self.remote.address(name)}: {size:,} bytes came, and there are {about.size:,}; do the same again"
                )
            stamp = self._stamp_file(copy)
            atomic.write_file(stamp, lambda temporary: temporary.write_text(about.stamp), durable=False)
        return copy

    def fetch(self, names: Iterable[str]) -> Path:
        """Fetch files, several at a time; returns the folder, where others that have gone from the address are not."""
        wanted = list(names)
        there = wanted if self._part else self.files
        for old in self.folder.rglob("*") if self.folder.is_dir() else ():
            name = old.relative_to(self.folder).as_posix()
            if old.is_file() and name not in there and not old.name.startswith("."):
                old.unlink()
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="vqkit-fetch") as pool:
            list(pool.map(self.path, wanted))
        return self.folder

    def forget(self, name: str) -> None:
        """Delete the copy of a file."""
        copy = self.place(name)
        for file in (copy, self._stamp_file(copy)):
            file.unlink(missing_ok=True)

    def place(self, name: str) -> Path:
        """Return where the copy of a file is, or will be. Raises DataError for a name that leads elsewhere."""
        if not name:  # the address is that of a file
            return self.folder
        if ".." in PurePosixPath(name).parts:
            raise DataError(f"{self.remote.address(name)}: this name leads elsewhere")
        return self.folder / name

    def _is_same(self, copy: Path, about: RemoteFile) -> bool:
        try:
            return copy.stat().st_size == about.size and self._stamp_file(copy).read_text() == about.stamp
        except OSError:
            return False

    @staticmethod
    def _stamp_file(copy: Path) -> Path:
        return copy.with_name(f".{copy.name}.stamp")
