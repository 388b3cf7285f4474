"""The description of a token set, ``tokens.json``, checked before anything that it says is believed."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from vqkit.checking import check_fields, check_sizes, shown
from vqkit.coding import index_dtype
from vqkit.storage.mirror import Mirror
from vqkit.storage.reading import read_json
from vqkit.storage.remote import is_url, whole_url
from vqkit.tokens.formats import TOKEN_FORMATS, TokenFormat
from vqkit.tokens.layout import Vocabulary
from vqkit.tokens.shards import Expected

MANIFEST = "tokens.json"
PARQUET_MANIFEST = "_tokens.json"
"""Of Parquet shards: readers of folders of Parquet files leave out names that begin with ``_``."""
_MOST_VALUES = 1 << 21
"""Of JSON: each shard has about three, each item that was skipped one."""
_MOST_CODES, _MOST_ITEMS, _MOST_INDICES = 1 << 32, 1 << 48, 1 << 40
_FIELDS: dict[str, Any] = {
    "format": str,
    "codebook_size": int,
    "grid": Sequence[int] | None,
    "size": Sequence[int] | None,
    "shards": Sequence[Mapping[str, Any]],
}
_MORE_FIELDS: dict[str, Any] = {
    "num_codebooks": int,
    "dtype": str,
    "axes": int,
    "channels": int,
    "items": int,
    "source": str,
    "labels": bool,
    "class_names": Sequence[str | int] | None,
    "names": bool,
    "model_sha256": str,
    "rate_weights": Sequence[float],
    "skipped": Sequence[str],
    "key": Mapping[str, Any],
    "layout": Mapping[str, Any],
}


def manifest_name(kind: str) -> str:
    """Return what the description of a token set is called in its folder, for shards of a format."""
    return TOKEN_FORMATS.get_part(kind).manifest


def find_manifest(folder: str | Path) -> Path | None:
    """Return the description of the token set in a folder, or of one at an address a copy; None: there is none."""
    if is_url(folder):
        mirror = Mirror(whole_url(folder))
        named = next((name for name in (MANIFEST, PARQUET_MANIFEST) if name in mirror.files), None)
        return None if named is None else mirror.path(named)
    places = (Path(folder) / name for name in (MANIFEST, PARQUET_MANIFEST))
    return next((place for place in places if place.is_file()), None)


@dataclass(frozen=True)
class Description:
    """Description of a token set (``tokens.json``), its parts in agreement.

    Attributes:
        kind: format of the shards.
        grid, size: of all items, or None where they differ.
        files, counts: names of the shards, and how many items each has.
        expected: what every shard holds.
    """

    kind: str
    codebook_size: int
    num_codebooks: int
    grid: tuple[int, ...] | None
    size: tuple[int, ...] | None
    files: tuple[str, ...]
    counts: tuple[int, ...]
    expected: Expected

    @classmethod
    def of(cls, manifest: Any) -> Self:
        """From the JSON values.

        Raises:
            ValueError: what is missing, of another type, out of range, or does not agree.
        """
        check_fields(manifest, _FIELDS, _MORE_FIELDS)
        kind, size = manifest["format"], _sides(manifest, "size")
        if kind not in TOKEN_FORMATS:
            raise ValueError(f"its format is {shown(kind)}; known: {', '.join(TOKEN_FORMATS)}")
        fmt = TOKEN_FORMATS.get_part(kind)()
        codes, codebooks = manifest["codebook_size"], manifest.get("num_codebooks", 1)
        if not 1 <= codes <= _MOST_CODES:
            raise ValueError(f"its codebook_size is {shown(codes)}, and should be 1 to {_MOST_CODES:,}")
        if codebooks < 1:
            raise ValueError(f"its num_codebooks is {shown(codebooks)}, and should be 1 or more")
        check_sizes({name: manifest[name] for name in ("num_codebooks", "channels") if name in manifest})
        dtype = index_dtype(codes).name
        if manifest.get("dtype", dtype) != dtype:
            raise ValueError(f"its dtype is {shown(manifest['dtype'])}, and that of {codes:,} codes is {dtype}")
        grid = _sides(manifest, "grid")
        axes = manifest.get("axes", None if size is None else len(size))
        if axes is not None and not 0 <= axes <= 3:
            raise ValueError(f"its axes are {shown(axes)}, and should be 0 to 3")
        if (grid is None) != (size is None) or (grid is None and not fmt.several_sizes):
            raise ValueError(f"its grid and its size are both of all items, or both null (not in the format {kind})")
        if grid is not None and size is not None:
            fits = len(grid) == len(size) == axes and all(a <= b for a, b in zip(grid, size, strict=True))
            if not fits or math.prod(grid) * codebooks > _MOST_INDICES:
                raise ValueError(f"its grid {list(grid)} is none of signals of {axes} axes and the size {list(size)}")
        found = [_shard(each, fmt) for each in manifest["shards"]]
        files, counts = tuple(name for name, _ in found), tuple(items for _, items in found)
        if len(set(files)) < len(files):
            raise ValueError("it names a shard twice")
        if sum(counts) > _MOST_ITEMS or manifest.get("items", sum(counts)) != sum(counts):
            raise ValueError(f"its items are {shown(manifest.get('items'))}, and {sum(counts):,} are in its shards")
        more = (codebooks,) if codebooks > 1 else ()
        vocabulary = Vocabulary.of(manifest.get("layout", {}), codes, codebooks) if fmt.sequences else None
        expected = Expected(codes, None if grid is None else (*grid, *more), axes, codebooks, vocabulary)
        return cls(kind, codes, codebooks, grid, size, files, counts, expected)


def check_shard(entry: Any, kind: str) -> None:
    """Raise ``ValueError`` unless an entry names a shard of this format, in the folder itself."""
    _shard(entry, TOKEN_FORMATS.get_part(kind)())


def read_manifest(file: Path) -> Any:
    """The JSON value in ``tokens.json``.

    Raises:
        OSError, ValueError: it cannot be read as such.
    """
    return read_json(file, most_values=_MOST_VALUES)


def _shard(entry: Any, fmt: TokenFormat) -> tuple[str, int]:
    check_fields(entry, {"file": str, "items": int}, {"labels": str, "gaps": str, "sha256": str})
    name, items = entry["file"], entry["items"]
    if re.fullmatch(fmt.shard_pattern, name) is None:
        wanted = fmt.shard_name(0, 0, None)
        raise ValueError(f"it names {shown(name)}; a {fmt.name} shard is called {wanted}, and lies beside it")
    if not 1 <= items <= _MOST_ITEMS:
        raise ValueError(f"it says that {name} has {shown(items)} items")
    return name, items


def _sides(manifest: Mapping[str, Any], name: str) -> tuple[int, ...] | None:
    sides = manifest[name]
    if sides is None:
        return None
    if len(sides) > 3 or not all(1 <= side <= 1 << 31 for side in sides):
        raise ValueError(f"its {name} is {shown(sides)}, and should be up to three numbers of 1 and more")
    return tuple(sides)
