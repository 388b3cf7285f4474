"""Places that restored signals are written to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from vqkit.errors import ConfigError
from vqkit.storage import atomic
from vqkit.storage.outputs import check_contents

SINGLE = {".png": "images", ".wav": "sounds", ".flac": "sounds"}
"""What a file of one signal is restored to, by the extension of ``--out``."""


def is_one_file(out: Path) -> bool:
    """Return True if ``out`` names a file to write, and is not a folder."""
    return out.suffix.lower() in SINGLE and not out.is_dir()


def check_named(out: Path) -> None:
    """Raise as ``check_place``, but for a TIFF, which ``--like`` writes."""
    if out.suffix.lower() not in (".tif", ".tiff"):
        check_place(out)


@contextmanager
def new_signals(out: Path, like: str | None) -> Iterator[Path]:
    """A folder to restore signals into: ``out`` when all is well, or for ``--like`` one that is removed at the end."""
    if like is None:
        with atomic.new_folder(out) as folder:
            yield folder
    else:
        with TemporaryDirectory(prefix="vqkit-") as kept:
            yield Path(kept)


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
