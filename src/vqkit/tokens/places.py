"""Places that an encoding writes to: a folder of this machine, or what lies below an address."""

from __future__ import annotations

import hashlib
import re
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, final

from vqkit.errors import ConfigError
from vqkit.resources import cache_folder
from vqkit.storage import atomic, outputs
from vqkit.storage.lock import LOCK, folder_lock
from vqkit.storage.remote import RemoteFolder, is_url, whole_url
from vqkit.tokens.card import CARD
from vqkit.tokens.formats import TOKEN_FORMATS, token_format
from vqkit.tokens.journal import ENCODING, Journal, whole_pieces
from vqkit.tokens.manifest import MANIFEST, PARQUET_MANIFEST, find_manifest
from vqkit.tokens.remote_journal import NOTES, RemoteJournal, remote_pieces

Lines = list[dict[str, Any]]
Check = Callable[[dict[str, Any]], None]


class Place(ABC):
    """Base of places.

    Attributes:
        where: a path, or an address, as it was given.
    """

    where: str | Path

    @abstractmethod
    def check(self, kind: str) -> None:
        """Raise ``ConfigError`` unless tokens of this kind can be written there, or finished ones lie there."""

    @abstractmethod
    def is_finished(self) -> bool:
        """Return True if there is a token set."""

    @abstractmethod
    def lock(self) -> AbstractContextManager[None]:
        """The time in which nobody else of this machine writes there. Raises ConfigError where somebody does."""

    @abstractmethod
    def journal(self, key: Mapping[str, Any], check: Check) -> Journal | RemoteJournal:
        """Return the journal of an encoding with this key, begun or gone on with."""

    @abstractmethod
    def kept(self, key: Mapping[str, Any], check: Check) -> Lines:
        """Return the lines of whole shards of an encoding with this key; nothing is written."""

    @abstractmethod
    def clear(self, but: Collection[str]) -> None:
        """Delete what an encoding left there, but for these files, and a journal."""

    @abstractmethod
    def shard_folder(self) -> AbstractContextManager[Path]:
        """A folder of this machine to write a shard into."""

    @abstractmethod
    def publish(self, folder: Path, files: Collection[Path]) -> dict[str, Any]:
        """Let the files of a shard appear, each whole or not at all; returns what else the journal is to know."""

    @abstractmethod
    def describe(self, name: str, manifest: Mapping[str, Any], card: str) -> None:
        """Write the card of the set, unless it is empty, and its description, after which it is finished."""


def place_of(where: str | Path) -> Place:
    """Return the place of a path or an address.

    Example:
        >>> place_of("tokens").where
        PosixPath('tokens')
    """
    return RemotePlace(str(where)) if is_url(where) else FolderPlace(Path(where))


@final
class FolderPlace(Place):
    """A folder of this machine."""

    def __init__(self, path: Path) -> None:
        self.where: Path = path

    def check(self, kind: str) -> None:
        """See ``Place.check``. Another process may begin or finish here meanwhile; the lock is not held yet."""
        token_format(kind)
        while not self.is_finished():
            begun = self._is_begun()
            try:
                self._check_contents(begun)
            except ConfigError:
                if not self.is_finished() and self._is_begun() == begun:
                    raise
            else:
                return

    def _is_begun(self) -> bool:
        return (self.where / ENCODING).is_file()

    def _check_contents(self, begun: bool) -> None:
        """Raise ``ConfigError`` for files that no encoding leaves; ``begun``: there is a journal."""
        path = self.where
        names = [entry.name for entry in path.iterdir()] if path.is_dir() else []
        pieces = _pieces()
        if names and all(re.fullmatch(pieces, name) for name in names):
            raise ConfigError(
                f"{path} already holds something (an older vqkit was interrupted here: delete it); choose a new or "
                "empty folder for the tokens"
            )
        lying = {ENCODING, LOCK, *([CARD] if begun else [])}
        own = {*lying, MANIFEST, PARQUET_MANIFEST}

        def is_file_of_ours(file: Path) -> bool:
            temporary = re.fullmatch(r"\.(.+)\.[0-9a-f]{8}\.part", file.name)
            name = (file.with_name(temporary[1]) if temporary else file).relative_to(path).as_posix()
            whole = name in own and (bool(temporary) or name in lying)
            return re.fullmatch(pieces, name) is not None or whole

        def is_own(entry: Path) -> bool:
            files = entry.rglob("*") if entry.is_dir() and not entry.is_symlink() else [entry]
            known = all(is_file_of_ours(file) for file in files if not file.is_dir())
            return known and (begun or entry.name == LOCK or entry.name.startswith(f".{ENCODING}."))

        outputs.check_contents(path, "an encoding that was interrupted", is_own)

    def is_finished(self) -> bool:
        """See ``Place.is_finished``."""
        return find_manifest(self.where) is not None

    def lock(self) -> AbstractContextManager[None]:
        """See ``Place.lock``."""
        return folder_lock(self.where, "encoding")

    def journal(self, key: Mapping[str, Any], check: Check) -> Journal:
        """See ``Place.journal``."""
        return Journal(self.where / ENCODING, key, check)

    def kept(self, key: Mapping[str, Any], check: Check) -> Lines:
        """See ``Place.kept``."""
        return whole_pieces(self.where / ENCODING, key, check)

    def clear(self, but: Collection[str]) -> None:
        """See ``Place.clear``; folders that are empty then go too."""
        kept = {ENCODING, LOCK, *but}
        for entry in sorted(self.where.rglob("*"), reverse=True):
            if not entry.is_dir():
                if entry.relative_to(self.where).as_posix() not in kept:
                    entry.unlink()
            elif not any(entry.iterdir()):
                entry.rmdir()

    @contextmanager
    def shard_folder(self) -> Iterator[Path]:
        """See ``Place.shard_folder``: the folder itself."""
        yield self.where

    def publish(self, folder: Path, files: Collection[Path]) -> dict[str, Any]:
        """See ``Place.publish``: they lie there."""
        del folder, files
        return {}

    def describe(self, name: str, manifest: Mapping[str, Any], card: str) -> None:
        """See ``Place.describe``."""
        if card:
            atomic.write_text(self.where / CARD, card)
        atomic.write_json(self.where / name, manifest)


@final
class RemotePlace(Place):
    """What lies below an address: shards are written on this machine, uploaded, and noted when they are there.

    One machine at a time: its processes exclude one another, and nothing keeps a second machine away.
    """

    def __init__(self, url: str) -> None:
        self.where: str = whole_url(url)
        self._remote = RemoteFolder(url)

    def check(self, kind: str) -> None:
        """See ``Place.check``."""
        token_format(kind)
        names = set(self._remote.files())
        if names & {MANIFEST, PARQUET_MANIFEST}:
            return
        begun = any(name.startswith(f"{NOTES}/") for name in names)
        pieces = rf"{_pieces()}|{NOTES}/.*|{re.escape(CARD)}|(.*/)?\..*\.part"
        foreign = sorted(name for name in names if not begun or re.fullmatch(pieces, name) is None)
        if foreign:
            raise ConfigError(
                f"{self.where} already holds something that is not an encoding that was interrupted ({foreign[0]!a}): "
                "other things stay as they are; choose a new or empty address"
            )

    def is_finished(self) -> bool:
        """See ``Place.is_finished``."""
        return bool(set(self._remote.files()) & {MANIFEST, PARQUET_MANIFEST})

    def lock(self) -> AbstractContextManager[None]:
        """See ``Place.lock``."""
        own = hashlib.sha256(self.where.encode()).hexdigest()[:16]
        return folder_lock(cache_folder() / "remote" / f"writing-{own}", "encoding")

    def journal(self, key: Mapping[str, Any], check: Check) -> RemoteJournal:
        """See ``Place.journal``."""
        return RemoteJournal(self._remote, key, check)

    def kept(self, key: Mapping[str, Any], check: Check) -> Lines:
        """See ``Place.kept``."""
        return remote_pieces(self._remote, key, check)[0]

    def clear(self, but: Collection[str]) -> None:
        """See ``Place.clear``."""
        for name in self._remote.files():
            if name not in but and not name.startswith(f"{NOTES}/"):
                self._remote.remove(name)

    @contextmanager
    def shard_folder(self) -> Iterator[Path]:
        """See ``Place.shard_folder``: one of its own, which goes when the shard is there."""
        with tempfile.TemporaryDirectory(prefix="vqkit-") as folder:
            yield Path(folder)

    def publish(self, folder: Path, files: Collection[Path]) -> dict[str, Any]:
        """See ``Place.publish``."""
        sizes = {file.relative_to(folder).as_posix(): file.stat().st_size for file in files}
        for file in reversed(list(files)):  # the first names the shard, and comes last
            self._remote.put(file, file.relative_to(folder).as_posix())
        return {"bytes": sizes}

    def describe(self, name: str, manifest: Mapping[str, Any], card: str) -> None:
        """See ``Place.describe``: the bytes are those of a folder."""
        with tempfile.TemporaryDirectory(prefix="vqkit-") as folder:
            own = FolderPlace(Path(folder))
            own.describe(name, manifest, card)
            for each in ([CARD] if card else []) + [name]:
                self._remote.put(own.where / each, each)


def _pieces() -> str:
    """The pattern of all names of files of shards."""
    return "|".join(part().file_pattern for part in TOKEN_FORMATS.available().values())
