"""How much a file's parts may hold: what is written is within it, what is not is refused, memory stays bounded."""

from __future__ import annotations

import io
import itertools
import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.codec.cases import context, pixels, signals, tokenizer
from vqkit.codec import Codec, Decompressor, limits
from vqkit.codec import decompressor as decompressing
from vqkit.codec.entropy import models as entropy_models
from vqkit.codec.entropy.models import ContextModel
from vqkit.codec.lossless import PixelCoder
from vqkit.codec.reading import blocks
from vqkit.coding import MAX_VALUES, FileHeader, GroupHeader, grid_of, per_axis
from vqkit.errors import ConfigError, LimitError


@pytest.mark.parametrize("lossless", [False, True])
@given(
    axes=st.integers(0, 3),
    downsampling=st.sampled_from([1, 2, 4, 8, 16, 32, 3, 14, 320, (2, 5), (14, 1)]),
    halo=st.sampled_from([None, 5]),
    codebooks=st.sampled_from([1, 2, 3, 8, 17, 64, 1000]),
    channels=st.sampled_from([1, 3, 16]),
    data=st.data(),
)
def test_what_is_written_is_within_what_is_read(
    lossless: bool,
    axes: int,
    downsampling: int | tuple[int, int],
    halo: int | None,
    codebooks: int,
    channels: int,
    data: st.DataObject,
) -> None:
    axes, channels = (2, min(channels, 3)) if lossless else (axes, channels)
    downsampling = downsampling if axes == 2 or isinstance(downsampling, int) else 6
    factors = per_axis(downsampling, axes)
    longest = {0: 1, 1: 1 << 20, 2: 2000, 3: 200}[axes]
    size = tuple(data.draw(st.integers(1, longest)) for _ in range(axes))
    model: Any = SimpleNamespace(
        axes=axes,
        channels=channels,
        num_codebooks=codebooks,
        downsampling=downsampling if axes else 1,
        halo=halo,
        grid=lambda size: grid_of(size, model.downsampling),
    )
    grid = model.grid(size)
    if halo is None and math.prod(grid) * codebooks > limits.MAX_BLOCK_INDICES:
        with pytest.raises(ConfigError, match="halo"):
            limits.tile_shape(model, grid)
        return
    tile = limits.tile_shape(model, grid)
    if halo is None:
        assert tile == grid
    elif axes == 2:
        assert all(side == 1 or side * step <= 512 for side, step in zip(tile, factors, strict=True))
    count = limits.signals_at_once(model, size)
    digest = bytes(16)
    header = FileHeader(
        axes=axes,
        channels=channels,
        codebook_size=16,
        num_codebooks=codebooks,
        downsampling=model.downsampling,
        tokenizer=digest,
        entropy_model="uniform",
        pixel_digest=digest if lossless else b"",
    )
    group = GroupHeader(signals=count, size=size, codebooks=codebooks, tile=tile, lossless=lossless)
    assert group.values(header) <= MAX_VALUES
    for place in itertools.islice(group.places(header), 50):
        positions = math.prod(each.stop - each.start for each in place.tile)
        if place.kind == "indices":
            assert group.symbols(place, header) <= limits.MAX_BLOCK_INDICES
        else:
            assert count * positions * math.prod(factors) <= limits.MAX_BLOCK_PIXELS or halo is None


def test_a_block_of_too_many_indices_or_pixels_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tokenizer(2)
    x = signals(model, 3, (20, 20))
    pixel_model = PixelCoder(pixels(model))
    lossy, lossless = (Codec(model, pixel_model=each).compress(x) for each in (None, pixel_model))
    for name, data, what in (("INDICES", lossy, "indices"), ("PIXELS", lossless, "pixels")):
        monkeypatch.setattr(blocks, f"MAX_BLOCK_{name}", 60)
        with pytest.raises(LimitError, match=f"{what}: at most 60 are decoded at once"):
            list(Decompressor(model, pixel_model=pixel_model).read(io.BytesIO(data)))
        monkeypatch.undo()
    assert torch.equal(Codec(model, pixel_model=pixel_model).decompress(lossless), x)


def test_many_positions_of_many_codes_are_coded_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same bytes, with tables of a few rows."""
    model = tokenizer(2)
    x, prior = signals(model, 2, (40, 44)), context(model)
    whole = Codec(model, prior).compress(x)
    monkeypatch.setattr(entropy_models, "_ROWS", 2 * 16)
    rows = []
    plain = ContextModel.parts

    def seen(self: ContextModel, *given: Any) -> Any:
        for where, table in plain(self, *given):
            rows.append(len(table))
            yield where, table

    monkeypatch.setattr(ContextModel, "parts", seen)
    assert Codec(model, prior).compress(x) == whole
    assert max(rows) == 2
    found = Codec(model, prior).decompress(whole)
    monkeypatch.undo()
    assert torch.equal(found, Codec(model, prior).decompress(whole))


def test_a_large_file_may_fill_a_disk_and_a_small_one_not(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tokenizer(2)
    data = Codec(model).compress(signals(model, 200, (20, 20)))
    monkeypatch.setattr(decompressing, "MAX_TOTAL_VALUES", 30_000)
    monkeypatch.setattr(decompressing, "MAX_VALUES_PER_BYTE", 1)
    few = Decompressor(model, max_values=30_000)
    with pytest.raises(LimitError, match="small one cannot fill the disk"):
        list(few.read(io.BytesIO(data)))
    monkeypatch.setattr(decompressing, "MAX_VALUES_PER_BYTE", 100)
    assert len(list(few.read(io.BytesIO(data)))) == 200
    monkeypatch.setattr(decompressing, "MAX_VALUES_PER_BYTE", 1)
    assert len(list(Decompressor(model, max_values=90_000).read(io.BytesIO(data)))) == 200
