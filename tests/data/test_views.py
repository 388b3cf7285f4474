"""Sources made of other sources: random squares, and several in a row."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
import torch

from vqkit.data import ArraySource, Batches, ConcatSource, RandomCrops, evaluation_batches, load_source, split
from vqkit.errors import ConfigError, DataError


def test_random_crops_are_the_same_for_ever_and_of_every_image() -> None:
    pictures = [np.arange(3 * h * w, dtype=np.int64).reshape(3, h, w).astype(np.uint8) for h, w in ((20, 30), (40, 25))]
    sources = [ArraySource(picture[None]) for picture in pictures]
    both = ConcatSource(sources)
    assert both.size is None
    squares = RandomCrops(both, 16, 64, seed=3, flip=True)
    assert squares.size == (16, 16)
    places = set()
    for number in range(64):
        square, picture = squares.read(number), pictures[number % 2]
        windows = np.lib.stride_tricks.sliding_window_view(picture, (16, 16), axis=(1, 2)).transpose(1, 2, 0, 3, 4)
        found = [
            (int(y), int(x), mirrored)
            for mirrored in (False, True)
            for y, x in np.argwhere((windows == (square[:, :, ::-1] if mirrored else square)).all(axis=(2, 3, 4)))
        ]
        assert found
        places.add((number % 2, *found[0]))
    assert len(places) > 40
    assert {mirrored for *_, mirrored in places} == {False, True}
    part = squares.subset([5, 60])
    assert np.array_equal(part.read(1), squares.read(60))
    assert np.array_equal(part.with_channels(1).read(0), squares.with_channels(1).read(5))
    assert zlib.crc32(squares.gather(range(64)).tobytes()) == 3155267189  # pinned: the same squares on every machine


def test_joined_sources_are_one_after_the_other() -> None:
    first = ArraySource(np.zeros((3, 1, 2, 2), np.uint8), labels=np.array([0, 1, 2]))
    second = ArraySource(np.ones((2, 1, 2, 2), np.uint8), labels=np.array([7, 8]))
    both = ConcatSource([first, second])
    assert len(both) == 5
    assert both.labels is not None
    assert both.labels.tolist() == [0, 1, 2, 7, 8]
    part = both.subset([4, 0])
    assert part.gather([0, 1])[:, 0, 0, 0].tolist() == [1, 0]
    assert part.labels is not None
    assert part.labels.tolist() == [8, 0]
    with pytest.raises(DataError, match="sources of one kind are joined, these are 2"):
        ConcatSource([first, ArraySource(np.zeros((1, 3, 2, 2), np.uint8))])


def test_squares_are_cut_from_images_only() -> None:
    with pytest.raises(ConfigError, match="side=0, count=1"):
        RandomCrops(ArraySource(np.zeros((1, 1, 4, 4), np.uint8)), 0, 1)
    with pytest.raises(ConfigError, match="are cut from images"):
        RandomCrops(ArraySource(np.zeros((3, 4), np.float32)), 2, 1)


def test_split_takes_what_validation_takes() -> None:
    data = load_source("digits")
    training, held_out = split(data, "last:97")
    assert (len(training), len(held_out)) == (1700, 97)
    assert np.array_equal(held_out[:], data[-97:])
    assert np.array_equal(training[:], data[:-97])
    for fraction in ("last:0", "last:1797", "last:", "half", 1.5, None):
        with pytest.raises(ConfigError, match="last:N"):
            split(data, fraction)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="load_source"):
        split(data[:100])  # type: ignore[arg-type]


def test_batches_take_what_load_source_takes() -> None:
    data = load_source("digits").subset(range(40))
    array = data[:]
    for batch in (0, 7):
        with Batches(array, 8, seed=3) as given, Batches(data, 8, seed=3) as loaded:
            assert torch.equal(given.batch(batch), loaded.batch(batch))
    first, wanted = next(evaluation_batches(array, 16)), next(evaluation_batches(data, 16))
    assert torch.equal(first[1], wanted[1])
