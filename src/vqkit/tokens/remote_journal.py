"""Journal of an encoding at an address: a small object for each whole shard, since nothing can be added to an object.

``encoding/key.json`` says everything that the result depends on, ``encoding/NAME.json`` names the files of a shard with
their digests, and is written after them. A shard counts as whole while its files are there, of the size that they had.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, final

from vqkit.checking import check_fields
from vqkit.storage.reading import parse_json
from vqkit.storage.remote import RemoteFile, RemoteFolder

NOTES = "encoding"
_KEY = f"{NOTES}/key.json"
Line = dict[str, Any]


@final
class RemoteJournal:
    """The journal of one encoding; see ``Journal``, whose attributes it has.

    Args:
        remote: the place.
        key: strict JSON: what the result depends on.
        check: raises ValueError where a line does not say of a shard what is to be known of it.
    """

    def __init__(self, remote: RemoteFolder, key: Mapping[str, Any], check: Callable[[Line], None]) -> None:
        self._remote = remote
        self.kept, self.other = remote_pieces(remote, key, check)
        known = {_KEY, *(_note(line) for line in self.kept)}
        for name in remote.files():
            if name.startswith(f"{NOTES}/") and name not in known:
                remote.remove(name)
        remote.write(_KEY, json.dumps(dict(key)).encode())

    @property
    def files(self) -> set[str]:
        """The names of all files that are kept, below the address."""
        return {name for line in self.kept for name in line["files"]}

    def add(self, line: Mapping[str, Any]) -> None:
        """Note a whole shard, whose files are there."""
        self._remote.write(_note(line), json.dumps(dict(line)).encode())

    def remove(self) -> None:
        """The work is done: nothing is left to go on with."""
        names = [name for name in self._remote.files() if name.startswith(f"{NOTES}/")]
        for name in sorted(names, key=lambda name: name == _KEY):  # the key last
            self._remote.remove(name)
        self._remote.remove_folder(NOTES)


def remote_pieces(
    remote: RemoteFolder, key: Mapping[str, Any], check: Callable[[Line], None]
) -> tuple[list[Line], Line | None]:
    """Return the lines of whole shards of this key, and the key of the encoding that lies there if it is another."""
    files = remote.files()
    there = _read(remote, _KEY, files)
    if there is None:
        return [], None
    if there != dict(key):
        return [], there
    notes = [name for name in files if name.startswith(f"{NOTES}/") and name != _KEY]
    lines = [line for name in notes if (line := _read(remote, name, files)) is not None]
    return [line for line in lines if _is_whole(line, files, check)], None


def _is_whole(line: Line, files: Mapping[str, RemoteFile], check: Callable[[Line], None]) -> bool:
    with suppress(ValueError):
        said = check_fields(line, {"files": Mapping[str, str], "bytes": Mapping[str, int], "skipped": Sequence[str]})
        check(line)
        names = said["files"]
        return bool(names) and all(name in files and files[name].size == said["bytes"].get(name) for name in names)
    return False


def _note(line: Mapping[str, Any]) -> str:
    return f"{NOTES}/{line['shard']['file'].replace('/', '-')}.json"


def _read(remote: RemoteFolder, name: str, files: Mapping[str, RemoteFile]) -> Line | None:
    if name not in files:
        return None
    data = remote.read(name)  # one that cannot be read is no reason to begin anew
    with suppress(ValueError):
        value = parse_json(data)
        return value if isinstance(value, dict) else None
    return None
