"""Laws of every registered kind of signal, and what each kind of vqkit's says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from typer.testing import CliRunner

import vqkit
from vqkit.cli.main import app
from vqkit.data import ArraySource, Batches, CenterCrops, ConcatSource, RandomCrops, default_crop
from vqkit.errors import ConfigError, DataError
from vqkit.models.matching import in_channels
from vqkit.signals import SIGNALS, Image, Signal, Sound, Vector, Video, default_kind, signal_kind
from vqkit.tokens import detokenize

SMALL = {"codebook_size": 8, "code_dim": 4, "hidden_channels": 8, "residual_channels": 4}
KINDS = list(SIGNALS)
WAVES = np.sin(np.arange(6 * 2 * 400).reshape(6, 2, 400) / 9).astype(np.float32)


def examples(kind: str, count: int = 6) -> Any:
    return signal_kind(kind).example(count, np.random.default_rng(0))


# ---- laws over the registry


@pytest.mark.parametrize("name", KINDS)
def test_a_file_holds_what_was_written(name: str, tmp_path: Path) -> None:
    kind = signal_kind(name)
    item = examples(name)[0]
    path = tmp_path / f"a{kind.suffix(len(item))}"
    kind.write(item, path)
    back = kind.checked(kind.read(path), "a")
    assert path.suffix in kind.extensions or path.suffix == ".npy"
    assert back.shape == item.shape
    assert np.allclose(back, item, atol=1e-6)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match=str(path)):
        kind.read(path)


@pytest.mark.parametrize("name", KINDS)
def test_the_range_is_kept(name: str) -> None:
    kind = signal_kind(name)
    items = examples(name)
    if kind.value_range is None:
        assert kind.levels is None
        kind.check_range(-1e30, 1e30, "these")
        return
    low, high = kind.value_range
    assert kind.levels in (None, 256)
    floats = np.full(items.shape, low, np.float32)
    assert vqkit.load_source(floats, kind=name).value_range() == (low, low)
    assert vqkit.load_source(floats - np.float32(5e-4), kind=name).value_range() == (low, low)  # a hair, and clipped
    for beyond in (low - 0.01, high + 0.01):
        with pytest.raises(DataError, match=rf"lie in \[{low:g}, {high:g}\]"):
            vqkit.load_source(floats * 0 + np.float32(beyond), kind=name)
    model = vqkit.VQVAE.for_source(vqkit.load_source(items, kind=name), **SMALL)
    assert (model.signal_range, model.levels, model.kind) == (kind.value_range, kind.levels, kind)


@pytest.mark.parametrize("name", [name for name in KINDS if signal_kind(name).axes])
def test_crops_have_the_size_that_the_kind_says(name: str) -> None:
    source = vqkit.load_source(examples(name), kind=name)
    for side in (3, 40):  # smaller and larger than the items
        size = source.kind.crop_size(side, source.item_sizes())
        assert max(size) == side
        with Batches(source, 4, crop=side, flip=source.kind.flips, seed=1) as batches:
            assert batches.batch(0).shape == (4, source.channels, *size)
        for view in (CenterCrops(source, side), RandomCrops(source, side, 5)):
            assert view.kind == source.kind
            assert view.read(2).shape == (source.channels, *size) == (source.channels, *view.size)
    small = source.kind.crop_size(3, source.item_sizes())
    crop = RandomCrops(source, 3, 1).read(0)
    windows = np.lib.stride_tricks.sliding_window_view(source.read(0), small, axis=tuple(range(1, 1 + source.axes)))
    assert (
        (windows == crop.reshape(len(crop), *(1,) * source.axes, *small)).all(axis=(0, *range(-source.axes, 0))).any()
    )


@pytest.mark.parametrize("name", KINDS)
def test_pictures_are_shown_or_none(name: str) -> None:
    kind = signal_kind(name)
    item = examples(name)[0]
    picture = kind.show(item)
    assert (picture is not None) == kind.shows(len(item))
    assert picture is None or (isinstance(picture, Pillow.Image) and min(picture.size) > 1)


@pytest.mark.parametrize("name", KINDS)
def test_it_goes_through_all_of_the_house(name: str, tmp_path: Path) -> None:
    kind = signal_kind(name)
    source = vqkit.load_source(examples(name), kind=name)
    assert kind.describe(6, source.channels) in source.describe()
    model = vqkit.VQVAE.for_source(source, **SMALL, seed=0)
    settings = {"steps": 2, "batch_size": 2, "validation": "last:2", "quiet": True, "tensorboard": False}
    run = vqkit.train(model, source, out=tmp_path / "run", **settings)
    assert run.evaluation is not None
    assert (run.evaluation["psnr_db"] is None) == (kind.value_range is None)
    assert (run.evaluation["ssim"] is None) == ("ssim" not in kind.measures)
    assert (tmp_path / "run" / "pictures").is_dir() == kind.shows(source.channels)
    loaded = vqkit.load_model(tmp_path / "run")
    assert loaded.kind == kind
    assert ("kind" in loaded.config) == (kind != default_kind(kind.axes))
    tokens = vqkit.tokenize(loaded, source, tmp_path / "tokens")
    assert detokenize(loaded, tokens, tmp_path / "decoded") == 6
    again = loaded.reconstruct(source.gather(range(6))).numpy()
    suffix = kind.suffix(source.channels)
    files = sorted((tmp_path / "decoded").glob(f"*{suffix}"))
    decoded = np.load(files[0]) if suffix == ".npy" else np.stack([kind.read(file) for file in files])
    assert np.allclose(decoded / (255 if decoded.dtype == np.uint8 else 1), again, atol=2e-3)


# ---- a source carries its kind


def test_sound_is_said_and_a_guess_is_told(tmp_path: Path) -> None:
    sound = vqkit.load_source(WAVES, kind="sound")
    assert (sound.kind, sound.axes, sound.channels, sound.notes) == (Sound(), 1, 2, [])
    assert sound.describe().startswith("6 stereo sounds 400 samples")
    assert vqkit.load_source(WAVES[:, 0], kind=Sound()).describe().startswith("6 mono sounds")
    with pytest.raises(DataError, match=r"shape \[6, 2, 400\].*kind='sound'"):
        vqkit.load_source(WAVES)
    (guess,) = vqkit.load_source(WAVES.reshape(6, 8, 100) / 2 + 0.5).notes
    assert "grey images [N, H, W]; say kind='sound'" in guess
    assert vqkit.load_source(np.zeros((6, 8, 8), np.uint8)).notes == []
    np.save(tmp_path / "waves.npy", WAVES)
    named = vqkit.load_source(f"sound:{tmp_path / 'waves.npy'}")
    assert named.kind == Sound()
    assert named.spec == f"sound:{(tmp_path / 'waves.npy').resolve()}"
    assert named.subset([1]).with_kind("sound").kind == Sound()
    with pytest.raises(DataError, match=r"int16.*nobody knows the range.*32768"):
        vqkit.load_source((WAVES * 32767).astype(np.int16), kind="sound")
    with pytest.raises(ConfigError, match=r"'sond' is unknown.*'sound'"):
        vqkit.load_source(WAVES, kind="sond")
    with pytest.raises(DataError, match=r"grey images.*not sounds"):
        vqkit.load_source("builtin:digits", kind="sound")


def test_sounds_of_different_lengths_are_cut_and_padded(tmp_path: Path) -> None:
    lengths = (40, 200, 90, 300)
    for number, length in enumerate(lengths):
        np.save(tmp_path / f"{number}.npy", WAVES[number, :, :length])
    (tmp_path / "note.txt").write_text("no sound")
    files = vqkit.load_source(tmp_path, kind="sound")
    listed = vqkit.load_source([WAVES[number, :, :length] for number, length in enumerate(lengths)], kind="sound")
    for source in (files, listed):
        assert source.item_sizes().tolist() == [[length] for length in lengths]
        assert default_crop(source) == 128
        assert np.array_equal(source.read(2), WAVES[2, :, :90])
        (padded,) = {float(abs(CenterCrops(source, 128).read(0)[:, 40:]).max())}
        assert padded == 0
    assert files.item_name(1) == "1.npy"
    with pytest.raises(ConfigError, match=r"mirrored|crop"):
        Batches(files, 2, crop=64, flip=True)


def test_kinds_of_one_number_of_axes_are_not_mixed() -> None:
    @SIGNALS.register("test heights")
    class Heights(Image):
        value_range = (-100.0, 9000.0)
        levels = None
        from_bytes = False
        encoded = False
        transparency = False

    try:
        heights = vqkit.load_source(np.full((4, 8, 8), 4000.0), kind="test heights")
        uneven = vqkit.load_source([np.zeros((1, 8, 8)), np.zeros((1, 9, 8))], kind=Heights())
        views = [RandomCrops(uneven, 4, 3), CenterCrops(uneven, 4), ConcatSource([heights, heights])]
        assert all(view.kind == view.subset([1]).kind == Heights() for view in (heights, uneven, *views))
        with pytest.raises(DataError, match="sources of one kind are joined"):
            ConcatSource([heights, ArraySource(np.zeros((2, 1, 8, 8), np.float32))])
        model = vqkit.VQVAE.for_source(heights, **SMALL)
        assert model.config["kind"] == "test heights"
        assert vqkit.VQVAE.from_config(model.config).kind == Heights()
        with pytest.raises(DataError, match="kind='test heights'"):
            in_channels(model, vqkit.load_source("builtin:digits"))
        with pytest.raises(ConfigError, match=r"axes=1.*axes=2"):
            vqkit.VQVAE(axes=1, kind="test heights")
        with pytest.raises(ConfigError, match="likelihood='logistic'"):
            vqkit.VQVAE.for_source(heights, likelihood="logistic", **SMALL)
        with pytest.raises(DataError, match=r"2 axes.*have 0"):
            heights.with_kind(Vector())
    finally:
        del SIGNALS._parts["test heights"]


# ---- what the kinds show


def test_a_spectrogram_is_bright_at_the_frequency() -> None:
    wave = np.sin(2 * np.pi * 0.125 * np.arange(4096))[None].astype(np.float32)
    picture = np.asarray(Sound().show(wave))
    assert picture.shape[0] == 129
    assert picture.argmax(axis=0).tolist() == [129 - 1 - 32] * picture.shape[1]  # 0.125 of 256 bins, from below
    assert picture.max() == 255
    assert picture.min() < 40


def test_a_waveform_is_drawn_through_its_samples() -> None:
    wave = np.array([[0.0, 1.0, -1.0, 0.5]], dtype=np.float32)
    ink = np.asarray(Sound().show(wave)) == 0
    rows = [round((1 - value) / 2 * 128) for value in (0, 1, -1, 0.5)]
    assert all(ink[row, 64 * number + 32] for number, row in enumerate(rows))
    assert ink[:, 32].sum() == 1


def test_a_film_strip_shows_first_and_last_frames() -> None:
    video = np.arange(20, dtype=np.uint8)[None, :, None, None] * np.ones((3, 1, 4, 6), np.uint8)
    strip = np.asarray(Video().show(video))
    assert strip.shape == (4, 8 * 6, 3)
    assert (strip[0, 0, 0], strip[0, -1, 0]) == (0, 19)
    assert vqkit.load_source(np.zeros((2, 5, 8, 8, 3), np.uint8)).describe().startswith("2 RGB videos 8x8, 5 frames")


# ---- kinds of older versions, and the command line


def test_signals_that_say_nothing_are_what_their_axes_are() -> None:
    for axes, kind in enumerate((Vector(), Sound(), Image(), Video())):
        assert default_kind(axes) == kind
        assert ArraySource(np.zeros((2, 1, *(8,) * axes), np.float32)).kind == kind
        assert signal_kind(type(kind)) == signal_kind(kind.name) == kind
    with pytest.raises(ConfigError, match="axes=4"):
        default_kind(4)
    assert issubclass(SIGNALS.get_part("image"), Signal)


def test_sound_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("waves.npy", WAVES[:, :, :64])

    def done(*words: str) -> str:
        result = CliRunner().invoke(app, list(words), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    small = ("--set", "hidden_channels=8", "-k", "8", "--code-dim", "4", "--batch-size", "2")
    out = done(
        "train", "waves.npy", "--kind", "sound", "--out", "run", "--steps", "2", "--validation", "last:2", *small
    )
    assert "stereo sounds 64 samples" in out
    assert vqkit.load_model("run").kind == Sound()
    done("train", "--resume", "run", "--steps", "4")  # the run knows what its data are
    done("eval", "run")
    assert "stereo sounds" in done("eval", "run", "waves.npy")  # the model says what it reads
    refused = CliRunner().invoke(app, ["eval", "run", "waves.npy", "--kind", "video"])
    assert "shape [6, 2, 64]; videos are" in str(refused.exception)
    done("encode", "run", "waves.npy", "--out", "tokens")
    done("compress", "waves.npy", "--model", "run", "--out", "waves.vqk")
    done("reconstruct", "run", "waves.npy", "--out", "sheet.png")
    assert max(Pillow.open("sheet.png").size) > 128
    done("prior", "run", "--steps", "2", "--kind", "transformer", "--set", "batch_size=2")
    done("sample", "run", "-n", "2", "--out", "new")
    assert sorted(path.name for path in Path("new").iterdir()) == ["000.npy", "001.npy", "sheet.png"]
    assert torch.from_numpy(np.load("new/000.npy")).shape == (2, 64)
