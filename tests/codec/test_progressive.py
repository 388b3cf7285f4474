"""Progressive files: any number of first codebooks decodes to what these alone mean, and the rest need not be there."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.cli.cases import refused
from tests.codec.cases import SIZES, context, histogram, pixels, signals, tokenizer
from tests.codec.test_vqk import expected
from vqkit.codec import Codec, Compressor, Decompressor, Signal, StreamCompressor, entropy_model, limits
from vqkit.codec.lossless import PixelCoder
from vqkit.codec.resuming.file import going_on
from vqkit.coding import Reader
from vqkit.errors import BitstreamError, ConfigError, TruncatedFileError
from vqkit.models import VQVAE

RESIDUAL: dict[str, Any] = {"num_codebooks": 3, "stacking": "residual"}


def first(model: VQVAE, x: torch.Tensor, codebooks: int) -> torch.Tensor:
    """Indices with those of later codebooks left out."""
    found = model.encode(x)
    found[..., codebooks:] = -1
    return found


def file_of(model: VQVAE, x: torch.Tensor, **options: Any) -> tuple[bytes, Any]:
    file, entropy = io.BytesIO(), entropy_model(context(model), 16)
    Compressor(model, entropy, **options).write(file, [Signal(each.numpy()) for each in x])
    return file.getvalue(), entropy


@pytest.mark.parametrize("progressive", [True, False])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_the_first_codebooks_are_a_coarser_signal(
    axes: int, progressive: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(limits._TILE_POSITIONS, axes, 3)
    model = tokenizer(axes, **RESIDUAL)
    x = signals(model, 2, SIZES[axes])
    codec = Codec(model, context(model), progressive=progressive)
    data = codec.compress(x)
    for codebooks in (1, 2, 3):
        assert torch.equal(codec.decompress(data, codebooks=codebooks), expected(model, x, first(model, x, codebooks)))
    assert torch.equal(codec.decompress(data), expected(model, x))


@pytest.mark.parametrize("codebooks", [1, 2])
def test_the_rest_need_not_be_there(codebooks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(limits._TILE_POSITIONS, 2, 3)
    model = tokenizer(**RESIDUAL)
    x = signals(model, 2, (18, 29))
    data, entropy = file_of(model, x, progressive=True)
    reader = Reader(whole := io.BytesIO(data))
    group = next(iter(reader))
    ends = [whole.tell() for block in group if block.place.first_codebook < codebooks]
    found: list[torch.Tensor] = []
    reading = Decompressor(model, entropy, codebooks=codebooks).read(io.BytesIO(data[: ends[-1]]))
    with pytest.raises(TruncatedFileError):
        found.extend(each.values for each in reading)
    assert torch.equal(torch.stack(found), expected(model, x, first(model, x, codebooks)))
    with pytest.raises(TruncatedFileError):
        next(Decompressor(model, entropy, codebooks=codebooks).read(io.BytesIO(data[: ends[-1] - 1])))
    damaged = data[: ends[-1] + 9] + bytes([data[ends[-1] + 9] ^ 1]) + data[ends[-1] + 10 :]
    with pytest.raises(BitstreamError):  # what was not needed is verified nevertheless
        list(Decompressor(model, entropy, codebooks=codebooks).read(io.BytesIO(damaged)))


def test_sounds_of_several_sizes_and_long_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(limits._TILE_POSITIONS, 1, 5)
    model = tokenizer(1, channels=1, kind="sound@16000", **RESIDUAL)
    entropy = entropy_model(histogram(model), 16)
    sounds = [signals(model, 1, (length,), seed=length)[0] for length in (12, 16, 97)]
    for progressive in (False, True):
        file = io.BytesIO()
        writer = Compressor(model, entropy, progressive=progressive)
        writer.write(file, [Signal(each.numpy()) for each in sounds])
        assert any(group.header.sizes for group in Reader(io.BytesIO(file.getvalue())))
        found = list(Decompressor(model, entropy, codebooks=2).read(io.BytesIO(file.getvalue())))
        for each, sound in zip(found, sounds, strict=True):
            np.testing.assert_array_equal(each.indices.long(), model.encode(sound[None])[0][:, :2])
            torch.testing.assert_close(each.values, model.decode(first(model, sound[None], 2), sound.shape[1:])[0])


def test_a_lossless_file_has_coarse_signals_in_it() -> None:
    model = tokenizer(**RESIDUAL)
    x = signals(model, 1, (18, 29))
    coder = PixelCoder(pixels(model))
    for progressive in (False, True):
        data, entropy = file_of(model, x, pixel_model=coder, progressive=progressive)
        (coarse,) = Decompressor(model, entropy, codebooks=2).read(io.BytesIO(data))
        assert torch.equal(coarse.values, expected(model, x, first(model, x, 2))[0])
        (whole,) = Decompressor(model, entropy, pixel_model=coder).read(io.BytesIO(data))
        assert torch.equal(whole.values, x[0])


def test_an_interrupted_one_goes_on(tmp_path: Path) -> None:
    model = tokenizer(**RESIDUAL)
    x = signals(model, 2, (18, 29))
    want, entropy = file_of(model, x, progressive=True)
    given = [Signal(each.numpy()) for each in x]

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with (
        pytest.raises(KeyboardInterrupt),
        going_on(writer := Compressor(model, entropy, progressive=True), tmp_path / "a"),
    ):
        writer.write(io.BytesIO(), given, progress=stop)
    with going_on(writer, tmp_path / "a") as memory:
        writer.write(found := io.BytesIO(), given)
    assert found.getvalue() == want
    assert (memory.made, memory.found) == (0, 4)


def test_a_model_whose_codebooks_belong_together_is_refused() -> None:
    for model in (tokenizer(), tokenizer(num_codebooks=2, stacking="product")):
        with pytest.raises(ConfigError, match="progressive=True: this model has"):
            Codec(model, progressive=True)
    with pytest.raises(ConfigError, match="codebooks=1: the 2 codebooks of this model"):
        Decompressor(model, codebooks=1)
    sound = tokenizer(1, channels=1, kind="sound@16000", **RESIDUAL)
    with pytest.raises(ConfigError, match="progressive=True: a stream"):
        StreamCompressor(Compressor(sound, progressive=True), io.BytesIO())


def test_a_file_that_was_cut_short_decodes_to_what_is_there(vq: Any, file_run: Path, tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    for name in ("a", "b"):
        Image.fromarray(values).save(tmp_path / f"{name}.png")
    file, cut, model = tmp_path / "f.vqk", tmp_path / "cut.vqk", ("-m", file_run)
    vq("compress", tmp_path / "a.png", *model, "-o", file, "--progressive")
    data = file.read_bytes()
    reader = Reader(whole := io.BytesIO(data))
    ends = [whole.tell() for block in next(iter(reader))]
    assert len(ends) == 2
    vq("decompress", file, *model, "-o", tmp_path / "want.png", "--codebooks", "1")
    for end in (ends[0], ends[1] - 1):
        cut.write_bytes(data[:end])
        refused(vq("decompress", cut, *model, "-o", tmp_path / "n.png"), "--codebooks 1 decodes what is there")
        refused(vq("decompress", cut, *model, "-o", tmp_path / "n.png", "--codebooks", "2"), "1 of 2 codebooks")
        shown = vq("decompress", cut, *model, "-o", tmp_path / f"{end}.png", "--codebooks", "1")
        assert "cut short" in shown.err
        assert (tmp_path / f"{end}.png").read_bytes() == (tmp_path / "want.png").read_bytes()
    cut.write_bytes(data[: ends[0] - 1])
    told = vq("decompress", cut, *model, "-o", tmp_path / "n.png", "--codebooks", "1")
    refused(told, "cut short")
    assert "decodes what is there" not in told.err
    vq("compress", tmp_path / "a.png", tmp_path / "b.png", *model, "-o", tmp_path / "two.vqk", "--progressive")
    cut.write_bytes((tmp_path / "two.vqk").read_bytes()[:-3])
    assert "cut short" in vq("decompress", cut, *model, "-o", tmp_path / "two", "--codebooks", "2").err
    assert len(list((tmp_path / "two").iterdir())) == 2
