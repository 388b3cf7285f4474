"""Shards as tar files of samples."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vqkit.checking import check_fields
from vqkit.coding import index_dtype
from vqkit.data.arrays.npy import read_header
from vqkit.storage import atomic
from vqkit.storage.reading import parse_json
from vqkit.tokens.formats.base import TOKEN_FORMATS
from vqkit.tokens.formats.sequences import SequenceFormat, blocks, vocabulary_of
from vqkit.tokens.shards import Expected, Indices, Shard, check_count

_MOST_TEXT = 1 << 20
_FIELDS: dict[str, Any] = {"grid": Sequence[int], "size": Sequence[int]}


@TOKEN_FORMATS.register("webdataset")
class WebDatasetFormat(SequenceFormat):
    """WebDataset: a tar file of samples `000000000.npy` (ids), `.cls` (the class) and `.json` (grid, size, name)."""

    suffix = ".tar"
    has_card = True
    shard_items = 10_000

    def write(self, path: Path, shard: Shard) -> list[Path]:
        """Write the tar file; its bytes depend on nothing but the items."""
        dtype = np.dtype(self.id_dtype(vocabulary_of(shard.vocabulary)))

        def write_tar(temporary: Path) -> None:
            with tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar:
                for first, sequences in blocks(shard):
                    for place, ids in enumerate(sequences.astype(dtype), first):
                        for suffix, data in _members(shard, place, ids):
                            member = tarfile.TarInfo(f"{shard.first + place:09d}.{suffix}")
                            member.size = len(data)
                            tar.addfile(member, io.BytesIO(data))

        atomic.write_file(path, write_tar)
        return [path]

    def labels_place(self, path: Path) -> Path:
        """Return the shard itself."""
        return path

    def _read(self, path: Path, expected: Expected, count: int, *, ranges: bool) -> Sequence[Indices]:
        vocabulary, dtype = vocabulary_of(expected.vocabulary), index_dtype(expected.codebook_size)
        wanted = np.dtype(self.id_dtype(vocabulary))
        more = (expected.num_codebooks,) if expected.num_codebooks > 1 else ()
        found = []
        for sample in _samples(path, count, {"npy", "json"}):
            shape = (*_about(sample)["grid"], *more)
            expected.check_shape(shape)
            header = read_header(file := io.BytesIO(sample["npy"]), len(sample["npy"]))
            if header.dtype != wanted or tuple(header.shape) != (vocabulary.length(shape),):
                raise ValueError(
                    f"a sample holds {header.dtype} {list(header.shape)}, and should hold {wanted} "
                    f"[{vocabulary.length(shape)}]"
                )
            ids = np.frombuffer(file.getbuffer()[header.offset :], wanted)
            found.append(vocabulary.indices(ids[None], shape)[0].astype(dtype))
        return found

    def _labels(self, path: Path, expected: Expected, count: int) -> npt.NDArray[np.int64]:
        return np.array([int(sample["cls"]) for sample in _samples(path, count, {"cls"})], np.int64)

    def _names(self, path: Path, count: int) -> Any:
        return [_about(sample).get("name") for sample in _samples(path, count, {"json"})]

    def _sizes(self, path: Path, count: int) -> list[tuple[int, ...]]:
        return [tuple(_about(sample)["size"]) for sample in _samples(path, count, {"json"})]


def _members(shard: Shard, place: int, ids: npt.NDArray[Any]) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a sample: their suffixes and contents."""
    books = int(vocabulary_of(shard.vocabulary).num_codebooks > 1)
    shape = shard.indices[place].shape
    array = io.BytesIO()
    np.save(array, ids, allow_pickle=False)
    yield "npy", array.getvalue()
    if shard.labels is not None:
        yield "cls", str(int(shard.labels[place])).encode()
    about: dict[str, Any] = {"grid": shape[: len(shape) - books], "size": shard.sizes[place]}
    if shard.names is not None:
        about["name"] = shard.names[place]
    yield "json", json.dumps(about).encode()


def _about(sample: dict[str, bytes]) -> dict[str, Any]:
    return check_fields(parse_json(sample["json"]), _FIELDS, {"name": str | None})


def _samples(path: Path, count: int, wanted: set[str]) -> Iterator[dict[str, bytes]]:
    """Yield the wanted files of each sample, which are as many as the description says.

    Raises:
        ValueError: something else than samples with numbers one after another, or a sample without such a file.
    """
    number, key = 0, ""
    if path.stat().st_size % tarfile.RECORDSIZE:
        raise ValueError(f"its {path.stat().st_size:,} bytes are no whole records of a tar file: it is cut short")
    sample: dict[str, bytes] = {}
    with tarfile.open(path, "r:") as tar:
        for member in tar:
            own, _, suffix = member.name.partition(".")
            if own != key:
                if key:
                    yield _whole(sample, wanted, key)
                if not own.isdecimal() or (key and int(own) != int(key) + 1):
                    raise ValueError(f"the sample {member.name[:40]!a} does not follow {key!a}")
                key, sample, number = own, {}, number + 1
                if number > count:
                    raise ValueError(f"it has more samples than the {count} items that the set's description says")
            if suffix in wanted:
                opened = tar.extractfile(member)
                if (
                    opened is None
                    or (suffix != "npy" and member.size > _MOST_TEXT)
                    or member.size > path.stat().st_size
                ):
                    raise ValueError(f"{member.name[:40]!a} is no file, or one of {member.size:,} bytes")
                sample[suffix] = opened.read()
    if key:
        yield _whole(sample, wanted, key)
    check_count(number, count)


def _whole(sample: dict[str, bytes], wanted: set[str], key: str) -> dict[str, bytes]:
    if sample.keys() != wanted:
        raise ValueError(f"the sample {key} has no {', '.join(sorted(wanted - sample.keys()))}")
    return sample
