"""Formats of shards byte by byte, from their descriptions; every layout goes there and back."""

from __future__ import annotations

import json
import os
import struct
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import vqkit
from tests.tokens.cases import SEQUENCES
from vqkit.coding import index_dtype
from vqkit.errors import ConfigError, DataError
from vqkit.tokens import TOKEN_FORMATS, Layout, Vocabulary, load_tokens, tokenize
from vqkit.tokens.shards import Expected, Shard

GRIDS = np.array([[[3, 15], [0, 1]], [[4, 4], [2, 0]]], np.uint8)
FRAMED = Layout(vocab_offset=4, bos=0, begin=1, end=2, eos=3)


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # no power fails here, and disks are slow


def shard(layout: Layout = FRAMED, items: Any = GRIDS, codes: int = 16, **about: Any) -> Shard:
    own = list(items)
    books = about.pop("books", 1)
    labels = about.get("labels")
    classes = 0 if labels is None else int(labels.max()) + 1
    sizes = [tuple(2 * side for side in item.shape[: item.ndim - (books > 1)]) for item in own]
    given_ = {"labels": None, "first": 0, "names": None, **about}
    return Shard(own, sizes, vocabulary=layout.vocabulary(codes, books, classes), **given_)


def written(tmp_path: Path, kind: str, made: Shard, number: int = 0) -> Path:
    fmt = TOKEN_FORMATS[kind]()
    path = tmp_path / fmt.shard_name(number, made.first, (8, 8))
    assert fmt.write(path, made)[0] == path
    return path


def expected(made: Shard) -> Expected:
    vocabulary = made.vocabulary
    assert vocabulary is not None
    shape = made.indices[0].shape if made.common else None
    axes = len(made.sizes[0])
    return Expected(vocabulary.codebook_size, shape, axes, vocabulary.num_codebooks, vocabulary)


FLAT = bytes.fromhex("0000 0100 0700 1300 0400 0500 0200 0300  0000 0100 0800 0800 0600 0400 0200 0300")


def test_bin_is_little_endian_ids_and_nothing_else(tmp_path: Path) -> None:
    path = written(tmp_path, "bin", shard())
    assert path.read_bytes() == FLAT
    about = json.loads(path.with_suffix(".json").read_text())
    assert {name: about[name] for name in ("dtype", "tokens", "sequences", "length", "vocab_size")} == {
        "dtype": "uint16", "tokens": 16, "sequences": 2, "length": 8, "vocab_size": 20,
    }  # fmt: skip
    data = np.memmap(path, dtype=np.uint16, mode="r")  # nanoGPT's train.py
    assert data[8:14].tolist() == [0, 1, 8, 8, 6, 4]


def test_megatron_is_its_index_and_ids(tmp_path: Path) -> None:
    path = written(tmp_path, "megatron", shard())
    assert path.read_bytes() == FLAT
    assert path.with_suffix(".idx").read_bytes() == bytes.fromhex(
        "4d4d 4944 4944 5800 00"  # MMIDIDX, two zeros
        "0100 0000 0000 0000"  # version
        "08"  # uint16
        "0200 0000 0000 0000"  # sequences
        "0300 0000 0000 0000"  # bounds of documents
        "0800 0000 0800 0000"  # lengths
        "0000 0000 0000 0000  1000 0000 0000 0000"  # offsets in bytes
        "0000 0000 0000 0000  0100 0000 0000 0000  0200 0000 0000 0000"  # documents
    )
    wide = written(tmp_path, "megatron", shard(Layout(vocab_offset=65_500)), 1)
    assert wide.read_bytes()[:4] == (65_503).to_bytes(4, "little", signed=True)
    assert wide.with_suffix(".idx").read_bytes()[17] == 4  # int32
    assert written(tmp_path, "megatron", shard(Layout(vocab_offset=65_483)), 2).stat().st_size == 16  # 65,499 ids


def indexed(prefix: Path) -> list[list[int]]:
    """Read an indexed dataset of Megatron-LM from the description of its format: a second reader."""
    index, data = prefix.with_suffix(".idx").read_bytes(), prefix.with_suffix(".bin").read_bytes()
    assert index[:9] == b"MMIDIDX\x00\x00"
    version, code, count, documents = struct.unpack_from("<QBQQ", index, 9)
    assert version == 1
    size, letter = {8: (2, "H"), 4: (4, "i")}[code]
    lengths = struct.unpack_from(f"<{count}i", index, 34)
    offsets = struct.unpack_from(f"<{count}q", index, 34 + 4 * count)
    bounds = struct.unpack_from(f"<{documents}q", index, 34 + 12 * count)
    assert len(index) == 34 + 12 * count + 8 * documents
    assert list(bounds) == list(range(count + 1))
    assert offsets[-1] + lengths[-1] * size == len(data)
    found = zip(offsets, lengths, strict=True)
    return [list(struct.unpack_from(f"<{length}{letter}", data, offset)) for offset, length in found]


def test_megatron_by_another_reader(tmp_path: Path) -> None:
    items = [np.arange(6, dtype=np.uint16).reshape(2, 3), np.array([[299]], np.uint16)]
    made = shard(Layout(vocab_offset=70_000, eos=9), items, codes=300, common=False)
    found = indexed(written(tmp_path, "megatron", made))
    assert found == [[70_000, 70_001, 70_002, 70_003, 70_004, 70_005, 9], [70_299, 9]]


def test_datatrove_is_ids_ends_and_counts(tmp_path: Path) -> None:
    path = written(tmp_path, "datatrove", shard())
    assert path.read_bytes() == FLAT
    assert (tmp_path / "indices-00000.ds.index").read_bytes() == bytes.fromhex("0800000000000000 1000000000000000")
    assert (tmp_path / "indices-00000.ds.metadata").read_text() == "vqkit|2\n16\n16.0 T"


def test_jsonl_is_an_item_a_line(tmp_path: Path) -> None:
    path = written(tmp_path, "jsonl", shard(labels=np.array([1, 0]), names=["a.png", None]))
    assert path.read_bytes() == (
        b'{"tokens": [0, 1, 7, 19, 4, 5, 2, 3], "grid": [2, 2], "size": [4, 4], "class_id": 1, "name": "a.png"}\n'
        b'{"tokens": [0, 1, 8, 8, 6, 4, 2, 3], "grid": [2, 2], "size": [4, 4], "class_id": 0, "name": null}\n'
    )


def test_webdataset_is_a_tar_of_samples(tmp_path: Path) -> None:
    path = written(tmp_path, "webdataset", shard(labels=np.array([1, 0]), first=5))
    with tarfile.open(path) as tar:
        assert tar.getnames() == [f"00000000{n}.{end}" for n in (5, 6) for end in ("npy", "cls", "json")]
        assert {(each.mtime, each.uid, each.mode, each.uname) for each in tar} == {(0, 0, 0o644, "")}
        files = {name: tar.extractfile(name).read() for name in tar.getnames()}  # type: ignore[union-attr]
    assert files["000000005.npy"][:6] == b"\x93NUMPY"
    assert files["000000005.npy"][-16:] == FLAT[:16]
    assert files["000000006.cls"] == b"0"
    assert json.loads(files["000000006.json"]) == {"grid": [2, 2], "size": [4, 4]}


def test_llamagen_is_two_files_an_item(tmp_path: Path) -> None:
    made = shard(Layout(), labels=np.array([1, -1]), first=7)
    path = written(tmp_path, "llamagen", made)
    assert path == tmp_path / "imagenet8_codes" / "7.npy"
    codes, label = np.load(path), np.load(tmp_path / "imagenet8_labels" / "7.npy")
    assert (codes.dtype, codes.tolist(), label.dtype, label.tolist()) == (np.int64, [[[3, 15, 0, 1]]], np.int64, [1])
    assert np.load(tmp_path / "imagenet8_labels" / "8.npy").tolist() == [2], "the class that labels are dropped to"
    assert TOKEN_FORMATS["llamagen"]().read_labels(path, expected(made), 2).tolist() == [1, -1]


BOOKS = np.array([[[10, 20, 30], [11, 21, 31]]])
"""One item of two positions and three codebooks."""


@pytest.mark.parametrize(
    ("layout", "ids"),
    [
        (Layout(shared_ids=True), [10, 20, 30, 11, 21, 31]),
        (Layout(order="flat", shared_ids=True), [10, 11, 20, 21, 30, 31]),
        (Layout(order="flat", vocab_offset=1000), [1010, 1011, 1120, 1121, 1230, 1231]),
        (Layout(), [10, 120, 230, 11, 121, 231]),
        (  # figure 1 of arXiv 2306.05284: step s holds position s - q of codebook q
            Layout(order="delayed", pad=999, shared_ids=True),
            [10, 999, 999, 11, 20, 999, 999, 21, 30, 999, 999, 31],
        ),
    ],
)
def test_several_codebooks(layout: Layout, ids: list[int]) -> None:
    vocabulary = layout.vocabulary(100, 3)
    assert vocabulary.ids(BOOKS).tolist() == [ids]
    assert vocabulary.length((2, 3)) == len(ids)
    assert np.array_equal(vocabulary.indices([ids], (2, 3)), BOOKS)


def test_a_class_stands_before_the_codes() -> None:
    vocabulary = Layout(vocab_offset=20, bos=0, begin=1, class_offset=10).vocabulary(5, classes=3)
    found = vocabulary.ids([[4], [0], [1]], [2, 0, -1])
    assert found.tolist() == [[0, 12, 1, 24], [0, 10, 1, 20], [0, 13, 1, 21]]
    assert vocabulary.head(2) == [0, 12, 1]
    assert vocabulary.head() == [0, 13, 1]
    assert vocabulary.indices(found, (1,)).tolist() == [[4], [0], [1]]
    assert vocabulary.describe() == "bos 0, class 10 to 13, begin 1, codes 20 to 24: 25 ids"
    delayed = Layout(order="delayed", pad=99).vocabulary(5, num_codebooks=2)
    assert delayed.describe() == "codes 0 to 9 (delayed), pad 99: 100 ids"


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, Shard]:
    """A format and a shard of any codebooks, offsets, tokens around, classes, grids of one or several sizes."""
    kind = draw(st.sampled_from(SEQUENCES))
    plain = kind == "llamagen"
    codes, books = draw(st.sampled_from([1, 2, 16, 300, 70_000])), draw(st.integers(1, 4))
    order = draw(st.sampled_from(["interleaved", "flat"] if plain else ["interleaved", "flat", "delayed"]))
    shared = draw(st.booleans())
    offset = 0 if plain else draw(st.sampled_from([0, 7, 65_000, 65_500, 65_536, 1 << 20]))
    labels = draw(st.booleans())
    count = draw(st.integers(1, 5))
    above = iter(offset + codes * books + place for place in (0, 1, 2, 3, 4, 40))
    names = ("bos", "eos", "begin", "end")
    special = {name: next(above) for name in names if not plain and draw(st.booleans())}
    pad = next(above) if order == "delayed" else None
    kinds = next(above) if labels and not plain and draw(st.booleans()) else None
    layout = Layout(vocab_offset=offset, order=order, pad=pad, shared_ids=shared, class_offset=kinds, **special)
    axes = draw(st.integers(0, 3))
    common = plain or draw(st.booleans())
    side = st.integers(1, 3)
    grid = draw(st.tuples(*[side] * axes))
    seed = np.random.default_rng(draw(st.integers(0, 99)))
    items = []
    for _ in range(count):
        own = grid if common else draw(st.tuples(*[side] * axes))
        shape = (*own, books) if books > 1 else own
        items.append(seed.integers(0, codes, shape).astype(index_dtype(codes)))
    about: dict[str, Any] = {"first": draw(st.integers(0, 5)), "common": common, "books": books}
    about["names"] = draw(st.sampled_from([None, [f"ä {number}" for number in range(count)]]))
    about["labels"] = np.arange(count)[::-1] - 1 if labels else None
    if labels:
        about["labels"] = np.maximum(about["labels"], -1 + int(count == 1))
    return kind, shard(layout, items, codes, **about)


@given(case=cases())
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_layout_goes_there_and_back(case: tuple[str, Shard], tmp_path_factory: pytest.TempPathFactory) -> None:
    kind, made = case
    fmt = TOKEN_FORMATS[kind]()
    path = written(tmp_path_factory.mktemp("t"), kind, made)
    told, count = expected(made), len(made.indices)
    found = fmt.read(path, told, count)
    assert len(found) == count
    for own, back in zip(made.indices, found, strict=True):
        assert (back.dtype, back.shape) == (own.dtype, own.shape)
        assert np.array_equal(back, own)
    if made.labels is not None:
        assert np.array_equal(fmt.read_labels(path, told, count), made.labels)
    if made.names is not None:
        assert fmt.read_names(path, count) == made.names
    if not made.common:
        assert fmt.read_sizes(path, count, len(made.sizes[0])) == made.sizes
    vocabulary = made.vocabulary
    assert vocabulary is not None
    saved = json.loads(json.dumps(vocabulary.to_json()))
    assert Vocabulary.of(saved, told.codebook_size, told.num_codebooks) == vocabulary


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        ({"bos": 3}, r"bos=3 is the id of a code \(0 to 15\): choose another id, or move those: vocab_offset="),
        ({"vocab_offset": 5, "end": 20}, r"end=20 is the id of a code \(5 to 20\)"),
        ({"class_offset": 100, "eos": 102}, r"eos=102 is the id of a class \(100 to 102\).*class_offset="),
        ({"class_offset": 15}, r"class_offset=15: classes would have the ids 15 to 17, and codes have 0 to 15"),
        ({"vocab_offset": (1 << 32) - 15}, r"vocab_offset=4294967281: ids would go up to 4,294,967,296"),
        ({"vocab_offset": 1 << 40}, r"ids of tokens are 0 to 4,294,967,295"),
        ({"bos": -1}, "bos=-1: ids of tokens are 0 to"),
        ({"order": "sideways"}, "choose one of interleaved, flat, delayed"),
        ({"pad": 99}, r"pad=99 fills the steps of order='delayed'"),
    ],
)
def test_ids_that_mean_two_things_are_refused(layout: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as told:
        Layout(**layout).vocabulary(16, 1, classes=2)
    assert "\n" not in str(told.value)


def test_what_a_layout_needs() -> None:
    with pytest.raises(ConfigError, match="the data has no classes"):
        Layout(class_offset=99).vocabulary(16)
    with pytest.raises(ConfigError, match=r"order='delayed'.*pad=48"):
        Layout(order="delayed").vocabulary(16, 3)
    with pytest.raises(ConfigError, match=r"megatron holds ids below 2,147,483,648"):
        TOKEN_FORMATS["megatron"]().id_dtype(Layout(vocab_offset=(1 << 31) - 15).vocabulary(16))
    with pytest.raises(ConfigError, match=r"indices 0\.\.16"):
        Layout().vocabulary(16).ids([[0, 16]])
    with pytest.raises(ConfigError, match=r"labels 0\.\.2: there are 2 classes"):
        Layout(class_offset=16).vocabulary(16, classes=2).ids([[0], [1]], [0, 2])


@pytest.mark.parametrize("kind", ["bin", "megatron", "datatrove", "jsonl", "webdataset"])
@pytest.mark.parametrize(
    ("other", "words"),
    [
        (Layout(vocab_offset=4, bos=30, begin=1, end=2, eos=3), "id 0 where 30 belongs"),
        (Layout(vocab_offset=4, bos=0, begin=1, end=2, eos=40), "id 3 where 40 belongs"),
        (Layout(vocab_offset=9, bos=0, begin=1, end=2, eos=3), "index -"),
        (Layout(vocab_offset=4, bos=0, begin=1, end=2), "."),
    ],
)
def test_sequences_of_another_layout(tmp_path: Path, kind: str, other: Layout, words: str) -> None:
    made = shard()
    path = written(tmp_path, kind, made)
    made.vocabulary = other.vocabulary(16)
    if kind == "bin":
        about = written(tmp_path, kind, made, 1).with_suffix(".json").read_bytes()
        path.with_suffix(".json").write_bytes(about)
    with pytest.raises(DataError, match=words) as told:
        TOKEN_FORMATS[kind]().read(path, expected(made), 2)
    assert "encode the data again" in str(told.value)


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [("bin", ".json"), ("megatron", ".idx"), ("datatrove", ".ds.index"), ("datatrove", ".ds.metadata")],
)
def test_an_index_that_is_missing_or_of_other_sequences(tmp_path: Path, kind: str, suffix: str) -> None:
    made = shard()
    path = written(tmp_path, kind, made)
    index = tmp_path / f"indices-00000{suffix}"
    data = index.read_bytes()
    for wrong in (data[:-1], data + b"x", bytes([data[0] ^ 1]) + data[1:]):
        index.write_bytes(wrong)
        with pytest.raises(DataError, match="index of these 2 sequences"):
            TOKEN_FORMATS[kind]().read(path, expected(made), 2)
    index.unlink()
    with pytest.raises(DataError, match=f"No such file.*{suffix}"):
        TOKEN_FORMATS[kind]().read(path, expected(made), 2)


@pytest.mark.parametrize("kind", SEQUENCES)
def test_truncated_shards_are_seen_at_every_length(tmp_path: Path, kind: str) -> None:
    made = shard(Layout())
    path = written(tmp_path, kind, made)
    data = path.read_bytes()
    for keep in {0, 1, len(data) // 2, len(data) - 1}:
        path.write_bytes(data[:keep])
        with pytest.raises(DataError, match=f"{path.name}.*encode the data again"):
            TOKEN_FORMATS[kind]().read(path, expected(made), 2)


@pytest.mark.parametrize("kind", TOKEN_FORMATS)
def test_names_of_any_letters_come_back(kind: str, tmp_path: Path) -> None:
    source = vqkit.load_source(np.zeros((5, 8, 8), np.uint8))
    source._item_names = [f't={number},level=200,"q, [{{x' for number in range(5)]  # as coordinates of NetCDF are
    model = vqkit.VQVAE.for_source(source, 16, hidden_channels=8)
    tokenize(model, source, tmp_path / "tokens", kind=kind)
    assert load_tokens(tmp_path / "tokens").item_names() == source._item_names
