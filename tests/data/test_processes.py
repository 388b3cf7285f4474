"""Sources handed to other processes, and how much of them may stay in memory."""

from __future__ import annotations

import io
import multiprocessing
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

from vqkit.cli.main import app
from vqkit.data import (
    ArraySource,
    CenterCrops,
    ConcatSource,
    FileSource,
    RaggedSource,
    RandomCrops,
    Source,
    load_source,
)
from vqkit.errors import ConfigError, VqkitError
from vqkit.resources import memory_limited, physical_bytes, resolve_memory_limit


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of pictures, a table and arrays, the same 12 grey pictures in all."""
    monkeypatch.setenv("VQKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (12, 8, 8), dtype=np.uint8)
    rows = []
    for number, picture in enumerate(pixels):
        folder = tmp_path / "folder" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "PNG")
        (folder / f"{number:02d}.png").write_bytes(file.getvalue())
        rows.append(file.getvalue())
    pq.write_table(pa.table({"image": rows, "label": ["x", "y"] * 6}), tmp_path / "t.parquet")
    np.save(tmp_path / "a.npy", pixels)
    np.save(tmp_path / "f.npy", np.asfortranarray(np.stack([pixels] * 3, axis=-1)))
    np.save(tmp_path / "w.npy", pixels.astype(">u2") * 257)
    np.save(tmp_path / "d.npy", pixels / 255)
    return tmp_path


SOURCES: dict[str, Any] = {
    "array": lambda: load_source("a.npy"),
    "array in grey": lambda: load_source("f.npy").with_channels(1),
    "mapped": lambda: load_source("a.npy", memory_limit=0),
    "mapped part": lambda: load_source("f.npy", memory_limit=0).subset([3, 1]).with_channels(1),
    "mapped and scaled": lambda: load_source("w.npy", memory_limit=0),
    "mapped floats in colour": lambda: load_source("d.npy", memory_limit=0).with_channels(3).subset([11, 2]),
    "four channels": lambda: load_source(np.random.default_rng(0).integers(0, 256, (3, 8, 8, 4), dtype=np.uint8)),
    "folder": lambda: load_source("folder"),
    "folder on demand": lambda: load_source("folder", memory_limit=0).with_channels(3).subset([5, 4]),
    "table": lambda: load_source("t.parquet"),
    "table on demand": lambda: load_source("t.parquet", memory_limit=0).subset([7, 3]),
    "ragged": lambda: RaggedSource(np.arange(32, dtype=np.uint8), [0, 16], [[4, 4], [2, 8]], channels=1),
    "crops": lambda: RandomCrops(load_source("folder", memory_limit=0), 4, 9),
    "middles": lambda: CenterCrops(load_source("a.npy", memory_limit=0), 4),
    "joined": lambda: ConcatSource([load_source("a.npy", memory_limit=0), load_source("folder")]),
    "renumbered": lambda: load_source("folder", memory_limit=0).with_classes(["b"]),
}  # fmt: skip


def copied(source: Source) -> Source:
    found: Source = pickle.loads(pickle.dumps(source))  # noqa: S301  (what was pickled here)
    return found


@pytest.mark.parametrize("name", SOURCES)
def test_sources_pickle(data: Path, name: str) -> None:
    source: Source = SOURCES[name]()
    for _ in range(2):
        again = copied(source)
        assert type(again) is type(source)
        assert again.describe() == source.describe()
        assert again.class_names == source.class_names
        assert (again.labels is None) == (source.labels is None)
        assert [again.item_name(index) for index in range(len(again))] == [
            source.item_name(index) for index in range(len(source))
        ]
        for index in range(len(source)):
            np.testing.assert_array_equal(again.read(index), source.read(index))
        source = again
    assert source.subset([0]).with_channels(3).gather([0]).shape[1] == 3


@pytest.mark.parametrize("name", ["mapped", "table on demand", "folder on demand"])
def test_what_lies_on_the_disk_is_not_copied_to_another_process(data: Path, name: str) -> None:
    np.save(data / "a.npy", np.zeros((5000, 8, 8), np.uint8))
    assert len(pickle.dumps(SOURCES[name]())) < 3000


def test_a_spawned_worker_reads_the_same(data: Path) -> None:
    source = load_source("t.parquet", memory_limit=0)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        (found,) = pool.map(source.read, [3])
    np.testing.assert_array_equal(found, source.read(3))


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0), ("123", 123), ("2GB", 2 * 10**9), ("1.5 GiB", 3 << 29), ("500mb", 500 * 10**6), ("4k", 4000),
        ("1TB", 10**12), (" 7 bytes ", 7), ("3B", 3),
    ],
)  # fmt: skip
def test_sizes_as_people_write_them(text: str, size: int) -> None:
    assert resolve_memory_limit(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1", "2 apples", "1e9", "1..5GB", "nan", "2GBs"])
def test_texts_that_are_no_size_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="such as 2GB"):
        resolve_memory_limit(text)


def test_the_limit_of_a_block_holds_where_no_other_is_given(data: Path) -> None:
    with memory_limited("0"):
        assert isinstance(load_source("folder"), FileSource)
        assert isinstance(load_source("folder", memory_limit="1GB"), ArraySource)
        with memory_limited(None):
            assert resolve_memory_limit(None) == 0
    assert resolve_memory_limit(None) == physical_bytes() // 4
    assert isinstance(load_source("folder"), ArraySource)


def vq(*words: Any) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return str(result.output)


def test_commands_keep_to_the_limit(data: Path) -> None:
    tiny = ["-k", "16", "--hidden-channels", "8", "--code-dim", "8", "--batch-size", "4", "--threads", "1"]
    tiny += ["--no-tensorboard", "--device", "cpu"]
    assert "on demand" in vq("info", "folder", "--memory-limit", "0")
    assert "in memory" in vq("info", "folder")
    assert "on demand" in vq("train", "folder", *tiny, "--steps", 1, "--out", "r", "--memory-limit", "100")
    assert "on demand" in vq("eval", "r", "--threads", 1, "--memory-limit", "0")
    assert "on demand" in vq("encode", "r", "folder", "--out", "tokens", "--threads", 1, "--memory-limit", "0.1kB")
    with pytest.raises(VqkitError, match="such as 2GB"):
        vq("info", "folder", "--memory-limit", "much")


def test_every_command_that_reads_data_has_the_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    plain = "train eval reconstruct encode prior lossless sample edit compress compare info"
    for command in [*plain.split(), "study codebooks", "study rate-distortion"]:
        words = vq(*command.split(), "--help")
        assert "--memory-limit" in words, command
        assert "--kind" in words, command
