"""A folder or a table is the same set of items whether it fits in memory or not; what is left out is said."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from rich.console import Console

import vqkit
from vqkit.data.images import verdict_cache
from vqkit.data.images.folder import find_images
from vqkit.data.load import load_source
from vqkit.errors import DataError
from vqkit.evaluation import evaluate
from vqkit.models import VQVAE

TINY: dict[str, Any] = {"hidden_channels": 8, "code_dim": 8, "residual_channels": 4}


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("VQKIT_CACHE", str(folder))
    monkeypatch.setattr(verdict_cache, "_PAYS_SECONDS", -1.0)
    monkeypatch.setattr(verdict_cache, "_TICK_NS", 0)
    return folder


def jpeg(seed: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(file, "JPEG")
    return file.getvalue()


def folder_with_damage(folder: Path, count: int = 12) -> None:
    for number in range(count):
        data = jpeg(number)
        if number == 3:
            data = data[: len(data) // 2]
        if number == 7:
            data = data[: len(data) // 2] + b"\xff\xd9"  # ends early behind a proper header
        (folder / f"{number:02d}.jpg").write_bytes(data)
    Image.fromarray(np.full((16, 16), 4000, np.uint16)).save(folder / "deep.png")


def same(one: Any, other: Any) -> None:
    assert len(one) == len(other)
    assert (one.channels, one.size, one.notes) == (other.channels, other.size, other.notes)
    assert one.skipped == other.skipped
    assert one.original_bytes() == other.original_bytes()
    for number in range(len(one)):
        assert np.array_equal(one.read(number), other.read(number))


def test_a_folder_is_the_same_set_whatever_the_memory(tmp_path: Path) -> None:
    folder_with_damage(tmp_path)
    kept, first, again = (
        load_source(tmp_path),
        load_source(tmp_path, memory_limit=0),
        load_source(tmp_path, memory_limit=0),
    )
    assert [each.name for each in kept.skipped] == ["03.jpg", "07.jpg"]
    assert "1 file: 16 bits scaled to 8" in kept.notes
    same(kept, first)
    same(kept, again)


def test_a_table_too(tmp_path: Path) -> None:
    folder_with_damage(tmp_path)
    rows = [{"bytes": each.read_bytes(), "path": None} for each in sorted(tmp_path.iterdir())]
    pq.write_table(pa.table({"image": [*rows, {"bytes": b"no image", "path": None}]}), tmp_path / "x.parquet")
    for _ in range(2):
        same(load_source(tmp_path / "x.parquet"), load_source(tmp_path / "x.parquet", memory_limit=0))
    assert len(load_source(tmp_path / "x.parquet")) == 11


def test_files_are_decoded_once_and_again_when_they_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    folder_with_damage(tmp_path)
    judged: list[str] = []
    judge = verdict_cache.judge
    monkeypatch.setattr(verdict_cache, "judge", lambda item: judged.append(item.name) or judge(item))

    def opened() -> tuple[int, list[str]]:
        judged.clear()
        return len(load_source(tmp_path, memory_limit=0)), sorted(judged)

    assert opened() == (11, [f"{number:02d}.jpg" for number in range(12)] + ["deep.png"])
    assert opened() == (11, [])
    (tmp_path / "03.jpg").write_bytes(jpeg(3))
    (tmp_path / "new.jpg").write_bytes(jpeg(4)[:200])
    assert opened() == (12, ["03.jpg", "new.jpg"])
    for file in (cache / "checked").iterdir():
        file.write_bytes(file.read_bytes()[:99])  # a damaged cache is none
    assert len(opened()[1]) == 14
    monkeypatch.setattr(verdict_cache, "_TICK_NS", 10**12)  # changed just now: nothing is believed
    shutil.rmtree(cache)
    assert len(opened()[1]) == 14
    assert len(opened()[1]) == 14
    shutil.rmtree(cache)
    cache.write_text("no folder can be made here")
    assert opened()[0] == 12


def test_a_file_that_is_damaged_later_is_named_and_nothing_stands_in_for_it(tmp_path: Path) -> None:
    folder_with_damage(tmp_path)
    source = load_source(tmp_path, memory_limit=0)
    (tmp_path / "04.jpg").write_bytes(b"no image")
    (tmp_path / "05.jpg").unlink()
    (tmp_path / "06.jpg").write_bytes(jpeg(6)[:-300])
    Image.new("RGB", (20, 20)).save(tmp_path / "08.jpg")
    for number, name in ((3, "04.jpg"), (4, "05.jpg"), (5, "06.jpg"), (6, "08.jpg")):
        with pytest.raises(DataError, match=rf"{name} was readable when the data was opened and is not any more"):
            source.read(number)
    assert source.read(2).shape == (3, 16, 16)


def test_training_says_and_logs_what_was_skipped(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    folder_with_damage(data)
    for limit in (None, 0):
        told = io.StringIO()
        source = load_source(data, memory_limit=limit)
        model = VQVAE.for_source(source, codebook_size=8, **TINY)
        run = vqkit.train(
            model, source, out=tmp_path / f"run-{limit}", steps=2, batch_size=4, evaluations=0, tensorboard=False,
            console=Console(file=told),
        )  # fmt: skip
        assert "skipped 03.jpg: damaged" in told.getvalue()
        assert "note: 1 file: 16 bits scaled to 8" in told.getvalue()
        (entry,) = [line for line in run.log() if line["kind"] == "data"]
        assert entry["skipped_items"] == 2
        assert entry["skipped"][1].startswith("07.jpg: damaged")


def test_sub_folders_that_cannot_be_listed_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cat", "dog", "emu"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").write_bytes(jpeg(1))
    scandir = os.scandir

    def guarded(path: Any) -> Any:
        if Path(path).name in closed:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    closed = {"dog"}
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", guarded)
        for limit in (None, 0):
            source = load_source(tmp_path, memory_limit=limit)
            assert source.class_names == ["cat", "emu"]
            skipped = "dog/: this folder cannot be listed (Permission denied): all in it is left out"
            assert source.skip_report() == [skipped]
        closed |= {"cat", "emu"}
        with pytest.raises(DataError, match=r"3 folders cannot be listed: .*cat/: this folder"):
            find_images(tmp_path)


def test_links_and_pipes_named_like_images_are_left_out(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg(number))
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "broken.png").symlink_to("nowhere.png")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "pipe.png").symlink_to("pipe")
    for limit in (None, 0):
        source = load_source(tmp_path, memory_limit=limit)
        assert len(source) == 4
        assert [each.name for each in source.skipped] == ["broken.png", "loop.png", "pipe.png"]
        assert source.skipped[2].reason == "not a regular file"


def test_the_size_of_the_original_counts_its_own_bits_and_psnr_says_its_peak(tmp_path: Path) -> None:
    for name, array, bits in (
        ("deep", np.full((4, 16, 16), 4000, np.uint16), 16),
        ("four", np.full((4, 16, 16, 4), 90, np.uint8), 32),
        ("plain", np.full((4, 16, 16, 3), 90, np.uint8), 24),
        ("grey", np.full((4, 16, 16), 90, np.uint8), 8),
        ("float", np.full((4, 16, 16), 0.5, np.float64), 64),
    ):
        sources = []
        if name != "float":
            (tmp_path / name).mkdir()
            for number, each in enumerate(array):
                Image.fromarray(each).save(tmp_path / name / f"{number}.png")
            sources += [load_source(tmp_path / name), load_source(tmp_path / name, memory_limit=0)]
        np.save(tmp_path / f"{name}.npy", array)
        for source in [*sources, load_source(tmp_path / f"{name}.npy")]:
            assert source.original_bytes() == 4 * 16 * 16 * bits // 8
            assert source.subset([1, 3]).original_bytes() == 2 * 16 * 16 * bits // 8
    torch.manual_seed(0)
    source = load_source(tmp_path / "deep")
    model = VQVAE.for_source(source, codebook_size=8, **TINY)
    batches = [([0, 1, 2, 3], torch.from_numpy(source.gather(range(4))))]
    result = evaluate(model, batches, original_bytes=source.original_bytes())
    assert (result.psnr_peak, result.rate.original_bytes) == (255.0, 2048)
    assert evaluate(model, batches).rate.original_bytes == 1024


@pytest.mark.parametrize("name", ["a.jsonl", "a.zip", "a.tar", "a.csv", "a.arrow", "dataset_dict.json"])
@pytest.mark.parametrize("content", [b"", b"[]", b"PK\3\4 broken \xff"])
def test_broken_tables_and_archives_never_crash(name: str, content: bytes, tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError):
        load_source(tmp_path)
    if name != "dataset_dict.json":
        (tmp_path / "1.jpg").write_bytes(jpeg(1))
        assert len(load_source(tmp_path)) == 1
