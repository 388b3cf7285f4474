"""Data at addresses (``s3://``, ``gs://``, ``hf://``): fetched into the cache folder, and read there as any other data.

An address names what a path would: a file, a folder, a pattern of Parquet files or of tar files of samples
(``train-*.parquet``, ``train-{000..099}.tar``), ``FILE.npz:key``, ``FILE.parquet:column``. Files are fetched once, and
again only where the store says that they have changed.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from vqkit.errors import DataError
from vqkit.storage.mirror import Mirror
from vqkit.storage.remote import whole_url

_WITHIN = re.compile(r"(.+\.(?:npz|safetensors|csv|tsv|arrow|feather|parquet)):([^/]+)", re.DOTALL)
_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")


def shards_at(spec: str, most_fetched: int) -> tuple[Mirror, list[str]] | None:
    """The shards that an address names, none of them fetched; None where it names other data.

    Args:
        spec: an address.
        most_fetched: Parquet files of so many bytes in all are other data, which are fetched; tar files are always
            shards.
    """
    address = whole_url(spec)
    head, _, last = address.rpartition("/")
    if _WITHIN.fullmatch(spec):
        return None
    if set("*?{") & set(last):
        mirror = Mirror(head)
        names = _matching(last, mirror.files)
    else:
        mirror = Mirror(address)
        names = [name for name in mirror.files if not _is_hidden(name)]
    suffixes = {PurePosixPath(name or address).suffix.lower() for name in names}
    if suffixes == {".parquet"}:
        return (mirror, names) if sum(mirror.files[name].size for name in names) > most_fetched else None
    return (mirror, names) if suffixes == {".tar"} else None


def tars_in(spec: str) -> tuple[Path, list[str]] | None:
    """The tar files of samples that a name on this machine names: a file, a folder of them, a pattern; else None."""
    path = Path(spec).expanduser()
    if path.is_file():
        return (path.parent, [path.name]) if path.suffix.lower() == ".tar" else None
    if path.is_dir():
        names = sorted(entry.name for entry in path.iterdir() if not entry.name.startswith("."))
        return (path, names) if names and all(name.endswith(".tar") for name in names) else None
    if not path.name.endswith(".tar") or not path.parent.is_dir():
        return None
    names = _matching(path.name, [entry.name for entry in path.parent.iterdir()])
    return (path.parent, names) if names else None


def local_copy(spec: str, extensions: Collection[str]) -> str:
    """Fetch the data that an address names; returns the name of the same data on this machine.

    Args:
        spec: an address, with a key or columns after a colon where such files have them.
        extensions: of the files of a folder that are fetched, in lower case.

    Raises:
        DataError: nothing there, or it cannot be fetched.
        MissingExtraError: a package that such addresses need is not installed.
    """
    within = _WITHIN.fullmatch(spec)
    address, more = (within[1], f":{within[2]}") if within else (spec, "")
    address = whole_url(address)
    head, _, last = address.rpartition("/")
    if set("*?{") & set(last):
        mirror = Mirror(head, last)
        names = _matching(last, mirror.files)
        if not names:
            raise DataError(f"{address}: no file there has such a name")
        suffix = PurePosixPath(names[0]).suffix
        folder = mirror.fetch(names)
        return f"{folder}/*{suffix}{more}" if suffix == ".parquet" else str(folder)
    mirror = Mirror(address)
    if set(mirror.files) == {""}:
        return f"{mirror.path('')}{more}"
    wanted = [name for name in mirror.files if _is_data(name, extensions)]
    if not wanted:
        found = f"{len(mirror.files):,} files of other kinds" if mirror.files else "nothing there"
        raise DataError(f"{address}: {found}; give the address of a file, a folder of data, or a pattern")
    return f"{mirror.fetch(wanted)}{more}"


def _matching(pattern: str, names: Collection[str]) -> list[str]:
    """The names that a pattern of ``*``, ``?`` and ``{000..099}`` matches, sorted."""
    braces = _BRACES.search(pattern)
    if braces is not None:
        first, last, width = int(braces[1]), int(braces[2]), len(braces[1])
        numbered = (pattern.replace(braces[0], f"{number:0{width}d}") for number in range(first, last + 1))
        return sorted({name for each in numbered for name in _matching(each, names)})
    wanted = "".join({"*": "[^/]*", "?": "[^/]"}.get(each, re.escape(each)) for each in pattern)
    return sorted(name for name in names if re.fullmatch(wanted, name))


def _is_data(name: str, extensions: Collection[str]) -> bool:
    return not _is_hidden(name) and Path(name).suffix.lower() in extensions


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "_")) for part in PurePosixPath(name).parts)
