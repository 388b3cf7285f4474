"""Batches depend on (seed, step) alone: laws that training, resuming and many processes rely on."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vqkit.data import (
    ArraySource,
    Batches,
    RaggedSource,
    Source,
    default_crop,
    evaluation_batches,
    load_source,
)
from vqkit.errors import ConfigError
from vqkit.signals import signal_kind


def numbered(count: int) -> ArraySource:
    """Vectors [number]."""
    return ArraySource(np.arange(count, dtype=np.float32)[:, None])


def coordinates(count: int = 5, height: int = 12, width: int = 20) -> ArraySource:
    """Images whose pixels say where they are: channels (item, row, column)."""
    array = np.stack(np.broadcast_arrays(*np.ogrid[:count, :height, :width]), axis=1)
    return ArraySource(array.astype(np.uint8))


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 30),
    share=st.integers(1, 9),
    world=st.integers(1, 4),
    seed=st.integers(0, 2**64 - 1),
    step=st.integers(0, 10**6),
)
def test_rank_slices_concatenate_to_the_single_process_batch(
    count: int, share: int, world: int, seed: int, step: int
) -> None:
    source = coordinates(count)
    whole = Batches(source, share * world, crop=7, flip=True, seed=seed).batch(step)
    parts = [
        Batches(source, share * world, crop=7, flip=True, seed=seed, rank=rank, world=world).batch(step)
        for rank in range(world)
    ]
    assert torch.equal(torch.cat(parts), whole)
    assert whole.shape == (share * world, 3, 7, 7)


@settings(max_examples=60, deadline=None)
@given(count=st.integers(1, 40), batch_size=st.integers(1, 50), seed=st.integers(0, 1000))
def test_every_epoch_is_a_permutation(count: int, batch_size: int, seed: int) -> None:
    batches = Batches(numbered(count), batch_size, seed=seed)
    epochs = 4
    steps = -(-count * epochs // batch_size)
    seen = torch.cat([batches.batch(step) for step in range(steps)])[: count * epochs, 0]
    for epoch in seen.view(epochs, count):
        assert sorted(epoch.tolist()) == list(range(count))
    assert batches.epoch(steps) * count == pytest.approx(steps * batch_size)


def test_epochs_and_seeds_differ() -> None:
    epochs = [
        tuple(Batches(numbered(50), 50, seed=seed).batch(step)[:, 0].tolist()) for seed in (0, 1) for step in (0, 1)
    ]
    assert len(set(epochs)) == 4


def test_indices_say_which_items_a_batch_holds() -> None:
    batches = Batches(numbered(10), 8, rank=1, world=2)
    for step in range(5):
        assert batches.batch(step)[:, 0].tolist() == batches.indices(step).tolist()


def test_a_restart_at_a_step_gives_the_same_batch_in_any_order_of_asking() -> None:
    source = coordinates(9)
    one = Batches(source, 4, crop=5, flip=True, seed=3)
    expected = [one.batch(step) for step in range(12)]
    for step in (7, 2, 11, 0, 7):
        assert torch.equal(Batches(source, 4, crop=5, flip=True, seed=3).batch(step), expected[step])
        assert torch.equal(one.batch(step), expected[step])


def test_crops_lie_inside_and_reach_every_place_and_flips_mirror_half() -> None:
    batches = Batches(coordinates(5, 12, 20), 200, crop=9, flip=True, seed=1)
    places, mirrored = set(), 0
    for step in range(5):
        for item, rows, columns in batches.batch(step).numpy().astype(int):
            assert (item == item[0, 0]).all()
            np.testing.assert_array_equal(rows, rows[:1, :1] + np.arange(9)[:, None] + 0 * rows)
            direction = columns[0, 1] - columns[0, 0]
            assert direction in (1, -1)
            np.testing.assert_array_equal(columns, columns[:1, :1] + direction * np.arange(9) + 0 * columns)
            mirrored += direction == -1
            places.add((rows.min(), columns.min()))
    assert places == {(top, left) for top in range(4) for left in range(12)}
    assert 400 < mirrored < 600  # of 1,000: 6 standard deviations


def test_without_flip_nothing_is_mirrored_and_crop_places_stay() -> None:
    plain = Batches(coordinates(), 64, crop=9).batch(3).numpy()
    flipped = Batches(coordinates(), 64, crop=9, flip=True).batch(3).numpy()
    assert (np.diff(plain[:, 2].astype(int)) == 1).all()
    np.testing.assert_array_equal(np.sort(plain, axis=-1), np.sort(flipped, axis=-1))
    assert not np.array_equal(plain, flipped)


def files(folder: Path, sizes: list[tuple[int, int]]) -> Path:
    folder.mkdir()
    for number, size in enumerate(sizes):
        pixels = np.random.default_rng(number).integers(0, 256, (*size, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return folder


def parquet(folder: Path, file: Path) -> Path:
    table = pa.table({"image": [each.read_bytes() for each in sorted(folder.iterdir())]})
    pq.write_table(table, file)
    return file


@pytest.mark.parametrize("sizes", [[(16, 24)] * 7, [(16, 24), (24, 16), (9, 30), (40, 40), (5, 6), (12, 12)]])
@pytest.mark.parametrize("crop", [None, 12])
def test_lazy_sources_give_exactly_the_batches_of_in_memory_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sizes: list[tuple[int, int]], crop: int | None
) -> None:
    monkeypatch.setenv("VQKIT_CACHE", str(tmp_path / "cache"))
    folder = files(tmp_path / "images", sizes)
    table = parquet(folder, tmp_path / "x.parquet")
    sources = [
        load_source(folder),
        load_source(folder, memory_limit=0),
        load_source(table),
        load_source(table, memory_limit=0),
    ]
    assert len({type(source) for source in sources}) == 3
    if crop is None and sources[0].size is None:
        with pytest.raises(ConfigError, match="different sizes"):
            Batches(sources[0], 5)
        return
    results = []
    for source in sources:
        with Batches(source, 5, crop=crop, flip=True, seed=2, workers=3) as batches:
            results.append(torch.stack([batches.batch(step) for step in (0, 1, 2, 9, 3)]))
    for other in results[1:]:
        assert torch.equal(other, results[0])
    side = (16, 24) if crop is None else (crop, crop)
    assert results[0].shape == (5, 5, 3, *side)
    assert results[0].dtype == torch.uint8


def test_a_memory_mapped_array_gives_the_batches_of_the_array(tmp_path: Path) -> None:
    array = np.random.default_rng(0).random((9, 16, 16, 3))
    np.save(tmp_path / "x.npy", array)
    expected = Batches(load_source(array), 6, crop=8, flip=True)
    with Batches(load_source(tmp_path / "x.npy", memory_limit=0), 6, crop=8, flip=True) as mapped:
        for step in range(4):
            assert torch.equal(mapped.batch(step), expected.batch(step))
            assert mapped.batch(step).dtype == torch.float32


def test_errors_while_reading_ahead_are_raised_by_batch() -> None:
    class Failing(Source):
        def __init__(self) -> None:
            super().__init__(name="f", channels=1, axes=2, dtype=np.uint8, count=8)

        def item_sizes(self) -> np.ndarray:
            return np.full((8, 2), 8)

        def read(self, index: int) -> np.ndarray:
            raise OSError("disk gone")

        def subset(self, indices: object) -> Source:
            return self

        def with_channels(self, channels: int) -> Source:
            return self

        def storage(self) -> str:
            return "nowhere"

    with Batches(Failing(), 4) as batches, pytest.raises(OSError, match="disk gone"):
        batches.batch(0)


def test_upscale_keeps_the_aspect_the_dtype_and_the_range() -> None:
    image = np.random.default_rng(0).integers(0, 256, (3, 6, 9)).astype(np.uint8)
    large = signal_kind("image").upscale(image, 8)
    assert large.shape == (3, 8, 12)
    as_pillow = Image.fromarray(image.transpose(1, 2, 0).copy()).resize((12, 8), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(large, np.asarray(as_pillow).transpose(2, 0, 1))
    assert signal_kind("image").upscale(image, 6) is image
    as_float = signal_kind("image").upscale((image > 127).astype(np.float32), 8)
    assert as_float.dtype == np.float32
    assert (as_float.min(), as_float.max()) == (0, 1)


def test_a_crop_larger_than_the_images_of_an_array_upscales_them() -> None:
    batch = Batches(coordinates(3, 12, 20), 4, crop=24).batch(0)
    assert batch.shape == (4, 3, 24, 24)
    assert set(batch[:, 0].unique().tolist()) <= {0, 1, 2}


def ragged(sizes: list[tuple[int, int]]) -> RaggedSource:
    areas = np.array([height * width for height, width in sizes])
    buffer = np.random.default_rng(0).integers(0, 256, int(areas.sum())).astype(np.uint8)
    return RaggedSource(buffer, np.cumsum(areas) - areas, np.array(sizes), channels=1)


def test_default_crop() -> None:
    assert default_crop(numbered(3)) is None
    assert default_crop(ArraySource(np.zeros((1, 1, 100, 256), np.uint8))) is None
    assert default_crop(ArraySource(np.zeros((1, 1, 100, 257), np.uint8))) == 96
    assert default_crop(ArraySource(np.zeros((1, 3, 512, 512), np.uint8))) == 128
    assert default_crop(ragged([(300, 200), (200, 300)])) == 128
    assert default_crop(ragged([(50, 60), (49, 60), (400, 70)])) == 48
    assert default_crop(ragged([(5, 6), (6, 5)])) == 16


@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
def test_evaluation_batches_give_every_item_once_whole_and_in_order(batch_size: int) -> None:
    sizes = [(4, 5)] * 4 + [(5, 4)] + [(4, 5)] * 2
    for source in (ragged(sizes), coordinates(7)):
        found = []
        for indices, items in evaluation_batches(source, batch_size):
            assert len(indices) == len(items) <= batch_size
            for index, item in zip(indices, items, strict=True):
                np.testing.assert_array_equal(item.numpy(), source.read(int(index)))
            found.extend(indices.tolist())
        assert found == list(range(7))
    groups = [len(indices) for indices, _ in evaluation_batches(ragged(sizes), 100)]
    assert groups == [4, 1, 2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size=0"),
        ({"batch_size": 5, "world": 2}, "5 does not divide among 2 processes; .*e.g. 6"),
        ({"batch_size": 4, "world": 2, "rank": 2}, r"rank is 2; with world=2 processes it is 0\.\.1"),
        ({"batch_size": 4, "crop": 0}, "crop is 0"),
        ({"batch_size": 4, "seed": -1}, "seed is -1"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Batches(coordinates(), **options)
    with pytest.raises(ConfigError, match=r"for images .*; this is 3 vectors"):
        Batches(numbered(3), 2, flip=True)
    with pytest.raises(ConfigError, match="steps count from 0"):
        Batches(numbered(3), 2).batch(-1)
    with pytest.raises(ConfigError, match="batch_size is 0"):
        next(evaluation_batches(numbered(3), 0))
    with pytest.raises(ConfigError, match="first is -1"):
        next(evaluation_batches(numbered(3), 2, first=-1))


@pytest.mark.parametrize("first", [3, 4, 99])
def test_no_batch_is_left_after_the_last_item(first: int) -> None:
    for source in (numbered(3), ragged([(8, 8), (8, 9), (8, 9)])):
        assert list(evaluation_batches(source, 2, first=first)) == []


def test_batches_are_pinned() -> None:
    """A run resumed with a later version must see the batches it would have seen."""
    batches = Batches(coordinates(50), 4, crop=6, flip=True, seed=5)
    corner = batches.batch(20)[:, :, 0, 0].tolist()
    assert batches.indices(20).tolist() == [row[0] for row in corner]
    assert corner == [[27, 4, 4], [30, 5, 6], [43, 0, 6], [1, 0, 10]]


def test_an_in_memory_batch_takes_a_small_part_of_a_step() -> None:
    array = np.random.default_rng(0).integers(0, 256, (5000, 3, 32, 32)).astype(np.uint8)
    batches = Batches(ArraySource(array), 128, crop=28, flip=True)
    times = []
    for step in range(30):
        began = time.perf_counter()
        batches.batch(step)
        times.append(time.perf_counter() - began)
    assert np.median(times) < 0.01  # measured: 0.4 ms; the bound leaves room for a busy machine
