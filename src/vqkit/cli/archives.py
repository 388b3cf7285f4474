"""Parts of the commands for archives: the models of a file, opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vqkit.errors import ConfigError

if TYPE_CHECKING:
    from vqkit.codec.entropy.models import EntropyModel
    from vqkit.codec.protocols import PixelModel
    from vqkit.coding import FileHeader
    from vqkit.models import IndexModel


@dataclass(frozen=True)
class FileModels:
    """Models that a file was made with.

    Attributes:
        name: of the tokenizer.
        tokenizer: opened.
        entropy: what codes its indices.
        pixel_model: of lossless files.
    """

    name: str
    tokenizer: IndexModel
    entropy: EntropyModel
    pixel_model: PixelModel | None


def header_of(file: Path) -> FileHeader:
    """The header of a file.

    Raises:
        BitstreamError: it is damaged, or no ``.vqk`` file.
    """
    from vqkit.coding import Reader

    if file.exists() and not file.is_file():
        what = "a folder" if file.is_dir() else "a pipe or a device"
        raise ConfigError(f"{file} is {what}, not a .vqk file on the disk; name one")
    with file.open("rb") as opened:
        return Reader(opened).header


def models_of(
    file: Path, model: str | None, prior: str | None, pixels: str | None, device: str, *, exact: bool = True
) -> FileModels:
    """The models of a file: those that were named, or the ones that the file names.

    Args:
        file: the ``.vqk`` file.
        model: named, or None.
        prior: named, or None: the run's own.
        pixels: the pixel prior that was named, or None: the run's own.
        device: to compute on.
        exact: whether the pixel prior of a lossless file is needed.

    Raises:
        WrongModelError: these are not the ones that it was made with.
    """
    from vqkit.cli.choosing import model_of_file
    from vqkit.cli.files import file_prior, pixel_model
    from vqkit.cli.loading import open_discrete
    from vqkit.codec import entropy_model
    from vqkit.coding import check_model, digest
    from vqkit.pretrained.folder import content_hash

    header = header_of(file)
    name = model or model_of_file(header, file)
    loaded = open_discrete(name, device)
    check_model("tokenizer", header.tokenizer, digest(content_hash(loaded)))
    entropy = entropy_model(file_prior(loaded, name, prior, header), loaded.codebook_size)
    if pixels is not None and not header.pixel_digest:
        raise ConfigError(f"--pixels {pixels}: {file} is not lossless, and needs no pixel prior; leave it out")
    own = pixel_model(loaded, name, pixels, reading=True) if header.pixel_digest and exact else None
    return FileModels(name, loaded, entropy, own)
