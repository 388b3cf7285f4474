"""Addresses of files elsewhere (``s3://``, ``gs://``, ``hf://``, ``memory://``, ``file://``), by way of fsspec.

An object appears whole or not at all: object stores promise it; on file systems it is written under another name, and
renamed. Nothing here is ever renamed or deleted that was not written here.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from vqkit.checking import reason
from vqkit.errors import DataError, MissingExtraError
from vqkit.optional import require

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*)(://|:/(?=[^/]))(.*)", re.DOTALL)
_KNOWN = ("s3", "s3a", "gs", "gcs", "hf", "az", "abfs", "abfss", "memory", "file", "http", "https", "hdfs", "sftp")
_WHOLE = {"s3", "s3a", "gs", "gcs", "hf", "az", "abfs", "abfss", "memory"}
"""Stores whose objects appear when they are whole."""
_INSTALL = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "hf": '"vqkit[hub]"', "az": "adlfs"}
_PURPOSE = "addresses such as s3://, gs:// and hf://"


def is_url(name: object) -> bool:
    """Return True for an address of something elsewhere.

    Example:
        >>> is_url("s3://bucket/photos"), is_url("photos"), is_url("C:/photos")
        (True, False, False)
    """
    found = _ADDRESS.match(str(name))
    return found is not None and (found[2] == "://" or found[1] in _KNOWN) and len(found[1]) > 1


def whole_url(name: object) -> str:
    """Return an address as it was written, where a path has made ``s3:/bucket`` of it; no ``/`` at its end."""
    found = _ADDRESS.match(str(name))
    assert found is not None
    root = "/" if found[1] == "file" and found[2] == ":/" else ""
    return f"{found[1]}://{root}{found[3]}".rstrip("/")


@dataclass(frozen=True)
class RemoteFile:
    """A file as a listing tells of it.

    Attributes:
        size: in bytes.
        stamp: another one after it was written anew.
    """

    size: int
    stamp: str


@final
class RemoteFolder:
    """What lies below an address.

    Args:
        url: the address; a file's is a folder of that one file, whose name is ``""``.

    Raises:
        MissingExtraError: a package that such addresses need is not installed.
        DataError: no such kind of address.
    """

    def __init__(self, url: str) -> None:
        self.url = whole_url(url)
        self.protocol = self.url.partition("://")[0]
        fsspec = require("fsspec", _PURPOSE)
        try:
            self._fs, root = fsspec.core.url_to_fs(self.url)
        except ImportError as error:
            package = _INSTALL.get(self.protocol)
            raise MissingExtraError(
                f"{self.protocol}:// addresses need a package that is not installed ({reason(error)})"
                + (f": pip install {package}" if package else "")
            ) from error
        except Exception as error:
            raise DataError(f"{self.url}: no address that can be opened ({reason(error)})") from error
        self._root = str(root).rstrip("/")

    def __reduce__(self) -> tuple[type[RemoteFolder], tuple[str]]:
        return RemoteFolder, (self.url,)

    def files(self) -> dict[str, RemoteFile]:
        """Return all files, by their names below the address; empty where there is nothing.

        Raises:
            DataError: it cannot be listed.
        """
        with self._told(self.url):
            self._fs.invalidate_cache()
            try:
                found: Mapping[str, Any] = self._fs.find(self._root, detail=True)
            except FileNotFoundError:
                return {}
        return {
            str(place)[len(self._root) :].lstrip("/"): RemoteFile(int(about.get("size") or 0), _stamp(about))
            for place, about in sorted(found.items())
        }

    def read(self, name: str) -> bytes:
        """Return the bytes of a file. Raises DataError where they cannot be read."""
        with self._told(self.address(name)):
            data: bytes = self._fs.cat_file(self._place(name))
        return data

    def fetch(self, name: str, file: Path) -> None:
        """Copy a file to this machine. Raises DataError where it cannot be read."""
        with self._told(self.address(name)):
            self._fs.get_file(self._place(name), str(file))

    def put(self, file: Path, name: str) -> None:
        """Copy a file of this machine there, where it appears whole or not at all.

        Raises:
            DataError: it cannot be written.
        """
        place = self._place(name)
        with self._told(self.address(name)):
            if self.protocol in _WHOLE:
                self._fs.put_file(str(file), place)
                return
            folder, _, own = place.rpartition("/")
            self._fs.makedirs(folder, exist_ok=True)
            temporary = f"{folder}/.{own[:32]}.{secrets.token_hex(4)}.part"
            try:
                self._fs.put_file(str(file), temporary)
                self._fs.mv(temporary, place)
            except BaseException:
                with suppress(Exception):
                    self._fs.rm_file(temporary)
                raise

    def write(self, name: str, data: bytes) -> None:
        """Write a small file, whole or not at all. Raises DataError where that cannot be done."""
        place = self._place(name)
        with self._told(self.address(name)):
            if self.protocol in _WHOLE:
                self._fs.pipe_file(place, data)
                return
            folder, _, own = place.rpartition("/")
            self._fs.makedirs(folder, exist_ok=True)
            temporary = f"{folder}/.{own[:32]}.{secrets.token_hex(4)}.part"
            self._fs.pipe_file(temporary, data)
            self._fs.mv(temporary, place)

    def remove(self, name: str) -> None:
        """Delete a file, if it is there. Raises DataError where that cannot be done."""
        with self._told(self.address(name)), suppress(FileNotFoundError):
            self._fs.rm_file(self._place(name))

    def remove_folder(self, name: str) -> None:
        """Delete a folder that is empty, on a store that has folders."""
        if self.protocol not in _WHOLE:
            with suppress(Exception):
                self._fs.rmdir(self._place(name))

    def matching(self, pattern: str) -> list[str]:
        """Return the names below the address that match a pattern of ``*`` and ``?``, sorted."""
        wanted = re.compile("".join({"*": "[^/]*", "?": "[^/]"}.get(each, re.escape(each)) for each in pattern))
        return [name for name in self.files() if wanted.fullmatch(name)]

    def address(self, name: str) -> str:
        """Return the address of a file."""
        return f"{self.url}/{name}" if name else self.url

    def _place(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    @contextmanager
    def _told(self, address: str) -> Iterator[None]:
        """Errors of stores as one line: each has its own kinds."""
        try:
            yield
        except FileNotFoundError as error:
            raise DataError(f"{address}: nothing there") from error
        except (DataError, MissingExtraError):
            raise
        except Exception as error:
            raise DataError(
                f"{address}: the store does not let it be read or written ({type(error).__name__}: {reason(error)}); "
                "look at the address, at what may be done there, and at the network, and do the same again"
            ) from error


def _stamp(about: Mapping[str, Any]) -> str:
    """Return what a file is told by: everything that the store says of it."""
    said = sorted((str(key), str(value)) for key, value in about.items())
    return hashlib.sha256(repr(said).encode()).hexdigest()[:16]
