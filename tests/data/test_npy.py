"""NumPy arrays and files: every dtype by its meaning, and headers that lie refused before anything is made of them."""

from __future__ import annotations

import io
import struct
import tempfile
import time
import tracemalloc
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqkit.cli.loading import read_array
from vqkit.data import load_source
from vqkit.data.arrays.loading import CLIPPED
from vqkit.errors import DataError, VqkitError

BYTES = np.arange(3 * 8 * 9, dtype=np.uint8).reshape(3, 8, 9)


def header(text: str, version: int = 1, body: bytes = b"") -> bytes:
    encoded = text.encode("latin-1")
    length = struct.pack("<H" if version == 1 else "<I", len(encoded))
    return b"\x93NUMPY" + bytes([version, 0]) + length + encoded + body


def described(descr: Any = "|u1", shape: Any = (2, 8, 8), order: Any = False, body: bytes = bytes(128)) -> bytes:
    return header(repr({"descr": descr, "fortran_order": order, "shape": shape}) + "\n", body=body)


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("suffix", ["npy", "npz", "mapped"])
@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (BYTES, BYTES),
        ((BYTES.astype(np.uint16) * 257), BYTES),
        (BYTES.astype(np.int64), BYTES),
        (BYTES.astype(np.int16), BYTES),
        (BYTES.astype(np.uint32), BYTES),
        (BYTES > 99, (BYTES > 99) * np.uint8(255)),
        (BYTES / 255, (BYTES / 255).astype(np.float32)),
        ((BYTES / 255).astype(np.float32), (BYTES / 255).astype(np.float32)),
        ((BYTES / 256).astype(np.float16), (BYTES / 256).astype(np.float16).astype(np.float32)),
        (np.asfortranarray(BYTES), BYTES),
    ],
)
def test_images_of_every_dtype_and_byte_order(
    tmp_path: Path, array: np.ndarray, expected: np.ndarray, swapped: bool, suffix: str
) -> None:
    if swapped:
        array = array.astype(array.dtype.newbyteorder())
    file = tmp_path / ("a.npz" if suffix == "npz" else "a.npy")
    if suffix == "npz":
        np.savez_compressed(file, array)
    else:
        np.save(file, array)
    source = load_source(file, memory_limit=0 if suffix == "mapped" else None)
    np.testing.assert_array_equal(source.gather(range(3))[:, 0], expected)
    assert source.gather([0]).dtype == expected.dtype
    np.testing.assert_array_equal(load_source(array).gather(range(3))[:, 0], expected)
    vectors = load_source(array.reshape(3, -1)).gather(range(3))
    np.testing.assert_array_equal(vectors, array.reshape(3, -1).astype(np.float32))


@pytest.mark.parametrize("limit", [None, 0])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", "<f2"])
def test_a_hair_beyond_the_range_is_rounding(tmp_path: Path, dtype: str, limit: int | None) -> None:
    array = np.full((4, 8, 8), 0.5, dtype)
    array[0, 0, 0], array[1, 1, 1] = 1.0009, -1e-7
    np.save(tmp_path / "a.npy", array)
    source = load_source(tmp_path / "a.npy", memory_limit=limit)
    found = source.gather(range(4))
    assert (found.min(), found.max(), found.dtype) == (0.0, 1.0, np.float32)
    assert found[2, 0, 0, 0] == 0.5
    assert source.notes[0] == CLIPPED.format(0, 1) == "values a hair beyond [0, 1] (rounding) taken for 0 and 1"
    assert load_source(array.clip(0, 1), kind="image").notes == []
    for beyond in (1.01, -0.01):
        array[0, 0, 0] = beyond
        with pytest.raises(DataError, match=r"lie in \[0, 1\]"):
            load_source(array)
    alpha = np.full((1, 8, 8, 4), np.float32(1.0000001))
    assert load_source(alpha).gather([0]).max() == 1.0


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array(3.0), r"shape \[\]"),
        (np.zeros(4), r"shape \[4\]"),
        (np.zeros((0, 8, 8)), r"shape \[0, 8, 8\]"),
        (np.zeros((4, 8, 8), complex), "complex128"),
        (np.zeros((4, 8, 8), "M8[s]"), "datetime64"),
        (np.array([["a", "b"]]), "<U1"),
        (np.zeros((4, 8), [("r", "u1"), ("g", "u1")]), r"fields r, g: array\[field\]"),
        (np.array([np.zeros(3), None], dtype=object).reshape(1, 2), "object"),
        (np.ma.masked_equal(np.arange(4.0).reshape(2, 2), 3.0), "masked"),
        (np.full((4, 8, 8), 300), "0..255"),
        (np.full((4, 8, 8), -1, np.int8), "-1..-1"),
    ],
)
def test_arrays_that_hold_no_signals(array: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_source(array)


def test_a_mask_that_hides_nothing_is_no_matter() -> None:
    found = load_source(np.ma.masked_equal(np.arange(4.0).reshape(2, 2), 9.0)).gather([0, 1])
    np.testing.assert_array_equal(found, np.arange(4, dtype=np.float32).reshape(2, 2))


@pytest.mark.parametrize(
    ("labels", "expected", "names"),
    [
        (np.array([2, 0, 1]), [2, 0, 1], None),
        (np.array([2, 0, 1], ">i2"), [2, 0, 1], None),
        (np.array([[2], [0], [1]], np.uint8), [2, 0, 1], None),
        (np.array(["dog", "cat", "dog"]), [1, 0, 1], ["cat", "dog"]),
        (np.array([b"dog", b"cat", b"dog"]), [1, 0, 1], ["cat", "dog"]),
        (np.array([True, False, True]), [1, 0, 1], ["false", "true"]),
        (np.array([2.0, np.nan, 1.0]), [2, -1, 1], None),
        (np.array([0, 2**63 + 1, 0], np.uint64), [0, 1, 0], ["0", str(2**63 + 1)]),
        (np.array([0.5, 1.0, 2.0]), None, None),
    ],
)
def test_labels_of_archives(tmp_path: Path, labels: np.ndarray, expected: Any, names: Any) -> None:
    np.savez(tmp_path / "a.npz", images=BYTES, labels=labels)
    source = load_source(tmp_path / "a.npz")
    assert (None if source.labels is None else source.labels.tolist()) == expected
    assert source.class_names == names


def test_labels_that_are_none_are_refused(tmp_path: Path) -> None:
    for labels in (np.zeros((3, 2), int), np.zeros(3, "M8[s]"), np.zeros(4, int)):
        np.savez(tmp_path / "a.npz", images=BYTES, labels=labels)
        with pytest.raises(DataError, match="labels"):
            load_source(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", images=BYTES, labels=np.array([{}, 1, 2], dtype=object))
    with pytest.raises(DataError, match="never unpickled"):
        load_source(tmp_path / "a.npz")


HOSTILE = {
    "negative": described(shape=(-1, 1, 64, 64)),
    "absurd": described(shape=(10**12, 64, 64)),
    "overflow": described("<f8", shape=(2**62, 2**62, 8)),
    "beyond 64 bits": described(shape=(2**64 + 1, 8, 8)),
    "empty and absurd": described(shape=(0, 10**18, 10**18)),
    "many axes": described(shape=(1,) * 60),
    "bool axis": described(shape=(True, 8, 8)),
    "float axis": described(shape=(2.0, 8, 8)),
    "list shape": described(shape=[2, 8, 8]),
    "no tuple": described(shape=128),
    "order": described(order=1),
    "object": described("|O", body=b"cos\nsystem\n"),
    "object within": described([("a", "|O")]),
    "records": described([("a", "|u1"), ("b", "|u1")]),
    "subarray": described("(64,)u1", shape=(2,)),
    "huge item": described("|V2000000000", shape=(4, 8, 8)),
    "no type": described("banana"),
    "type of numbers": described(17),
    "type nested": described([("a", [("b", [("c", "|u1")])])]),
    "truncated": described(body=bytes(100)),
    "half a header": described()[:40],
    "header that states 4 GB": b"\x93NUMPY\x02\x00\xff\xff\xff\xff{",
    "deep": header("(" * 60_000),
    "deep and closed": header("[" * 30_000 + "]" * 30_000),
    "deep unary": header("-" * 60_000 + "1"),
    "code": header("{'descr': '|u1', 'fortran_order': False, 'shape': __import__('os').getcwd()}"),
    "keys": header("{'descr': '|u1', 'shape': (2, 8, 8)}"),
    "set": header("{1, 2}"),
    "version": b"\x93NUMPY\x09\x00" + bytes(60),
    "nothing": b"",
    "zeros": bytes(1000),
    "text": b"hello" * 100,
    "pickle": b"\x80\x04\x95" + bytes(50),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("form", ["npy", "array", "npz"])
def test_headers_that_lie_are_refused_at_once_and_nothing_is_made(tmp_path: Path, name: str, form: str) -> None:
    file = tmp_path / ("x.npz" if form == "npz" else "x.npy")
    if form == "npz":
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("images.npy", HOSTILE[name])
    else:
        file.write_bytes(HOSTILE[name])
    tracemalloc.start()
    begun = time.perf_counter()
    try:
        with pytest.raises(VqkitError) as caught:
            read_array(file) if form == "array" else load_source(file)
        assert tracemalloc.get_traced_memory()[1] < 50 << 20
    finally:
        tracemalloc.stop()
    assert time.perf_counter() - begun < 1
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def patched(archive: bytes, *, size: int | None = None, method: int | None = None) -> bytes:
    """A .npz whose directory states another size or method for its one member."""
    at = archive.index(b"PK\x01\x02")
    found = bytearray(archive)
    if size is not None:
        found[at + 24 : at + 28] = struct.pack("<I", size)
    if method is not None:
        found[at + 10 : at + 12] = struct.pack("<H", method)
    return bytes(found)


def test_archives_that_lie_are_refused_at_once(tmp_path: Path) -> None:
    sink = io.BytesIO()
    np.savez_compressed(sink, images=BYTES)
    good = sink.getvalue()
    bad = {
        "bomb": patched(good, size=3_000_000_000),
        "short": patched(good, size=50),
        "method": patched(good, method=14),
        "unknown method": patched(good, method=77),
        "cut": good[: len(good) // 2],
        "flipped": good.replace(good[120:130], bytes(10)),
        "no zip": b"PK\x03\x04" + bytes(99),
        "nothing": b"",
    }
    for name, content in bad.items():
        file = tmp_path / f"{name}.npz"
        file.write_bytes(content)
        tracemalloc.start()
        with pytest.raises(DataError, match=r"cannot be read as an \.npz archive"):
            load_source(file, memory_limit=8 << 30)
        assert tracemalloc.get_traced_memory()[1] < 50 << 20, name
        tracemalloc.stop()
    with zipfile.ZipFile(tmp_path / "none.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(DataError, match="holds 0 arrays"):
        load_source(tmp_path / "none.npz")


def test_large_arrays_of_one_value_are_no_bomb(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", images=np.zeros((200, 64, 64), np.uint8))
    assert len(load_source(tmp_path / "a.npz")) == 200
    with pytest.raises(DataError, match="memory_limit"):
        load_source(tmp_path / "a.npz", memory_limit=1000)


@given(st.binary(max_size=60), st.integers(0, 79))
@settings(max_examples=150, deadline=2000)
def test_any_damage_to_a_header_is_a_data_error_or_an_array(noise: bytes, at: int) -> None:
    content = bytearray(described(body=bytes(range(128))))
    content[at : at + len(noise)] = noise
    with tempfile.TemporaryDirectory() as folder, suppress(DataError):
        (Path(folder) / "a.npy").write_bytes(bytes(content))
        load_source(Path(folder) / "a.npy")
