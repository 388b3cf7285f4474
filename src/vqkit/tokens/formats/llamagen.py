"""Codes of pictures as the trainer of LlamaGen reads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from vqkit.coding import index_dtype
from vqkit.data.arrays.npy import read_header, read_npy
from vqkit.errors import ConfigError
from vqkit.spelling import option, spelled
from vqkit.storage import atomic
from vqkit.tokens.beside import Write, name_writer, npy_writer
from vqkit.tokens.formats.base import TOKEN_FORMATS
from vqkit.tokens.formats.sequences import SequenceFormat, blocks, vocabulary_of
from vqkit.tokens.layout import Layout, Vocabulary
from vqkit.tokens.shards import Expected, Indices, Shard

_PLAIN = ("order", "shared_ids")


@TOKEN_FORMATS.register("llamagen")
class LlamaGenFormat(SequenceFormat):
    """Files of LlamaGen: `imagenet64_codes/0.npy` int64 `[1, 1, tokens]` and `imagenet64_labels/0.npy` `[1]` an item.

    As ``extract_codes_c2i.py`` writes and ``train_c2i.py --dataset imagenet_code`` reads them, with one augmentation;
    the number in the names of the folders is the side of the pictures (``--image-size``). An item without a label has
    the number of classes as its label (the class that LlamaGen drops labels to), in a set without labels 0.
    """

    suffix = ".npy"
    several_sizes = False
    shard_items = 4096
    more_files: ClassVar[str] = r"imagenet\d+_(codes|labels)/\d+\.npy"

    @property
    def shard_pattern(self) -> str:
        """Pattern of the names of first files."""
        return r"imagenet[0-9]{1,6}_codes/[0-9]{1,15}\.npy"

    def check_source(self, size: Sequence[int] | None, what: str) -> None:
        """Raise ``ConfigError`` unless the signals are square pictures of one size."""
        if size is None or len(size) != 2 or size[0] != size[1]:
            shape = "different sizes" if size is None else "x".join(map(str, size)) or "vectors"
            other = spelled(python="kind='webdataset'", command="--format webdataset")
            raise ConfigError(
                f"{what} ({shape}): LlamaGen reads square pictures of one size; cut them, or give another format, such "
                f"as {other}"
            )

    def check_layout(self, layout: Layout) -> None:
        """Raise ``ConfigError`` unless every id is a code: LlamaGen adds the class itself, and has no other tokens."""
        other = next((name for name in layout.given() if name not in _PLAIN), None)
        if other is not None or layout.order == "delayed":
            other = other or "order"
            raise ConfigError(
                f"{option(other, getattr(layout, other))}: LlamaGen reads the codes of the positions alone, and "
                "adds the class itself; leave it out"
            )

    def id_dtype(self, vocabulary: Vocabulary) -> np.dtype[Any] | None:
        """Return int64, as torch has indices."""
        return np.dtype("<i8")

    def shard_name(self, number: int, first: int, size: Sequence[int] | None) -> str:
        """Return the name of the first item's file."""
        return f"imagenet{(size or [0])[0]}_codes/{first}.npy"

    def beside(self, path: Path, what: str, suffix: str) -> Path:
        """Return the path of a part of a shard in the set's folder, with the number of the first item."""
        return path.parent.parent / f"{what}-{int(path.stem):05d}{suffix}"

    def labels_place(self, path: Path) -> Path:
        """Return the folder of labels."""
        return path.parent.with_name(path.parent.name.replace("_codes", "_labels"))

    def write(self, path: Path, shard: Shard) -> list[Path]:
        """Write two files an item, then the names."""
        vocabulary, labels = vocabulary_of(shard.vocabulary), self.labels_place(path)
        files = []
        for start, sequences in blocks(shard):
            for place, ids in enumerate(sequences, start):
                label = 0 if shard.labels is None else int(shard.labels[place])
                label = vocabulary.classes if label < 0 else label
                name = f"{shard.first + place}.npy"
                both: dict[Path, Write] = {
                    path.with_name(name): npy_writer(ids.astype("<i8")[None, None]),
                    labels / name: npy_writer(np.array([label], np.int64)),
                }
                atomic.write_files(both, durable=False)
                files += list(both)
        for folder in (path.parent, labels):
            atomic.flush(folder)
        if shard.names is not None:
            files.append(self.beside(path, "names", ".json"))
            atomic.write_file(files[-1], name_writer(shard.names))
        return files

    def shard_files(self, path: Path, count: int) -> list[Path]:
        """Return the files of codes and labels, and that of names."""
        names = self.beside(path, "names", ".json")
        both = _numbered(path, path.parent, count) + _numbered(path, self.labels_place(path), count)
        return both + [names] * names.is_file()

    def nbytes(self, path: Path, count: int) -> int:
        """Return the bytes of the files of codes."""
        return sum(place.stat().st_size for place in _numbered(path, path.parent, count))

    def _read(self, path: Path, expected: Expected, count: int, *, ranges: bool) -> Sequence[Indices]:
        vocabulary, dtype = vocabulary_of(expected.vocabulary), index_dtype(expected.codebook_size)
        if expected.shape is None:
            raise ValueError("its description has no grid")
        shape, found = expected.shape, []
        for place in _numbered(path, path.parent, count):
            ids = _array(place, (1, 1, vocabulary.length(shape)))
            found.append(vocabulary.indices(ids[0], shape)[0].astype(dtype))
        return found

    def _labels(self, path: Path, expected: Expected, count: int) -> npt.NDArray[np.int64]:
        places = _numbered(path, self.labels_place(path), count)
        found = np.concatenate([_array(place, (1,)) for place in places])
        return np.where(found == vocabulary_of(expected.vocabulary).classes, -1, found)


def _numbered(path: Path, folder: Path, count: int) -> list[Path]:
    """The files of so many items in a folder, from that of the shard on."""
    first = int(path.stem)
    return [folder / f"{number}.npy" for number in range(first, first + count)]


def _array(path: Path, shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    with path.open("rb") as file:
        header = read_header(file, path.stat().st_size)
    if header.dtype != np.dtype("<i8") or tuple(header.shape) != shape:
        raise ValueError(f"{path.name} holds {header.dtype} {list(header.shape)}, and should hold int64 {list(shape)}")
    found: npt.NDArray[np.int64] = read_npy(path)
    return found
