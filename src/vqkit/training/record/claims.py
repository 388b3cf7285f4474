"""A folder's settings file: what lies beside it was made of these settings and contents, and of nothing else."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vqkit.checking import check_fields, differences, reason
from vqkit.errors import ConfigError
from vqkit.spelling import option
from vqkit.storage import atomic
from vqkit.storage.reading import read_json
from vqkit.training.record.resuming import refuse_other

SETTINGS = "settings.json"
_FIELDS = {"made_of": Mapping[str, str], "data": str, "vqkit": str | None}
_BEFORE = re.compile(r"before-\d{3,}")


@dataclass(frozen=True)
class Claim:
    """All that the contents of a folder depend on.

    Attributes:
        what: the folder holds, with its article: "a comparison".
        settings: strict JSON values.
        made_of: hashes of contents (data, model, ...), by name.
        data: the data in words, for people.
        version: of vqkit, where numbers of two versions must not stand side by side.
    """

    what: str
    settings: Mapping[str, Any]
    made_of: Mapping[str, str] = field(default_factory=dict)
    data: str = ""
    version: str | None = None

    def document(self) -> dict[str, Any]:
        """Return the contents of the settings file."""
        return {
            "vqkit": self.version,
            "settings": dict(self.settings),
            "made_of": dict(self.made_of),
            "data": self.data,
        }

    def differs(self, there: Mapping[str, Any]) -> list[str]:
        """Return the differences to a settings file, in words; skips what an older version did not record."""
        found = differences(there.get("settings", {}), self.settings)
        if "made_of" not in there:
            return found
        if there.get("vqkit") != self.version:
            found += differences({"vqkit": there.get("vqkit")}, {"vqkit": self.version})
        for name in dict.fromkeys([*self.made_of, *there["made_of"]]):
            if there["made_of"].get(name) != self.made_of.get(name):
                told = f" (was {there.get('data')}, now {self.data})" if name == "data" else ""
                found.append(f"{name}: other contents{told}")
        return found


def recorded(path: Path) -> dict[str, Any]:
    """The settings file of a folder, or nothing.

    Raises:
        ConfigError: it is damaged.
    """
    file = path / SETTINGS
    if not file.is_file():
        return {}
    try:
        return check_fields(read_json(file), {"settings": Mapping[str, Any]}, _FIELDS)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file}: damaged ({reason(error)}); choose another {option('out')}") from error


def set_aside(path: Path, claim: Claim, names: Sequence[str]) -> Path | None:
    """Make room where the same was made of other contents before: what lies there moves into ``before-001`` there.

    Args:
        path: the folder.
        claim: what is to be made now.
        names: of contents that are reason enough; other settings are for ``take`` to refuse.

    Returns:
        Where it is now; None where nothing was moved.
    """
    there = recorded(path)
    if "made_of" not in there or differences(there["settings"], claim.settings):
        return None
    other = {name for name in names if there["made_of"].get(name) != claim.made_of.get(name)}
    entries = [entry for entry in path.iterdir() if not _BEFORE.fullmatch(entry.name)]
    if not other or all(entry.name == SETTINGS for entry in entries):
        return None
    target = next(new for number in itertools.count(1) if not (new := path / f"before-{number:03d}").exists())
    target.mkdir()
    for entry in sorted(entries, key=lambda each: each.name == SETTINGS):  # last: a crash in between leaves it found
        entry.rename(target / entry.name)
    return target


def take(path: Path, claim: Claim) -> bool:
    """Make the folder, or make sure that what lies in it was made of the same.

    Returns:
        False where what lies there says too little to be sure (an older version of vqkit made it).

    Raises:
        ConfigError: the folder holds something else; what differs is named.
    """
    there = recorded(path)
    others = path.is_dir() and any(
        entry.name != SETTINGS and not _BEFORE.fullmatch(entry.name) for entry in path.iterdir()
    )
    if there:
        found = claim.differs(there)
        if others:
            refuse_other(path, claim.what, found)
            return "made_of" in there
    elif path.is_file() or others:
        raise ConfigError(f"{path} holds something that is not {claim.what}; choose another {option('out')}")
    path.mkdir(parents=True, exist_ok=True)
    atomic.write_json(path / SETTINGS, claim.document())
    return True
