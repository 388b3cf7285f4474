"""Samples of a shard: the images in a tar file (WebDataset) or a Parquet file, with the places of their bytes."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from vqkit.checking import reason
from vqkit.data.images.reading import EXTENSIONS
from vqkit.errors import DataError

_MOST_LABEL = 4096
_LABELS = {"cls", "cls.txt"}


class Sample(NamedTuple):
    """An image in a shard.

    Attributes:
        name: of the file in the shard, or its row.
        offset, length: of its bytes in the flat file of the shard.
        label: as it is written: a number or the name of a class; None: it has none.
    """

    name: str
    offset: int
    length: int
    label: str | None


def tar_samples(file: Path, name: str) -> Iterator[Sample]:
    """Yield the images of a tar file, each with the ``.cls`` that has its name; other members are passed over.

    Files of one sample lie together and have one name up to the first dot.

    Raises:
        DataError: no tar file, a compressed one, or one that is cut short.
    """
    try:
        if file.stat().st_size % tarfile.BLOCKSIZE:
            raise DataError(f"{name}: its length is not that of a tar file: it is cut short; fetch it again")
        with tarfile.open(file, "r:") as tar:
            key, image, label = "", None, None
            for member in tar:
                own, suffix = _parts(member.name)
                if own != key:
                    if image is not None:
                        yield image._replace(label=label)
                    key, image, label = own, None, None
                if not member.isfile():
                    continue
                if suffix in _LABELS and member.size <= _MOST_LABEL:
                    opened = tar.extractfile(member)
                    label = None if opened is None else opened.read().decode("utf-8", "replace").strip() or None
                elif image is None and f".{suffix.rpartition('.')[2]}" in EXTENSIONS:
                    image = Sample(member.name, member.offset_data, member.size, None)
            if image is not None:
                yield image._replace(label=label)
    except (OSError, tarfile.TarError) as error:
        raise DataError(
            f"{name}: not readable as a tar file ({reason(error)}); compressed ones are not read"
        ) from error


def _parts(name: str) -> tuple[str, str]:
    """The name of the sample that a member belongs to, and what it is of it."""
    path = PurePosixPath(name)
    stem, _, suffix = path.name.partition(".")
    return str(path.with_name(stem)) if stem else name, suffix.lower()


def unpack_parquet(file: Path, flat: Path, name: str) -> Iterator[Sample]:
    """Write the encoded images of a Parquet file one after another into a flat file; yields where each lies.

    Raises:
        DataError: no Parquet file, or no images in it.
    """
    from vqkit.data.tables.parquet import parquet_table

    table = parquet_table(file)
    if table.arrays or table.columns.sounds:
        raise DataError(f"{name}: it holds no encoded images; larger Parquet sets of other signals are read from here")
    names = table.class_names
    offset = 0
    with flat.open("wb") as out:
        for number, item in enumerate(table.items()):
            data = item.encoded if isinstance(item.encoded, bytes) else b""
            out.write(data)
            label = None if item.label < 0 else names[item.label] if names else str(item.label)
            yield Sample(f"row {number}", offset, len(data), label)
            offset += len(data)
