"""Parquet and Hugging Face data sets: columns, bad rows, and the memory-mapped copy in the cache."""

from __future__ import annotations

import io
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from vqkit.data import ArraySource, ArrowSource, load_source
from vqkit.errors import DataError

DATA = Path(os.environ.get("VQKIT_TEST_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VQKIT_CACHE", str(tmp_path / "cache"))


def png(seed: int, shape: tuple[int, ...] = (8, 9, 3)) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(pixels(seed, shape)).save(sink, "PNG")
    return sink.getvalue()


def pixels(seed: int, shape: tuple[int, ...] = (8, 9, 3)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def write(path: Path, images: list[Any], column: str = "img", **others: Any) -> Path:
    """Write images (bytes, None or a whole struct) in the Hugging Face convention."""
    structs = [each if isinstance(each, dict) or each is None else {"bytes": each, "path": None} for each in images]
    table = pa.table({column: pa.array(structs, STRUCT), **others})
    features = {"label": {"names": ["cat", "dog", "eel"], "_type": "ClassLabel"}}
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=3)
    return path


@pytest.mark.parametrize("limit", [None, 0])
def test_the_hugging_face_convention_with_a_bad_row(tmp_path: Path, limit: int | None) -> None:
    images = [png(0), png(1), {"bytes": b"no image", "path": "dir/bad.png"}, None, png(4), png(5)]
    file = write(tmp_path / "x.parquet", images, label=[0, 1, 2, 2, 1, 0])
    source = load_source(file, memory_limit=limit)
    assert isinstance(source, ArraySource if limit is None else ArrowSource)
    assert source.labels is not None
    assert source.labels.tolist() == [0, 1, 1, 0]
    assert source.class_names == ["cat", "dog", "eel"]
    expected = np.stack([pixels(seed).transpose(2, 0, 1) for seed in (0, 1, 4, 5)])
    np.testing.assert_array_equal(source.gather(range(4)), expected)
    part = source.subset([2, 3])
    np.testing.assert_array_equal(part.read(1), expected[3])
    assert part.labels is not None
    assert part.labels.tolist() == [1, 0]
    assert source.skip_report() == [
        "x.parquet row 2 (bad.png): not an image in any format that Pillow reads",
        "x.parquet row 3: no image here (null)",
    ]
    assert load_source(file, memory_limit=limit, channels=1).gather([0]).shape == (1, 1, 8, 9)


def test_sizes_and_colours_may_differ_in_the_copy(tmp_path: Path) -> None:
    shapes = [(8, 9), (12, 7, 3), (8, 9, 3)]
    file = write(tmp_path / "x.parquet", [png(seed, shape) for seed, shape in enumerate(shapes)])
    lazy, loaded = load_source(file, memory_limit=0), load_source(file)
    assert lazy.size is loaded.size is None
    assert lazy.channels == loaded.channels == 3
    assert lazy.labels is loaded.labels is None
    for index in range(3):
        np.testing.assert_array_equal(lazy.read(index), loaded.read(index))
        assert lazy.item_size(index) == loaded.item_size(index) == shapes[index][:2]


def test_the_copy_is_made_once_and_again_when_the_file_changes(tmp_path: Path) -> None:
    file = write(tmp_path / "x.parquet", [png(0), png(1)])
    load_source(file, memory_limit=0)
    folder = tmp_path / "cache" / "tables"
    (copy,) = folder.iterdir()
    made = copy.stat().st_mtime_ns
    load_source(file, memory_limit=0)
    assert copy.stat().st_mtime_ns == made
    copy.write_bytes(copy.read_bytes()[:100])  # a damaged copy is made again
    assert load_source(file, memory_limit=0).gather([0, 1]).shape == (2, 3, 8, 9)
    write(file, [png(2), png(3), png(4)])
    assert len(load_source(file, memory_limit=0)) == 3
    assert len(list(folder.iterdir())) == 2
    assert all(each.suffix == ".arrow" for each in folder.iterdir())


@pytest.mark.parametrize("limit", [None, 0])
def test_rows_are_counted_through_many_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int | None
) -> None:
    monkeypatch.setattr("vqkit.data.tables.parquet.BATCH_ROWS", 2)
    monkeypatch.setattr("vqkit.data.tables.cache.BATCH_ROWS", 3)
    images = [png(seed) for seed in range(10)]
    images[7] = b"bad"
    source = load_source(write(tmp_path / "x.parquet", images), memory_limit=limit)
    assert len(source) == 9
    assert source.skipped[0].name == "x.parquet row 7"
    for index, seed in enumerate([0, 1, 2, 3, 4, 5, 6, 8, 9]):
        np.testing.assert_array_equal(source.read(index), pixels(seed).transpose(2, 0, 1))


def test_a_copy_that_fails_half_way_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(DataError, match="No space left on device; free some space"):
        load_source(write(tmp_path / "x.parquet", [png(0)]), memory_limit=0)
    assert list((tmp_path / "cache" / "tables").iterdir()) == []


def test_a_cache_that_cannot_be_written_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("VQKIT_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="set VQKIT_CACHE to another folder, or raise memory_limit"):
        load_source(write(tmp_path / "x.parquet", [png(0)]), memory_limit=0)


def test_plain_binary_and_preferred_columns(tmp_path: Path) -> None:
    table = pa.table({"thumb": [png(0), png(1)], "image": [png(2), png(3)], "labels": [5, 6]})
    pq.write_table(table, tmp_path / "x.parquet")
    source = load_source(tmp_path / "x.parquet")
    np.testing.assert_array_equal(source.read(0), pixels(2).transpose(2, 0, 1))
    assert source.notes == ["image column 'image' was read, of thumb, image"]
    assert source.labels is not None
    assert source.labels.tolist() == [5, 6]
    pq.write_table(table.select(["thumb"]), tmp_path / "y.parquet")
    assert load_source(tmp_path / "y.parquet").labels is None


def test_folders_and_patterns_of_parquet(tmp_path: Path) -> None:
    for number, name in enumerate(["train-0", "train-1", "test-0"]):
        write(tmp_path / "set" / f"{name}.parquet", [png(number)], label=[number])
    (tmp_path / "set" / "SOURCE.txt").write_text("where it is from")
    whole = load_source(tmp_path / "set")
    assert len(whole) == 3
    assert whole.notes == ["files of the splits test and train were read together; for one of them use test*.parquet"]
    train = load_source(f"{tmp_path}/set/train-*.parquet")
    assert train.labels is not None
    assert train.labels.tolist() == [0, 1]
    assert train.notes == []
    with pytest.raises(DataError, match=r"names no \.parquet files"):
        load_source(f"{tmp_path}/set/valid-*.parquet")
    pq.write_table(pa.table({"other": [b""]}), tmp_path / "set" / "zzz.parquet")
    with pytest.raises(DataError, match=r"zzz\.parquet has no column 'img'.*other \(binary\)"):
        load_source(tmp_path / "set")


@pytest.mark.parametrize("limit", [None, 0])
def test_nothing_to_decode_lists_the_columns(tmp_path: Path, limit: int | None) -> None:
    pq.write_table(pa.table({"text": ["a"], "label": [1]}), tmp_path / "text.parquet")
    with pytest.raises(
        DataError, match=r"no image or sound column; it holds the columns text \(string\), label \(int64\)"
    ):
        load_source(tmp_path / "text.parquet", memory_limit=limit)
    pq.write_table(pa.table({"blob": [b"abc", b"def"]}), tmp_path / "blob.parquet")
    with pytest.raises(DataError, match=r"nothing in column 'blob' can be decoded.*not an image.*blob \(binary\)"):
        load_source(tmp_path / "blob.parquet", memory_limit=limit)
    write(tmp_path / "half.parquet", [png(0), b"x", b"y"])
    with pytest.raises(DataError, match="only 1 of 3 rows"):
        load_source(tmp_path / "half.parquet", memory_limit=limit)
    write(tmp_path / "none.parquet", [])
    with pytest.raises(DataError, match="no rows"):
        load_source(tmp_path / "none.parquet", memory_limit=limit)
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1 damaged PAR1")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        load_source(tmp_path / "damaged.parquet", memory_limit=limit)


# --- Hugging Face data sets, from local folders only


def dataset() -> Any:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})
    rows = {"image": [{"bytes": png(seed), "path": None} for seed in range(4)], "label": [0, 1, 0, 1]}
    return datasets.Dataset.from_dict(rows, features=features)


@pytest.mark.parametrize("limit", [None, 0])
def test_a_folder_saved_with_save_to_disk(tmp_path: Path, limit: int | None) -> None:
    dataset().save_to_disk(tmp_path / "saved")
    source = load_source(tmp_path / "saved", memory_limit=limit)
    np.testing.assert_array_equal(source.read(2), pixels(2).transpose(2, 0, 1))
    assert source.class_names == ["cat", "dog"]
    assert source.labels is not None
    assert source.labels.tolist() == [0, 1, 0, 1]


def test_splits_of_a_saved_folder(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    parts = {"test": dataset().select([3]), "train": dataset().select([2, 0])}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "saved")
    train = load_source(tmp_path / "saved")
    np.testing.assert_array_equal(train.read(0), pixels(2).transpose(2, 0, 1))
    assert train.notes == ["split 'train' was read, of test, train"]
    assert len(load_source(f"{tmp_path}/saved@test")) == 1
    with pytest.raises(DataError, match=r"no split 'valid'; it has: test, train"):
        load_source(f"{tmp_path}/saved@valid")


def test_a_local_folder_that_load_dataset_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    dataset().to_parquet(tmp_path / "repo" / "data" / "train-00000-of-00001.parquet")
    source = load_source(tmp_path / "repo")
    np.testing.assert_array_equal(source.read(3), pixels(3).transpose(2, 0, 1))
    assert source.class_names == ["cat", "dog"]


def test_a_hub_name_loads_and_its_failures_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")

    def load(name: str, split: str | None = None) -> Any:
        assert name == "owner/birds"
        parts = {"test": dataset().select([1]), "train": dataset()}
        return parts[split] if split else parts

    monkeypatch.setattr(datasets, "load_dataset", load)
    assert len(load_source("hub:owner/birds")) == 4
    assert len(load_source("hub:owner/birds@test")) == 1

    def fail(name: str) -> None:
        raise datasets.exceptions.DatasetNotFoundError(f"Dataset '{name}' doesn't exist on the Hub.\nMore text.")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(DataError, match="DatasetNotFoundError: Dataset 'owner/birds' doesn't exist on the Hub"):
        load_source("hub:owner/birds")


@pytest.mark.slow
def test_cifar10_loads(capsys: pytest.CaptureFixture[str]) -> None:
    if not (DATA / "cifar10").is_dir():
        pytest.skip(f"no CIFAR-10 in {DATA} (set VQKIT_TEST_DATA)")
    began = time.perf_counter()
    source = load_source(DATA / "cifar10")
    seconds = time.perf_counter() - began
    assert (len(source), source.channels, source.size) == (50_000, 3, (32, 32))
    assert source.labels is not None
    assert np.bincount(source.labels).tolist() == [5000] * 10
    assert source.skipped == []
    with capsys.disabled():
        print(f"\nCIFAR-10: {source.describe()}, loaded in {seconds:.1f} s")  # noqa: T201
