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


@pytest.mark.parametrize("kind", [None, "image"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.uint16, np.bool_, np.int64])
def test_arrays_of_several_sizes_have_their_channels_first_or_last(kind: str | None, dtype: Any) -> None:
    random = np.random.default_rng(0)
    shapes = [(16, 16, 3), (20, 16, 3), (3, 12, 9), (9, 12, 4)]
    given = [random.integers(0, 2, shape).astype(dtype) for shape in shapes]
    source = vqkit.load_source(given, kind=kind)
    for number, array in enumerate(given):
        alone = vqkit.load_source(array[None], kind=kind)
        assert np.array_equal(source.read(number), alone.read(0))
        assert alone.notes == [] or set(alone.notes) <= set(source.notes)
    assert source.original_bytes() == sum(each.nbytes for each in given)
    grey = vqkit.load_source([np.zeros((8, 8), np.uint8), np.zeros((8, 9), np.uint8)], kind=kind)
    assert [grey.item_size(number) for number in (0, 1)] == [(8, 8), (8, 9)]


def test_columns_of_other_names_and_nested_lists() -> None:
    items = [{"pixel_values": each.tolist(), "label": number} for number, each in enumerate(PIXELS)]
    source = vqkit.load_source(items)
    assert np.array_equal(source.gather(range(5)), PIXELS.transpose(0, 3, 1, 2))
    assert list(source.labels) == list(range(5))  # type: ignore[arg-type]
    with pytest.raises(DataError, match="lists of different lengths"):
        vqkit.load_source([{"image": [[1, 2], [3]]}])


@pytest.mark.parametrize("other", [np.float32, np.uint16, np.bool_])
def test_one_number_has_one_meaning(other: Any) -> None:
    dim = np.ones((8, 8, 3), np.uint8)
    with pytest.raises(DataError, match=f"item 0 is uint8 and item 2 {np.dtype(other)}.*one dtype"):
        vqkit.load_source([dim, dim, np.ones((8, 8, 3), other)])
    vectors = vqkit.load_source([np.ones(4, np.uint8), np.ones(4, other)])
    assert vectors.read(0).tolist() == [1, 1, 1, 1]


def test_a_list_of_batches_is_no_list_of_videos() -> None:
    batch = torch.zeros(8, 3, 16, 16)
    for given in ([batch, batch], [batch, batch[:5]]):
        with pytest.raises(DataError, match=r"\[8, 3, 16, 16\].*np\.concatenate"):
            vqkit.load_source(given)
    videos = vqkit.load_source([np.zeros((3, 8, 16, 16), np.uint8)] * 2)
    assert videos.axes == 3
    assert any("np.concatenate" in note for note in videos.notes)
    assert vqkit.load_source([batch, batch], kind="video").channels == 8


class Again:
    """Batches that can be read twice, without numbers of their own."""

    def __len__(self) -> int:
        return 2

    def __iter__(self) -> Any:
        return iter([PIXELS, PIXELS])


def test_what_gives_its_objects_only_in_turn_is_told_so() -> None:
    with pytest.raises(DataError, match=r"Again gives objects one after the other.*np\.concatenate"):
        vqkit.load_source(Again())
    assert len(vqkit.load_source(np.concatenate(list(Again())))) == 10


def test_several_data_sets_are_a_choice() -> None:
    model = vqkit.VQVAE(16, hidden_channels=8)
    for take in (vqkit.load_source, lambda data: vqkit.evaluate(model, data)):
        with pytest.raises(DataError, match=r"2 data sets, 'train', 'test': choose one, data\['train'\]"):
            take({"train": Pairs(), "test": Pairs()})


def test_what_makes_no_source() -> None:
    for given, message in (
        ([np.zeros(8), np.zeros(9)], "2 shapes"),
        ([np.zeros((8, 8)), np.zeros((8, 8, 8, 8))], "2 shapes"),
        ([np.zeros((16, 16, 5)), np.zeros((20, 16, 5))], "16 channels of float32 and 20 channels"),
        ([Image.fromarray(PIXELS[0]), PIXELS[0]], "1 pictures and 1 arrays"),
        ([object()], "item 0 is a object"),
        ([{"photo": 1}], r"has keys photo.*pixel_values.*rename_column\('photo', 'image'\)"),
        ([(PIXELS[0], 1), (PIXELS[1], "cat")], r"item 1 has the label 'cat'; labels are one whole number"),
        ([(PIXELS[0], 1), PIXELS[1]], "item 1 has no label"),
        ([(PIXELS[0], [1, 2]), (PIXELS[1], 0)], r"item 0 has the label \[1, 2\]"),
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


@pytest.mark.parametrize("lazy", [False, True])
def test_a_mask_selects_and_is_no_list_of_numbers(lazy: bool, tmp_path: Path) -> None:
    for number, each in enumerate(PIXELS):
        Image.fromarray(each).save(tmp_path / f"{number}.png")
    source = vqkit.load_source(tmp_path, memory_limit=1 if lazy else None)
    mask = np.array([False, True, True, False, True])
    want = source.gather([1, 2, 4])
    for given in (mask, mask.tolist(), torch.from_numpy(mask), [1, 2, 4], torch.tensor([1, 2, -1]), range(1, 5)[::1]):
        found = source[given]
        assert np.array_equal(found, want if len(given) != 4 else source.gather([1, 2, 3, 4]))
    with pytest.raises(DataError, match="a mask of shape"):
        source[[True, False]]
    with pytest.raises(DataError, match="whole numbers"):
        source[[0.0, 1.0]]
    with pytest.raises(IndexError):
        source[[5]]
    with pytest.raises(TypeError):
        source[1.0]  # type: ignore[index]
