"""Folders, arrays, built-in sets, the dispatcher, and what every Source promises."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
import skimage
from PIL import Image
from sklearn import datasets

from vqkit.data import ArraySource, FileSource, RaggedSource, Source, builtin, load_source, split
from vqkit.data.images.decoding import Item, gather_images
from vqkit.errors import ConfigError, DataError

RNG = np.random.default_rng(0)


def save(path: Path, shape: tuple[int, ...] = (8, 10, 3), seed: int = 0) -> np.ndarray:
    """Save a random image losslessly and return it as [C, H, W]."""
    pixels = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels.transpose(2, 0, 1) if pixels.ndim == 3 else pixels[None]


def truncate(path: Path, seed: int = 0) -> None:
    save(path, (64, 64, 3), seed)
    path.write_bytes(path.read_bytes()[:3000])


# --- folders


def test_a_folder_of_one_size_is_one_array_in_sorted_order(tmp_path: Path) -> None:
    names = ["b.png", "a.PNG", "sub/deep/c.bmp"]
    images = {name: save(tmp_path / name, seed=seed) for seed, name in enumerate(names)}
    save(tmp_path / ".hidden.png")
    save(tmp_path / ".thumbs" / "x.png")
    (tmp_path / "readme.txt").write_text("no image")
    source = load_source(tmp_path)
    assert isinstance(source, ArraySource)
    expected = np.stack([images[name] for name in ("a.PNG", "b.png", "sub/deep/c.bmp")])
    np.testing.assert_array_equal(source.gather(range(3)), expected)
    assert source.labels is None
    assert source.notes == ["2 images lie beside the sub-folders: no classes"]
    assert source.describe() == "3 RGB images 10x8 in memory (720 bytes)"


def test_first_level_sub_folders_are_classes(tmp_path: Path) -> None:
    for seed, name in enumerate(["dog/1.png", "cat/x/2.png", "cat/3.png"]):
        save(tmp_path / name, seed=seed)
    source = load_source(str(tmp_path))
    assert source.class_names == ["cat", "dog"]
    assert source.labels is not None
    assert source.labels.tolist() == [0, 0, 1]
    assert source.describe().endswith("2 classes")


@pytest.mark.parametrize("limit", [None, 0])
def test_one_colour_image_makes_all_rgb_and_sizes_may_differ(tmp_path: Path, limit: int | None) -> None:
    grey = save(tmp_path / "a.png", (8, 10))
    colour = save(tmp_path / "b.png", (12, 6, 3))
    source = load_source(tmp_path, memory_limit=limit)
    assert isinstance(source, RaggedSource if limit is None else FileSource)
    assert source.channels == 3
    assert source.size is None
    assert [source.item_size(index) for index in (0, -1)] == [(8, 10), (12, 6)]
    np.testing.assert_array_equal(source.read(0), np.repeat(grey, 3, axis=0))
    np.testing.assert_array_equal(source.read(1), colour)
    with pytest.raises(DataError, match="2 sizes"):
        source.gather([0, 1])
    with pytest.raises(IndexError):
        source.read(2)


@pytest.mark.parametrize("limit", [None, 0])
def test_all_grey_images_stay_grey_unless_asked(tmp_path: Path, limit: int | None) -> None:
    grey = save(tmp_path / "a.png", (8, 10))
    assert load_source(tmp_path, memory_limit=limit).channels == 1
    source = load_source(tmp_path, memory_limit=limit, channels=3)
    np.testing.assert_array_equal(source.gather([0])[0], np.repeat(grey, 3, axis=0))


def hostile(folder: Path) -> None:
    for number in range(8):
        save(folder / f"good{number}.png", (8, 8, 3), number)
    for number in range(5):
        truncate(folder / f"cut{number}.png", number)
    (folder / "letter.png").write_text("Dear Sir")
    save(folder / "dot.png", (1, 1, 3))
    frames = [Image.new("RGB", (8, 8), each) for each in ("red", "blue")]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])


def test_a_hostile_folder_in_memory(tmp_path: Path) -> None:
    hostile(tmp_path)
    source = load_source(tmp_path)
    assert len(source) == 9
    assert {each.name for each in source.skipped} == {
        *(f"cut{n}.png" for n in range(5)),
        "letter.png",
        "dot.png",
    }
    assert "1 animated file: first frame used" in source.notes
    assert source.describe() == "9 RGB images 8x8 in memory (1.7 kB), 7 skipped"
    report = source.skip_report(limit=2)
    assert report[0].startswith("cut0.png: damaged")
    assert report[2] == "and 5 more"
    assert any("dot.png: 1x1 pixels" in line for line in source.skip_report())
    assert any("letter.png: not an image" in line for line in source.skip_report())


def test_a_hostile_folder_on_demand_is_the_same_set(tmp_path: Path) -> None:
    hostile(tmp_path)
    kept, source = load_source(tmp_path), load_source(tmp_path, memory_limit=0)
    assert isinstance(source, FileSource)
    assert (len(source), source.skipped, source.notes) == (9, kept.skipped, kept.notes)
    for index in range(9):
        np.testing.assert_array_equal(source.read(index), kept.read(index))
    part = source.subset([1, 7, 2, 6])
    np.testing.assert_array_equal(part.read(1), kept.read(7))


@pytest.mark.parametrize("limit", [None, 0])
def test_more_than_half_unreadable_is_an_error(tmp_path: Path, limit: int | None) -> None:
    save(tmp_path / "good.png")
    for number in range(7):
        (tmp_path / f"bad{number}.jpg").write_text("no")
    with pytest.raises(DataError, match=r"only 1 of 8 .*bad4\.jpg: not an image.*and 2 more"):
        load_source(tmp_path, memory_limit=limit)


def test_more_than_half_damaged_is_an_error_on_demand_too(tmp_path: Path) -> None:
    save(tmp_path / "z.png", (64, 64, 3))
    for number in range(2):
        truncate(tmp_path / f"cut{number}.png", number)
    with pytest.raises(DataError, match=r"only 1 of 3 images can be used.*cut1\.png"):
        load_source(tmp_path, memory_limit=0)


def test_decoding_stops_where_the_estimate_was_too_low(tmp_path: Path) -> None:
    for number in range(3):
        save(tmp_path / f"{number}.png", (8, 8, 3))
    items = [Item(path.name, path) for path in sorted(tmp_path.iterdir())]
    assert gather_images(items, limit=3 * 192 - 1) is None
    gathered = gather_images(items, limit=3 * 192)
    assert gathered is not None
    assert len(gathered.shapes) == 3


def test_exactly_half_unreadable_is_still_loaded(tmp_path: Path) -> None:
    save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_text("no")
    assert len(load_source(tmp_path)) == 1


def test_empty_folders_and_folders_without_images(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no images \(no files at all"):
        load_source(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match="1 files of other kinds"):
        load_source(tmp_path)


def test_symlink_loops_end_and_no_image_comes_twice(tmp_path: Path) -> None:
    save(tmp_path / "in" / "b" / "x.png")
    save(tmp_path / "outside" / "y.png")
    (tmp_path / "in" / "b" / "loop").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "a").symlink_to(tmp_path / "in" / "b")
    (tmp_path / "in" / "z").symlink_to(tmp_path / "in" / "b")
    (tmp_path / "in" / "c").symlink_to(tmp_path / "outside")
    (tmp_path / "in" / "b" / "broken.png").symlink_to(tmp_path / "nowhere.png")
    source = load_source(tmp_path / "in")
    assert source.class_names == ["b", "c"]
    assert len(source) == 2
    assert source.skip_report() == ["b/broken.png: No such file or directory"]


def test_a_single_image_file(tmp_path: Path) -> None:
    pixels = save(tmp_path / "one.png")
    np.testing.assert_array_equal(load_source(tmp_path / "one.png").read(0), pixels)
    (tmp_path / "bad.png").write_text("no")
    with pytest.raises(DataError, match=r"bad\.png: not an image"):
        load_source(tmp_path / "bad.png")


# --- arrays


def saved(tmp_path: Path, array: np.ndarray) -> Path:
    np.save(tmp_path / "x.npy", array)
    return tmp_path / "x.npy"


BYTES = RNG.integers(0, 256, (5, 6, 7, 3)).astype(np.uint8)
LAYOUTS = {
    "channels last": (BYTES, BYTES.transpose(0, 3, 1, 2)),
    "channels first": (BYTES.transpose(0, 3, 1, 2), BYTES.transpose(0, 3, 1, 2)),
    "one channel last": (BYTES[..., :1], BYTES[:, None, :, :, 0]),
    "grey": (BYTES[..., 0], BYTES[:, None, :, :, 0]),
    "uint16": (BYTES.astype(np.uint16) * 257, BYTES.transpose(0, 3, 1, 2)),
    "int64": (BYTES.astype(np.int64), BYTES.transpose(0, 3, 1, 2)),
    "bool": (BYTES > 99, (BYTES > 99).transpose(0, 3, 1, 2) * np.uint8(255)),
    "float64": (BYTES / 255.0, (BYTES / 255.0).transpose(0, 3, 1, 2).astype(np.float32)),
    "vectors": (BYTES.reshape(5, -1) * 1.5 - 7, (BYTES.reshape(5, -1) * 1.5 - 7).astype(np.float32)),
    "integer vectors": (BYTES.reshape(5, -1), BYTES.reshape(5, -1).astype(np.float32)),
}


@pytest.mark.parametrize("limit", [None, 0])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_npy_layouts_in_memory_and_memory_mapped(tmp_path: Path, layout: str, limit: int | None) -> None:
    array, expected = LAYOUTS[layout]
    source = load_source(saved(tmp_path, array), memory_limit=limit)
    assert isinstance(source, ArraySource)
    assert source.in_memory is (limit is None)
    assert source.axes == (0 if "vectors" in layout else 2)
    got = source.gather([4, 0, 2])
    assert got.dtype == expected.dtype == source.dtype
    assert type(got) is np.ndarray
    np.testing.assert_array_equal(got, expected[[4, 0, 2]])
    np.testing.assert_array_equal(source.subset([3, 0]).subset([1]).read(0), expected[0])
    assert (source.channels, *source.size) == expected.shape[1:]


@pytest.mark.parametrize(
    ("shape", "channels_first"),
    [
        ((2, 4, 64, 4), (3, 4, 64)),  # both readings are possible: channels last
        ((2, 3, 4, 4), (3, 4, 4)),  # channels last would make a side of 3
        ((2, 1, 9, 4), (1, 9, 4)),
        ((2, 9, 4, 1), (1, 9, 4)),
    ],
)
def test_ambiguous_layouts_follow_the_stated_rule(shape: tuple[int, ...], channels_first: tuple[int, ...]) -> None:
    assert load_source(np.zeros(shape, np.uint8)).read(0).shape == channels_first


@pytest.mark.parametrize("first", [False, True])
def test_four_channels_are_laid_over_white(first: bool) -> None:
    array = np.zeros((2, 8, 9, 4), np.uint8)
    array[..., 3] = 51
    array = array.transpose(0, 3, 1, 2) if first else array
    assert (load_source(array).gather([0, 1]) == 204).all()
    assert load_source(array.astype(np.float32) / 255).gather([0, 1]) == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(7), r"shape \[7\]"),
        (np.zeros((0, 8, 8)), r"shape \[0, 8, 8\]"),
        (np.zeros((8, 9, 3), np.uint8), r"array\[None\]"),
        (np.zeros((2, 3, 32, 3), np.uint8), "sides of at least 4"),
        (np.full((2, 8, 8), 255.0), r"values 255\.\.255; .*divide by 255"),
        (np.full((2, 8, 8), -0.5), r"-0\.5.*rescale"),
        (np.full((2, 8, 8), 256), r"int64 values 256..256; integer images are 0\.\.255"),
        (np.array([[{}, {}]], dtype=object), "object.*holds no signals"),
        (np.array([["a", "b"]]), "holds no signals"),
        (np.full((2, 8, 8), 1j), "complex128"),
    ],
)
def test_arrays_that_are_no_signals(array: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_source(array)


@pytest.mark.parametrize("limit", [None, 0])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_inf_name_the_first_bad_item(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int | None, bad: float
) -> None:
    monkeypatch.setattr("vqkit.data.arrays.loading.BLOCK_BYTES", 8 * 8 * 8 * 4)  # four items to a block
    array = np.full((20, 8, 8), 0.5)
    array[[13, 17], 3, 3] = bad
    with pytest.raises(DataError, match="item 13 holds NaN or Inf"):
        load_source(saved(tmp_path, array), memory_limit=limit)


def test_object_arrays_and_damaged_files_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "o.npy", np.array([{"a": 1}, None]), allow_pickle=True)
    np.savez(tmp_path / "o.npz", images=np.array([{"a": 1}, None]))
    (tmp_path / "d.npy").write_bytes(b"\x93NUMPY\x01\x00 damaged")
    (tmp_path / "d.npz").write_bytes(b"PK damaged")
    for name in ("o.npy", "o.npz", "d.npy", "d.npz"):
        with pytest.raises(DataError, match="cannot be read as a"):
            load_source(tmp_path / name)


def test_npz_keys_and_labels(tmp_path: Path) -> None:
    other = 255 - BYTES
    np.savez(tmp_path / "a.npz", extra=other, x=BYTES, y=np.arange(5))
    source = load_source(tmp_path / "a.npz")
    np.testing.assert_array_equal(source.read(2), BYTES[2].transpose(2, 0, 1))
    assert source.labels is not None
    assert source.labels.tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(load_source(f"{tmp_path}/a.npz:extra").read(2), other[2].transpose(2, 0, 1))
    with pytest.raises(DataError, match=r"no array 'z'; it holds: extra, x, y"):
        load_source(f"{tmp_path}/a.npz:z")
    np.savez(tmp_path / "b.npz", only=BYTES, labels=np.arange(5))
    assert len(load_source(tmp_path / "b.npz")) == 5
    np.savez(tmp_path / "c.npz", one=BYTES, two=BYTES)
    with pytest.raises(DataError, match=r"2 arrays \(one, two\).*c\.npz:one"):
        load_source(tmp_path / "c.npz")
    np.savez(tmp_path / "d.npz", x=BYTES, y=np.arange(4))
    with pytest.raises(DataError, match="5 items and labels of shape"):
        load_source(tmp_path / "d.npz")
    with pytest.raises(DataError, match=r"save it as \.npy, which is memory-mapped"):
        load_source(tmp_path / "a.npz", memory_limit=100)


# --- built-in sets


def test_digits_are_scikit_learns() -> None:
    source = load_source("digits")
    assert (len(source), source.channels, source.size) == (1797, 1, (8, 8))
    peer = datasets.load_digits()
    images = np.rint(peer.images * (255 / 16)).astype(np.uint8)
    np.testing.assert_array_equal(source.gather(range(1797))[:, 0], images)
    assert source.labels is not None
    assert source.labels.dtype == np.int64
    np.testing.assert_array_equal(source.labels, peer.target)
    assert source.class_names == list("0123456789")


def test_photos_are_scikit_images() -> None:
    source = load_source("photos")
    assert source.class_names is not None
    assert source.labels is not None
    originals = {file.stem: file for file in (Path(skimage.__file__).parent / "data").iterdir()}
    expected, labels = [], []
    for number, name in enumerate(source.class_names):
        photo = np.asarray(Image.open(originals[name]).convert("RGB"))
        for top in range(0, photo.shape[0] - 63, 64):
            for left in range(0, photo.shape[1] - 63, 64):
                crop = photo[top : top + 64, left : left + 64].transpose(2, 0, 1)
                if crop.std(axis=(1, 2)).mean() >= 2:
                    expected.append(crop)
                    labels.append(number)
    np.testing.assert_array_equal(source.gather(range(len(source))), np.stack(expected))
    assert source.labels.tolist() == labels
    assert len(source.class_names) == 8


def test_fashion_is_the_first_of_each_class() -> None:
    source = load_source("builtin:fashion")
    assert (len(source), source.channels, source.size) == (3000, 1, (28, 28))
    assert np.bincount(source.labels).tolist() == [300] * 10
    assert (builtin.SAMPLES / "fashion.webp").stat().st_size < 1_500_000
    digest = hashlib.sha256(np.ascontiguousarray(source.gather(range(3000))).tobytes()).hexdigest()
    assert digest.startswith("8873cbca6f114722")


def test_fashion_is_that_of_the_original() -> None:
    place = Path(os.environ.get("VQKIT_TEST_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
    place = place / "fashion_mnist" / "train-00000-of-00002.parquet"
    if not place.is_file():
        pytest.skip("the shared data are not there: ../shared/data/fashion_mnist")
    original, source = load_source(place), load_source("builtin:fashion")
    for label in (0, 9):
        theirs = np.flatnonzero(original.labels == label)[:300]
        np.testing.assert_array_equal(original.gather(theirs), source.gather(range(300 * label, 300 * label + 300)))


def test_speech_is_five_sentences() -> None:
    source = load_source("builtin:speech")
    assert (len(source), source.channels, source.kind.name, source.labels) == (5, 1, "sound@16000", None)
    whole = np.concatenate([source.read(index)[0] for index in range(5)]) * 32768
    assert (whole == whole.astype(np.int16)).all()
    assert len(whole) == 176029
    assert hashlib.sha256(whole.astype("<i2").tobytes()).hexdigest().startswith("12a9f7aff217e420")
    assert (builtin.SAMPLES / "speech.npz").stat().st_size < 250_000
    spectrum = np.square(np.abs(np.fft.rfft(whole)))
    assert spectrum[: len(spectrum) // 2].sum() > 10 * spectrum[len(spectrum) // 2 :].sum()  # a voice, not noise
    assert load_source("sound@16k:speech").spec == "sound@16000:builtin:speech"
    with pytest.raises(DataError, match="another sample rate"):
        load_source("sound@8000:speech")


# --- the dispatcher


def test_arrays_tensors_and_sources_are_accepted() -> None:
    import torch

    source = load_source(torch.rand(4, 3, 8, 8, requires_grad=True))
    assert (source.channels, source.dtype) == (3, np.dtype(np.float32))
    assert load_source(source) is source
    assert load_source(source, channels=1).read(0).shape == (1, 8, 8)


def test_unknown_specs_say_what_was_meant(tmp_path: Path) -> None:
    (tmp_path / "photographs").mkdir()
    with pytest.raises(DataError, match=r"does not exist\. Did you mean .*photographs\?"):
        load_source(tmp_path / "photograph")
    with pytest.raises(DataError, match="Did you mean digits"):
        load_source("digit")
    with pytest.raises(DataError, match=r"Did you mean hub:someone/birds .* A data source is a folder of images"):
        load_source("someone/birds")
    with pytest.raises(DataError, match=r"^'someone/birds.parquet' does not exist. A data source"):
        load_source("someone/birds.parquet")  # a path that is wrong
    (tmp_path / "data.xyz").write_text("?")
    with pytest.raises(DataError, match=r"unknown kind \(\.xyz\); give a folder"):
        load_source(tmp_path / "data.xyz")
    with pytest.raises(DataError, match="type dict is no data source"):
        load_source({"x": 1})
    with pytest.raises(DataError, match="names no data"):
        load_source("")
    for options in ({"channels": 4}, {"memory_limit": -1}, {"memory_limit": 1.5}):
        with pytest.raises(ConfigError):
            load_source("digits", **options)


def test_importing_the_package_does_not_import_torch(loaded: dict[str, list[str]]) -> None:
    assert "torch" not in loaded["vqkit.data"]
    assert "torch" in loaded["Batches"]


# --- what every source promises


def test_split_is_seeded_disjoint_and_complete() -> None:
    source = ArraySource(np.arange(50, dtype=np.float32)[:, None], labels=np.arange(50))

    def parts(fraction: float = 0.1, seed: int = 0) -> tuple[list[float], list[float]]:
        return tuple(part.gather(range(len(part)))[:, 0].tolist() for part in split(source, fraction, seed))

    train, validation = parts()
    assert len(validation) == 5
    assert sorted(train + validation) == list(range(50))
    assert parts() == (train, validation)
    assert parts(seed=1) != (train, validation)
    assert (len(parts(0.001)[1]), len(parts(0.999)[0])) == (1, 1)
    labeled = split(source)[1]
    assert labeled.labels is not None
    assert labeled.labels.tolist() == validation
    assert validation == [7.0, 8.0, 14.0, 15.0, 32.0]  # pinned: a split made today stays the same split
    with pytest.raises(DataError, match="1 item; a split needs at least 2"):
        split(source.subset([0]))
    for fraction in (0.0, 1.0, float("nan")):
        with pytest.raises(ConfigError, match="fraction"):
            split(source, fraction)


def test_bad_sources_and_indices_are_refused() -> None:
    with pytest.raises(DataError, match="float64; a source is uint8 or float32"):
        ArraySource(np.zeros((3, 1, 8, 8)))
    source: Source = ArraySource(np.zeros((3, 1, 8, 8), np.uint8))
    assert source.subset([-1]).labels is None
    for wrong in ([], [0.5], [[0]]):
        with pytest.raises(DataError):
            source.subset(wrong)
    with pytest.raises(IndexError):
        source.gather([3])
    with pytest.raises(DataError, match="buffer"):
        RaggedSource(np.zeros(20, np.uint8), np.array([8]), np.array([[4, 4]]), channels=1)
    with pytest.raises(DataError, match="buffer"):
        RaggedSource(np.zeros(10, np.uint8), np.array([0]), np.array([[4, 4]]), channels=1)
    vectors = ArraySource(np.zeros((3, 12), np.float32))
    assert vectors.describe() == "3 vectors of 12 numbers in memory (144 bytes)"
    with pytest.raises(ConfigError, match="no images"):
        vectors.with_channels(3)
    assert ArraySource(np.zeros((3, 2, 160), np.float32)).describe().startswith("3 stereo sounds 160 samples in")
