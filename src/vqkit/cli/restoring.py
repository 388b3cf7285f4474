"""Places that restored signals are written to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from vqkit.errors import ConfigError
from vqkit.storage.outputs import check_contents

if TYPE_CHECKING:
    from vqkit.codec.reading.pieces import Piece

SINGLE = {".png": "images", ".wav": "sounds", ".flac": "sounds"}
"""What a file of one signal is restored to, by the extension of ``--out``."""
LIKE = (".tif", ".tiff")
"""Of images that are read, and written as fields only."""


def is_one_file(out: Path) -> bool:
    """Return True if ``out`` names a file to write, and is not a folder."""
    return out.suffix.lower() in SINGLE and not out.is_dir()


def check_any_place(out: Path) -> None:
    """See ``check_place``, of files like others too (``--like``): what is there is looked at later."""
    if out.suffix.lower() not in LIKE or out.exists():
        check_place(out)


def check_place(out: Path) -> None:
    """Raise where ``out`` is neither a file that can be written nor a folder that is new or empty."""
    from vqkit.data.images.reading import EXTENSIONS
    from vqkit.data.sounds.loading import EXTENSIONS as SOUND_EXTENSIONS

    if not is_one_file(out):
        check_contents(out, "restored signals")
        if out.suffix.lower() in EXTENSIONS and not out.is_dir():
            raise ConfigError(f"{out}: images are written as .png only; name a .png, or a folder to hold them")
        if out.suffix.lower() in SOUND_EXTENSIONS and not out.is_dir():
            raise ConfigError(f"{out}: sounds are written as .wav or .flac; name such a file, or a folder to hold them")


def restore_like(
    pieces: Iterable[Piece],
    out: Path,
    like: str,
    *,
    progress: Callable[[int, int], None],
    total: int,
    exact: bool = False,
) -> int:
    """Write all signals of a file, fields of one size, into one file like the data of a name; return how many.

    ``exact``: an error is promised, which the file has to keep.
    """
    import numpy as np

    from vqkit.codec.reading.pieces import whole
    from vqkit.data.grids.loading import write_like
    from vqkit.errors import DataError

    items = []
    for each in whole(pieces):
        items.append(each.values.numpy())
        if items[-1].shape != items[0].shape:
            raise DataError(f"signals of several sizes, which no file like {like} holds; leave --like out")
        progress(len(items), total)
    write_like(like, np.stack(items), out, exact=exact)
    return len(items)
