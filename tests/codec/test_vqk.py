"""Files of models: what is written comes back, costs what the models say, and is refused where it is not whole."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.cli.cases import refused
from tests.codec.cases import SIZES, context, histogram, pixels, signals, tokenizer
from vqkit.codec import Codec, Compressor, Decompressor, RateController, Signal, entropy_model, limits
from vqkit.codec import compressor as compressing
from vqkit.codec.inspect import inspect_file
from vqkit.codec.lossless import PixelCoder
from vqkit.coding import Block, GroupHeader, Reader, Writer, integers_crc
from vqkit.errors import (
    BitstreamError,
    ConfigError,
    DataError,
    LimitError,
    NotAVqkFileError,
    TruncatedFileError,
    VqkitError,
    WrongModelError,
)
from vqkit.models import VQVAE, tiling
from vqkit.priors import MaskedPrior


def expected(model: VQVAE, x: Tensor, indices: Tensor | None = None) -> Tensor:
    """What decoding in one piece gives."""
    codes = model.encode(x) if indices is None else indices
    found = tiling.in_float64(model).decode(codes, tuple(x.shape[2:]))
    return (found * 255).round().to(torch.uint8) if model.levels else found.float()


@pytest.mark.parametrize("kind", ["uniform", "histogram", "context"])
@pytest.mark.parametrize("axes", [0, 1, 2, 3])
def test_what_is_written_comes_back(axes: int, kind: str) -> None:
    model = tokenizer(axes)
    prior = {"uniform": None, "histogram": histogram(model), "context": context(model)}[kind]
    codec = Codec(model, prior)
    x = signals(model, 3, SIZES[axes])
    data = codec.compress(x)
    back = codec.decompress(data)
    assert back.dtype == (torch.uint8 if axes >= 2 else torch.float32)
    assert torch.equal(back, expected(model, x))
    assert codec.compress(x) == data
    reader = Decompressor(model, entropy_model(prior, 16))
    kept = torch.stack([each.indices for each in reader.read(io.BytesIO(data))])
    assert torch.equal(kept[..., 0].long(), model.encode(x))


def test_files_hold_many_signals_of_many_sizes_with_names() -> None:
    model = tokenizer()
    sizes = [(8, 8)] * 3 + [(5, 7)] + [(8, 8)] * 2
    given = [signals(model, 1, size, seed)[0] for seed, size in enumerate(sizes)]
    file = io.BytesIO()
    named = (Signal(each.numpy(), f"a/{number}.png" if number != 4 else None) for number, each in enumerate(given))
    report = Compressor(model).write(file, named)
    assert report.signals == 6
    assert report.file_bytes == len(file.getvalue())
    found = list(Decompressor(model).read(io.BytesIO(file.getvalue())))
    assert [each.name for each in found] == ["a/0.png", "a/1.png", "a/2.png", "a/3.png", None, "a/5.png"]
    for each, x in zip(found, given, strict=True):
        assert torch.equal(each.values, expected(model, x[None])[0])


@pytest.mark.parametrize("upsampling", ["transposed", "resize"])
@pytest.mark.parametrize("linear_path", [False, True])
def test_tiles_make_no_seams(monkeypatch: pytest.MonkeyPatch, upsampling: str, linear_path: bool) -> None:
    model = tokenizer(2, upsampling=upsampling, linear_path=linear_path, residual_blocks=2)
    x = signals(model, 2, (67, 90))
    whole = expected(model, x)
    monkeypatch.setitem(limits._TILE_PIXELS, 2, 20)
    assert limits.tile_shape(model, model.grid((67, 90))) == (5, 5)
    prior = context(model)
    data = Codec(model, prior).compress(x)
    assert len(list(compressing.every_tile(model, (67, 90)))) == 4 * 5
    found = list(Decompressor(model, entropy_model(prior, 16)).read(io.BytesIO(data)))
    assert torch.equal(torch.stack([each.indices for each in found])[..., 0].long(), model.encode(x))
    assert torch.equal(torch.stack([each.values for each in found]), whole)


def test_a_halo_is_as_far_as_the_networks_see() -> None:
    """One changed pixel, or index, changes nothing beyond the halo (and something within it)."""
    for axes, blocks, scale in ((1, 3, 4), (2, 1, 8), (2, 2, 1)):
        model = tokenizer(axes, residual_blocks=blocks, downsampling=scale).double()
        positions = 2 * model.halo + 5
        x = 0.5 * torch.rand(1, model.channels, *[positions * scale] * axes, dtype=torch.float64)
        y = x.clone()
        middle = positions // 2
        y[(..., *[slice(middle * scale, middle * scale + 1)] * axes)] += 0.5
        changed = (model.latents(x) - model.latents(y)).abs().amax(dim=(0, 1)) > 1e-12
        reach = (torch.nonzero(changed) - middle).abs().max()
        assert 1 <= reach <= model.halo
        codes = model.encode(x)
        other = codes.clone()
        other[(0, *[middle] * axes)] = (other[(0, *[middle] * axes)] + 1) % 16
        seen = (model.decode(codes) - model.decode(other)).abs().amax(dim=(0, 1)) > 1e-12
        assert (torch.nonzero(seen) // scale - middle).abs().max() <= model.halo


@pytest.mark.parametrize("kind", ["uniform", "histogram", "context"])
def test_files_cost_what_their_model_says(kind: str) -> None:
    model = tokenizer(num_codebooks=2, stacking="residual")
    prior = {"uniform": None, "histogram": histogram(model), "context": context(model)}[kind]
    x = signals(model, 40, (40, 40))
    file = io.BytesIO()
    entropy = entropy_model(prior, 16)
    beside = [entropy_model(None, 16)] * (kind != "uniform")
    report = Compressor(model, entropy, beside=beside).write(file, (Signal(each.numpy()) for each in x))
    positions = 40 * 100 * 2
    assert report.nominal_bits == positions * 4
    assert report.model_bits["uniform"] == pytest.approx(positions * 4, rel=1e-4)
    indices = model.encode(x)
    if kind == "context":
        own = context(model)
        own.grid, nats = (10, 10), 0.0
        for step in own.steps((10, 10)):
            table = own.frequencies(indices, step).double().log() - 24 * math.log(2)
            chosen = indices.flatten(1, 2)[:, step.positions, step.codebook]
            nats -= float(table.gather(2, chosen.unsqueeze(2)).sum())
        assert report.model_bits[kind] == pytest.approx(nats / math.log(2), rel=1e-9)
    if kind == "histogram":
        assert prior is not None
        p = histogram(model).probabilities()[0]
        bits = sum(-float(p[c][indices[..., c]].log2().sum()) for c in range(2))
        assert report.model_bits[kind] == pytest.approx(bits, rel=1e-3)
    assert report.model_bits[kind] / 8 <= report.index_bytes <= 1.002 * report.model_bits[kind] / 8 + 2
    assert 0 < report.header_bytes < 120
    assert report.bits_per_pixel == 8 * len(file.getvalue()) / (40 * 40 * 40)


def test_fewer_codebooks_and_a_weight_on_bits_make_smaller_files() -> None:
    model = tokenizer(num_codebooks=3, stacking="residual")
    prior = histogram(model)
    x = signals(model, 2, (32, 32))
    whole = Codec(model, prior).compress(x)
    fewer = Codec(model, prior, codebooks=1)
    back = fewer.decompress(fewer.compress(x))
    coarse = model.encode(x)
    coarse[..., 1:] = -1
    assert torch.equal(back, expected(model, x, coarse))
    lighter = Codec(model, prior, rate_weight=1.0)
    assert len(fewer.compress(x)) < len(whole)
    before = [each.rate_weight for each in tiling.codebooks_of(model)]
    lighter.compress(x)
    assert [each.rate_weight for each in tiling.codebooks_of(model)] == before
    with pytest.raises(ConfigError, match="codebooks=4: this model has 3"):
        Codec(model, codebooks=4)
    with pytest.raises(ConfigError, match="none can be left out"):
        Codec(tokenizer(num_codebooks=2), codebooks=1)
    with pytest.raises(ConfigError, match="'fsq' has no codebook that could weigh bits"):
        Codec(tokenizer(quantizer="fsq"), rate_weight=0.1)


def test_a_rate_is_met_by_weight_and_by_codebooks() -> None:
    model = tokenizer(num_codebooks=3, stacking="residual")
    for book in tiling.codebooks_of(model):
        book.uses.copy_(torch.arange(1, 17) ** 2 / 93.5)
    prior = histogram(model)
    entropy = entropy_model(prior, 16)
    x = signals(model, 2, (64, 64))
    most = 8 * len(Codec(model, prior).compress(x)) / (2 * 64 * 64)
    sizes = []
    for share in (2.0, 0.8, 0.5, 0.2):
        search = RateController(model, entropy, share * most)
        file = io.BytesIO()
        report = Compressor(model, entropy, search=search).write(file, (Signal(each.numpy()) for each in x))
        assert 8 * report.index_bytes / report.pixels <= share * most + 0.01
        sizes.append(report.file_bytes)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[3] < sizes[0] / 2
    assert sizes[1] > 0.5 * sizes[0]
    with pytest.raises(ConfigError, match="rate=0: give bits per pixel, above 0"):
        RateController(model, entropy, 0)
    with pytest.raises(ConfigError, match="this model has one rate"):
        RateController(tokenizer(quantizer="fsq"), entropy, 1.0)


def test_other_models_are_refused_by_name() -> None:
    model, other = tokenizer(), tokenizer(residual_blocks=2)
    prior = context(model)
    x = signals(model, 1, (16, 16))
    data = Codec(model, prior).compress(x)
    changed = context(model)
    next(changed.parameters()).data += 1.0
    for wrong, message in (
        (Codec(other, prior), "made with the tokenizer [0-9a-f]{32}, but [0-9a-f]{32} was given"),
        (Codec(model, changed), "made with the context model"),
        (Codec(model), "coded under a context model, and a uniform one was given"),
    ):
        with pytest.raises(WrongModelError, match=message):
            wrong.decompress(data)
    with pytest.raises(ConfigError, match="MaskedPrior computes in floating point"):
        Codec(model, MaskedPrior(16, (4, 4), hidden_channels=16, layers=1))


def test_a_model_that_computes_otherwise_is_noticed() -> None:
    """The bytes are right and the digest fits: only the checksum of the integers can tell."""
    model = tokenizer()
    prior = context(model)
    entropy = entropy_model(prior, 16)
    data = io.BytesIO()
    Compressor(model, entropy).write(data, [Signal(signals(model, 1, (32, 32))[0].numpy())])
    keep = prior.frequencies

    def swapped(items: Tensor, step: Any, **named: Any) -> Tensor:
        found = keep(items, step, **named)
        found[..., [0, 1]] = found[..., [1, 0]]
        return found

    prior.frequencies = swapped  # type: ignore[method-assign]
    with pytest.raises(BitstreamError):
        list(Decompressor(model, entropy).read(io.BytesIO(data.getvalue())))


def test_damage_is_refused_everywhere() -> None:
    model = tokenizer(num_codebooks=2, stacking="residual")
    codec = Codec(model, histogram(model))
    data = codec.compress(signals(model, 2, (12, 20)))
    rng = np.random.default_rng(0)
    for at in [*range(len(data)), *rng.integers(0, len(data), 60)]:
        changed = bytearray(data)
        changed[at] ^= 1 << int(rng.integers(8))
        with pytest.raises(BitstreamError):
            codec.decompress(bytes(changed))
    for end in range(len(data)):
        with pytest.raises((TruncatedFileError, NotAVqkFileError)):
            codec.decompress(data[:end])
    with pytest.raises(BitstreamError):
        codec.decompress(data + b"\0")


def test_more_than_is_allowed_is_refused_before_it_is_made() -> None:
    model = tokenizer()
    data = Codec(model).compress(signals(model, 1, (64, 64)))
    with pytest.raises(LimitError, match="max_values"):
        list(Decompressor(model, max_values=64 * 64 - 1).read(io.BytesIO(data)))
    assert len(list(Decompressor(model, max_values=64 * 64).read(io.BytesIO(data)))) == 1
    header = Reader(io.BytesIO(data)).header
    huge = io.BytesIO()
    writer = Writer(huge, header)
    group = GroupHeader(signals=1, size=(1 << 12, 1 << 12), tile=(1 << 10, 1 << 10))
    writer.begin(group)
    place = next(group.places(header))
    writer.block(Block(place=place, crc=0, data=b""))
    with pytest.raises(LimitError, match="not made by vqkit"):
        list(Decompressor(model, max_values=1 << 40).read(io.BytesIO(huge.getvalue())))


def test_signals_that_the_model_does_not_read_are_refused() -> None:
    model = tokenizer()
    with pytest.raises(DataError, match=r"shape \(1, 3, 8, 8\); this model reads .* channels=1"):
        Codec(model).compress(torch.zeros(3, 8, 8))
    with pytest.raises(DataError, match=r"shape \(8,\); this model reads"):
        Codec(model).compress(torch.zeros(8))


def test_inspection_adds_up() -> None:
    model = tokenizer(num_codebooks=2, stacking="residual")
    file = io.BytesIO()
    x = signals(model, 5, (16, 16))
    report = Compressor(model).write(file, (Signal(each.numpy(), f"{n}.png") for n, each in enumerate(x)))
    found = inspect_file(io.BytesIO(file.getvalue()))
    said = found.as_dict()
    assert said["file_bytes"] == len(file.getvalue()) == report.file_bytes
    assert (said["index_bytes"], said["nominal_bits"]) == (report.index_bytes, report.nominal_bits)
    assert (said["signals"], said["pixels"]) == (5, 5 * 256)
    assert said["groups"][0]["names"] == [f"{n}.png" for n in range(5)]
    assert json.dumps(said)
    assert any("5 of 16x16, 2 codebooks" in line for line in found.lines(3))


def photos(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for name, shape in (
        ("a.png", (20, 30, 3)),
        ("sub/b.png", (20, 30, 3)),
        ("sub/grey.png", (12, 9)),
        ("a.bmp", (9, 9)),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(folder / name)


def test_the_commands_go_there_and_back(vq: Any, file_run: Path, tmp_path: Path) -> None:
    photos(tmp_path / "photos")
    file, out = tmp_path / "f.vqk", tmp_path / "decoded"
    said = vq(
        "compress", tmp_path / "photos", "--model", file_run, "--out", file, "--json", tmp_path / "sizes.json"
    ).out
    assert "4 signals" in said
    for word in ("nominal", "uniform", "histogram", "context", "coded indices", "headers"):
        assert word in said
    sizes = json.loads((tmp_path / "sizes.json").read_text())
    assert sizes["file_bytes"] == file.stat().st_size
    assert sizes["index_bytes"] + sizes["header_bytes"] == sizes["file_bytes"]
    assert "every checksum holds" in vq("inspect", file).out
    assert "4 signals" in vq("decompress", file, "--model", file_run, "--out", out).out
    names = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.png"))
    assert names == ["a.bmp.png", "a.png", "sub/b.png", "sub/grey.png"]
    model = tokenizer(channels=3, num_codebooks=2, stacking="residual")
    x = torch.from_numpy(np.asarray(Image.open(tmp_path / "photos/sub/b.png")).transpose(2, 0, 1).copy())[None]
    back = np.asarray(Image.open(out / "sub/b.png")).transpose(2, 0, 1)
    assert np.array_equal(back, expected(model, x)[0].numpy())
    one = tmp_path / "one.vqk"
    vq("compress", tmp_path / "photos/a.png", "-m", file_run, "-o", one, "--rate", "0.2", "--prior", "none")
    vq("decompress", one, "-m", file_run, "-o", tmp_path / "one.png", "--fast")
    assert Image.open(tmp_path / "one.png").size == (30, 20)
    vq("compress", "digits", "-m", file_run, "-o", tmp_path / "digits.vqk", "--codebooks", "1")


def test_signals_without_a_name_do_not_overwrite_named_ones(vq: Any, file_run: Path, tmp_path: Path) -> None:
    photos(tmp_path / "photos")
    (tmp_path / "photos" / "a.png").rename(tmp_path / "photos" / "000004.png")
    np.save(tmp_path / "one.npy", np.zeros((1, 8, 8, 3), np.uint8))
    vq("compress", tmp_path / "photos", tmp_path / "one.npy", "-m", file_run, "-o", tmp_path / "f.vqk")
    vq("decompress", tmp_path / "f.vqk", "-m", file_run, "-o", tmp_path / "back")
    names = sorted(path.relative_to(tmp_path / "back").as_posix() for path in (tmp_path / "back").rglob("*.png"))
    assert len(names) == 5
    vq("compress", tmp_path / "one.npy", "-m", file_run, "-o", tmp_path / "g.vqk")
    vq("decompress", tmp_path / "g.vqk", "-m", file_run, "-o", tmp_path / "numbered")
    assert [path.name for path in (tmp_path / "numbered").iterdir()] == ["000000.png"]


def test_the_commands_refuse_in_one_line(vq: Any, file_run: Path, tmp_path: Path) -> None:
    photos(tmp_path / "photos")
    file = tmp_path / "f.vqk"
    vq("compress", tmp_path / "photos", "-m", file_run, "-o", file, "--prior", file_run / "context" / "run")
    whole = file.read_bytes()
    (tmp_path / "cut.vqk").write_bytes(whole[:-3])
    (tmp_path / "text.vqk").write_text("hello, this is no such file")
    (tmp_path / "empty").mkdir()
    model, out = ("-m", file_run), ("-o", tmp_path / "new")
    for arguments, message in (
        (("decompress", tmp_path / "cut.vqk", *model, *out), "ends"),
        (("decompress", tmp_path / "text.vqk", *model, *out), "vqk"),
        (("inspect", tmp_path / "text.vqk"), "vqk"),
        (("decompress", tmp_path / "none.vqk", *model, *out), "none.vqk"),
        (("decompress", file, *model, *out, "--prior", "none"), "context"),
        (("decompress", file, *model, "-o", tmp_path / "x.png"), "name a folder, not a .png"),
        (("decompress", file, *model, "-o", tmp_path / "photos"), "a new or empty folder"),
        (("decompress", file, *model, *out, "--max-values", "10"), "--max-values 3600"),
        (("compress", tmp_path / "empty", *model, "-o", tmp_path / "g.vqk"), "holds no images"),
        (
            ("compress", tmp_path / "photos", *model, "-o", tmp_path / "g.vqk", "--rate", "1", "--codebooks", "1"),
            "--rate",
        ),
        (("compress", tmp_path / "photos", *model, "-o", tmp_path / "g.vqk", "--codebooks", "3"), "--codebooks 3"),
        (("compress", tmp_path / "photos", *model, "-o", tmp_path / "g.vqk", "--rate", "-1"), "rate"),
    ):
        refused(vq(*arguments), message)
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "g.vqk").exists()
    assert not list(tmp_path.glob(".*.part"))
    assert issubclass(BitstreamError, VqkitError)


def lossless_group(model: VQVAE, coder: PixelCoder, **options: Any) -> bytes:
    """A file of one lossless group: all of its indices 0, its pixels of no bytes."""
    file = io.BytesIO()
    writer = Writer(file, Compressor(model, pixel_model=coder).header)
    group = GroupHeader(signals=1, lossless=True, **options)
    writer.begin(group)
    for place in group.places(writer.header):
        integers = np.zeros(group.symbols(place, writer.header), dtype=np.int64)
        writer.block(Block(place=place, crc=integers_crc(integers), data=b""))
    writer.finish()
    return file.getvalue()


def test_pixels_without_all_codebooks_are_refused() -> None:
    model = tokenizer(channels=3, num_codebooks=2, stacking="residual")
    coder = PixelCoder(pixels(model))
    data = lossless_group(model, coder, size=(5, 6), codebooks=1)
    with pytest.raises(BitstreamError, match="a lossless group with 1 of 2 codebooks"):
        list(Decompressor(model, pixel_model=coder).read(io.BytesIO(data)))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_lossless_file_restores_every_pixel(channels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tokenizer(channels=channels, num_codebooks=2, stacking="residual")
    codec = Codec(model, context(model), pixel_model=PixelCoder(pixels(model)))
    for size in ((7, 10), (3, 5), (1, 1)):
        x = signals(model, 2, size)
        assert torch.equal(codec.decompress(codec.compress(x)), x)
    monkeypatch.setitem(limits._TILE_PIXELS, 2, 12)
    x = signals(model, 1, (14, 26))
    data = codec.compress(x)
    assert torch.equal(codec.decompress(data), x)
    found = inspect_file(io.BytesIO(data))
    assert found.as_dict()["residual_bytes"] > 0
    assert found.groups[0].header.lossless
    with pytest.raises(DataError, match="a lossless file restores 8-bit images"):
        codec.compress(x.float() / 255)
    with pytest.raises(WrongModelError, match="no pixel model was given"):
        Codec(model, context(model)).decompress(data)
    other = pixels(model)
    next(other.parameters()).data += 1.0
    with pytest.raises(WrongModelError, match="made with the pixel model"):
        Codec(model, context(model), pixel_model=PixelCoder(other.eval())).decompress(data)
    for at in range(len(data) - 200, len(data), 50):
        with pytest.raises(BitstreamError):
            codec.decompress(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])


def test_the_command_keeps_pixels(vq: Any, file_run: Path, tmp_path: Path) -> None:
    photos(tmp_path / "photos")
    lossless = ("compress", tmp_path / "photos", "-m", file_run, "-o", tmp_path / "f.vqk", "--lossless")
    refused(vq(*lossless), "train one with: vqkit lossless")
    model = tokenizer(channels=3, num_codebooks=2, stacking="residual")
    pixels(model).save_pretrained(file_run / "lossless" / "model")
    assert "coded pixels" in vq(*lossless).out
    vq("decompress", tmp_path / "f.vqk", "-m", file_run, "-o", tmp_path / "back")
    for name, back in (("a.png", "a.png"), ("a.bmp", "a.bmp.png"), ("sub/b.png", "sub/b.png"), ("sub/grey.png",) * 2):
        wanted = np.asarray(Image.open(tmp_path / "photos" / name).convert("RGB"))
        assert np.array_equal(np.asarray(Image.open(tmp_path / "back" / back)), wanted)
    Image.new("RGBA", (8, 8), (1, 2, 3, 40)).save(tmp_path / "photos" / "clear.png")
    refused(vq(*lossless), "clear.png", "could not restore it as it is")
    refused(vq(*lossless, "--codebooks", "1"), "1 codebooks in a lossless file")
    refused(vq(*lossless, "--rate", "1"), "leave the rate out")
