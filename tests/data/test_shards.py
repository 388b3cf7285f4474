"""Images in shards: the items of a folder, fetched within a limit, drawn a few shards at a time, resumed exactly."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from vqkit import load_source
from vqkit.data import Batches
from vqkit.data.rng import EPOCH, permutation_of_blocks
from vqkit.errors import DataError
from vqkit.storage.remote import RemoteFolder

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 8, 8), dtype=np.uint8)


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def tars(folder: Path, shards: int = 6, classes: tuple[bytes, bytes] = (b"cat", b"dog")) -> None:
    """So many tar files of four images, with their classes in turn; one image is damaged."""
    folder.mkdir(exist_ok=True)
    for shard in range(shards):
        with tarfile.open(folder / f"train-{shard:03d}.tar", "w") as tar:
            for place in range(4):
                number = 4 * shard + place
                image = b"no image" if number == 5 else png(PIXELS[number])
                for suffix, data in (("cls", classes[number % 2]), ("png", image), ("json", b"{}")):
                    member = tarfile.TarInfo(f"{number:06d}.{suffix}")
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))


def test_numbers_of_classes_and_what_no_number_can_be(tmp_path: Path) -> None:
    tars(tmp_path / "small", 1, (b"7", b"9223372036854775807"))
    small = load_source(tmp_path / "small")
    assert small.class_names is None
    assert small.labels is not None
    assert small.labels.tolist() == [7, 2**63 - 1] * 2
    tars(tmp_path / "large", 1, (b"7", b"12345678901234567890"))
    large = load_source(tmp_path / "large")
    assert large.class_names == ["12345678901234567890", "7"]
    assert large.labels is not None
    assert large.labels.tolist() == [1, 0] * 2


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("VQKIT_CACHE", str(tmp_path / "cache"))
    tars(tmp_path / "here")
    found = f"memory://{tmp_path.name}/far"
    for file in (tmp_path / "here").iterdir():
        RemoteFolder(found).put(file, file.name)
    return found


KEPT = [number for number in range(24) if number != 5]


def test_tar_files_here_and_far(url: str, tmp_path: Path) -> None:
    here = tmp_path / "here"
    for name in (here, f"{here}/train-*.tar", url, f"{url}/train-{{000..005}}.tar"):
        source = load_source(name)
        assert len(source) == 23
        np.testing.assert_array_equal(source[:][:, 0], PIXELS[KEPT])
        assert source.class_names == ["cat", "dog"]
        assert source.labels is not None
        assert source.labels.tolist() == [number % 2 for number in KEPT]
        assert [each.name for each in source.skipped] == ["train-001.tar/000005.png"]
        assert source.item_name(0) == "train-000.tar/000000.png"
    one = load_source(here / "train-002.tar")
    np.testing.assert_array_equal(one[:][:, 0], PIXELS[8:12])


def test_fetched_shards_stay_within_the_limit(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VQKIT_SHARD_CACHE", "25kB")  # two of 10,240 bytes
    source = load_source(url)
    for index in (0, 22, 11, 0):
        np.testing.assert_array_equal(source.read(index)[0], PIXELS[KEPT[index]])
        assert len(list((tmp_path / "cache" / "remote").rglob("*.tar"))) <= 2
    fetched: list[str] = []
    own = RemoteFolder.fetch

    def noted(self: RemoteFolder, name: str, file: Path) -> None:
        fetched.append(name)
        own(self, name, file)

    monkeypatch.setattr(RemoteFolder, "fetch", noted)
    with Batches(source, 4, workers=1) as batches:
        for step in range(6):
            batches.batch(step)
    assert len(set(fetched)) >= 4


def test_large_parquet_is_read_in_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VQKIT_CACHE", str(tmp_path / "cache"))
    url = f"memory://{tmp_path.name}/tables"
    for shard in range(3):
        rows = range(8 * shard, 8 * shard + 8)
        table = pa.table({"image": [png(PIXELS[n]) for n in rows], "label": [n % 3 for n in rows]})
        pq.write_table(table, tmp_path / "t.parquet")
        RemoteFolder(url).put(tmp_path / "t.parquet", f"t-{shard}.parquet")
    small, large = load_source(url), load_source(url, memory_limit=1000)
    assert (small.blocks, type(large).__name__) == (None, "ShardedSource")
    assert large.blocks is not None
    assert large.blocks.tolist() == [0] * 8 + [1] * 8 + [2] * 8
    np.testing.assert_array_equal(small[:], large[:])
    assert (small.labels == large.labels).all()


def test_the_order_goes_from_a_few_shards_to_the_next_and_depends_on_nothing_else(url: str) -> None:
    blocks = np.repeat(np.arange(10), 5)
    order = permutation_of_blocks(blocks, together=2, seed=0, number=3, purpose=EPOCH)
    assert sorted(order) == list(range(50))
    assert all(len(set(blocks[order[start : start + 10]])) == 2 for start in range(0, 50, 10))
    assert (order != permutation_of_blocks(blocks, together=2, seed=0, number=4, purpose=EPOCH)).any()
    with Batches(load_source(url), 4, seed=1) as first, Batches(load_source(url), 4, seed=1) as again:
        for step in range(4):
            first.batch(step)
        np.testing.assert_array_equal(first.batch(4), again.batch(4))  # resumed there


def test_what_is_no_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VQKIT_CACHE", str(tmp_path / "cache"))
    tars(tmp_path / "here", 1)
    file = tmp_path / "here" / "train-000.tar"
    file.write_bytes(file.read_bytes()[:700])
    with pytest.raises(DataError, match=r"train-000\.tar: .*cut short"):
        load_source(file)
