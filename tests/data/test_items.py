"""Lists of pictures and arrays, and data sets of torch, as sources."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, TensorDataset

import vqkit
from vqkit.data import ArraySource, RaggedSource
from vqkit.errors import DataError

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)


class Pairs(Dataset[Any]):
    """Pictures with labels, as torchvision's sets give them."""

    def __len__(self) -> int:
        return len(PIXELS)

    def __getitem__(self, index: int) -> Any:
        return Image.fromarray(PIXELS[index]), index % 2


def test_pictures_arrays_and_tensors_are_the_same_source() -> None:
    want = PIXELS.transpose(0, 3, 1, 2)
    for given in (
        [Image.fromarray(each) for each in PIXELS],
        list(PIXELS),
        [torch.from_numpy(each).movedim(-1, 0) for each in PIXELS],
        Pairs(),
        [{"image": Image.fromarray(each), "label": 3} for each in PIXELS],
    ):
        source = vqkit.load_source(given)
        assert isinstance(source, ArraySource)
        assert np.array_equal(source.gather(range(5)), want)


def test_paths_are_items_with_names(tmp_path: Path) -> None:
    pictures = [Image.fromarray(each) for each in PIXELS[:3]]
    for number, picture in enumerate(pictures):
        picture.save(tmp_path / f"{number}.png")
    paths = [tmp_path / f"{number}.png" for number in range(len(pictures))]
    source = vqkit.load_source(paths)
    assert all(np.array_equal(source.read(n), vqkit.load_source(pictures).read(n)) for n in range(len(pictures)))
    assert source.item_name(1) == str(paths[1])
    with pytest.raises(DataError, match=r"list: item 1: .*absent\.png"):
        vqkit.load_source([paths[0], tmp_path / "absent.png"])


def test_a_source_is_indexed_like_a_batch() -> None:
    source = vqkit.load_source("builtin:digits")
    assert np.array_equal(source[:3], source.gather([0, 1, 2]))
    assert np.array_equal(source[-1], source.read(len(source) - 1))
    assert np.array_equal(source[np.array([5, 2])], source.gather([5, 2]))
    assert np.array_equal(source[[7]], source.gather([7]))
    assert sum(1 for _ in source) == len(source)
    with pytest.raises(IndexError):
        source[len(source)]
    assert repr(source) == f"<ArraySource: {source.describe()}>"


def test_labels_come_with_them() -> None:
    assert list(vqkit.load_source(Pairs()).labels) == [0, 1, 0, 1, 0]  # type: ignore[arg-type]
    vectors = torch.randn(6, 4)
    source = vqkit.load_source(TensorDataset(vectors, torch.arange(6)))
    assert source.axes == 0
    assert list(source.labels) == list(range(6))  # type: ignore[arg-type]
    assert vqkit.load_source(TensorDataset(vectors)).labels is None


def test_pictures_of_several_sizes_and_colours() -> None:
    grey = Image.fromarray(PIXELS[0, :, :, 0]).resize((12, 9))
    source = vqkit.load_source([Image.fromarray(PIXELS[1]), grey])
    assert isinstance(source, RaggedSource)
    assert [source.read(number).shape for number in range(2)] == [(3, 8, 8), (3, 9, 12)]


def test_what_makes_no_source() -> None:
    for given, message in (
        ([np.zeros((8, 8)), np.zeros((8, 9))], "2 shapes"),
        ([Image.fromarray(PIXELS[0]), PIXELS[0]], "1 pictures and 1 arrays"),
        ([object()], "item 0 is a object"),
        ([{"sound": 1}], "has keys sound"),
        ([(PIXELS[0], 1), (PIXELS[1], "cat")], "labels are one whole number"),
        ([np.full((8, 8), 300)], "300"),
    ):
        with pytest.raises(DataError, match=message):
            vqkit.load_source(given)


def test_a_loader_is_read_once_in_its_own_order() -> None:
    from torch.utils.data import DataLoader, SubsetRandomSampler, TensorDataset

    images, labels = torch.arange(12 * 16).view(12, 1, 4, 4).remainder(256).byte(), torch.arange(12)
    loader: DataLoader[Any] = DataLoader(
        TensorDataset(images, labels), batch_size=5, sampler=SubsetRandomSampler([7, 2, 9, 4, 1, 3, 11])
    )
    source = vqkit.load_source(loader)
    assert sorted(source.labels.tolist()) == [1, 2, 3, 4, 7, 9, 11]
    for number, label in enumerate(source.labels.tolist()):
        assert np.array_equal(source.read(number), images[label].numpy())
    assert len(vqkit.load_source(DataLoader(TensorDataset(images), batch_size=5))) == 12
    assert len(vqkit.load_source(DataLoader(TensorDataset(images, labels), batch_size=None))) == 12


def test_a_stream_is_refused_with_the_repair() -> None:
    from torch.utils.data import DataLoader, IterableDataset

    class Stream(IterableDataset[Any]):
        def __iter__(self) -> Any:
            yield from iter(torch.rand(3, 1, 4, 4))

    for stream in (DataLoader(Stream(), batch_size=2), Stream(), iter([torch.rand(1, 4, 4)])):
        with pytest.raises(DataError, match=r"stream.*itertools.islice"):
            vqkit.load_source(stream)
