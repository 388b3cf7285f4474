"""Names of items: those of the data, or of a file beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vqkit.checking import reason
from vqkit.data import Source
from vqkit.data.arrays.npy import read_npy
from vqkit.errors import DataError
from vqkit.ids.semantic import check_names
from vqkit.spelling import option
from vqkit.storage.reading import read_json

_NAME_BYTES = 1 << 15


def names_of(source: Source, given: str | Path | Sequence[str | int] | None) -> list[str] | None:
    """Return the names of the items of a source; None where they have none.

    Args:
        source: the data.
        given: names, or a file of them: ``.txt`` (a line each), ``.json`` (a list) or ``.npy`` (whole numbers or
            words); None: as the source has them.

    Raises:
        DataError: no such file, not as many names as items, items without a name, or a name that comes twice.
    """
    if given is None:
        if source.item_name(0) is None and source.item_name(len(source) - 1) is None:
            return None
        own = [source.item_name(row) for row in range(len(source))]
        without = next((row for row, name in enumerate(own) if name is None), None)
        if without is not None:
            raise DataError(f"{source.name}: item {without} has no name, and others have: give {option('names')}")
        names = [str(name) for name in own]
    elif isinstance(given, str | Path):
        names = read_names(Path(given), len(source))
    else:
        names = [str(name) for name in given]
    check_names(names, len(source))
    return names


def read_names(path: Path, count: int) -> list[str]:
    """Return the names in a file (see ``names_of``)."""
    try:
        if path.suffix == ".npy":
            array = read_npy(path)
            if array.ndim != 1 or array.dtype.kind not in "iuU":
                raise ValueError(f"it holds {array.dtype} {list(array.shape)}")
            return [str(name) for name in array.tolist()]
        if path.suffix == ".json":
            found = read_json(path, most_bytes=_NAME_BYTES * (count + 1), most_values=count + 1)
            if not isinstance(found, list) or not all(type(name) in (int, str) for name in found):
                raise ValueError("it is no list of words or whole numbers")
            return [str(name) for name in found]
        if path.suffix == ".txt":
            return _lines(path.read_text(encoding="utf-8-sig"))
        raise ValueError("its name ends otherwise")
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: no names of items ({reason(error)}); give a .txt with a line for each item, a .json list, or a "
            ".npy of whole numbers or words"
        ) from error


def _lines(text: str) -> list[str]:
    """The lines of a text, which end with a line feed alone: names may hold what ``splitlines`` divides at."""
    lines = text.split("\n")
    return lines if lines[-1] else lines[:-1]
