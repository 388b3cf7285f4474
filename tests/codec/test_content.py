"""What goes into files, and what they say of it: numbers that are refused, models as they are now, many groups."""

from __future__ import annotations

import io
import math
import tracemalloc

import pytest
import torch

from tests.codec.cases import context, histogram, pixels, signals, tokenizer
from vqkit.codec import Codec, Compressor, Signal
from vqkit.codec.inspect import inspect_file
from vqkit.codec.lossless import PixelCoder
from vqkit.coding import Block, FileHeader, GroupHeader, Reader, Writer, digest
from vqkit.errors import DataError, WrongModelError
from vqkit.pretrained.base import Pretrained
from vqkit.pretrained.folder import content_hash


@pytest.mark.parametrize("dtype", [torch.int64, torch.int16, torch.uint16, torch.int8, torch.bool])
def test_integers_of_unknown_range_are_refused(dtype: torch.dtype) -> None:
    with pytest.raises(DataError, match=f"has numbers of {str(dtype)[6:]}: give uint8"):
        Compressor(tokenizer()).write(io.BytesIO(), [Signal(torch.ones(1, 8, 8).to(dtype).numpy())])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_none_are_refused(value: float) -> None:
    model, x = tokenizer(1), torch.zeros(2, 20)
    assert Codec(model).compress(x.double())
    x[1, 7] = value
    with pytest.raises(DataError, match="signals hold NaN or Inf in 1 of 40"):
        Codec(model).compress(x)
    with pytest.raises(DataError, match=r"b\.wav holds NaN or infinity"):
        Compressor(model).write(io.BytesIO(), [Signal(x.numpy(), "b.wav")])


def test_a_file_names_its_models_as_they_are_when_it_is_written() -> None:
    """A prior that is trained on after it was given codes with what it is now, and the file says so."""
    model = tokenizer(2, channels=3, num_codebooks=2, stacking="residual")
    x = signals(model, 2, (9, 14))
    counted, learned, exact = histogram(model), context(model), pixels(model)
    counted.counts.fill_(7)
    codecs = [Codec(model, counted), Codec(model, learned, pixel_model=PixelCoder(exact))]
    before = [codec.compress(x) for codec in codecs]
    with torch.no_grad():
        counted.counts[0, 0, 3] += 900
        for prior in (learned, exact):
            for parameter in prior.parameters():
                parameter.data += 0.25  # which nothing counts
    for codec, prior, old in zip(codecs, (counted, learned), before, strict=True):
        data = codec.compress(x)
        header = Reader(io.BytesIO(data)).header
        assert header.entropy_digest == digest(content_hash(prior))
        assert not header.pixel_digest or header.pixel_digest == digest(content_hash(exact))
        fresh = Codec(model, anew(prior), pixel_model=PixelCoder(anew(exact)))
        assert torch.equal(fresh.decompress(data), codec.decompress(data))
        with pytest.raises(WrongModelError, match="made with the"):
            codec.decompress(old)


def anew(prior: Pretrained) -> Pretrained:
    """The same content, with nothing left of what was derived before."""
    return type(prior).from_state(prior.config, prior.state_dict(), "here")


def many_groups(count: int) -> io.BytesIO:
    """Of one, two or three signals each; every other group has names."""
    file = io.BytesIO()
    with Writer(file, FileHeader(axes=1, channels=2, codebook_size=9, downsampling=4, tokenizer=b"t" * 16)) as writer:
        for number in range(count):
            own = 1 + number % 3
            names = tuple(f"{number}/{each}" for each in range(own)) if number % 2 else ()
            writer.begin(group := GroupHeader(signals=own, size=(9 + number % 2,), names=names))
            writer.block(Block(place=next(group.places(writer.header)), crc=0, data=b"x" * (number % 5)))
    file.seek(0)
    return file


def test_an_inspection_keeps_the_groups_that_are_shown_and_adds_up_the_others() -> None:
    found = inspect_file(many_groups(30), shown=2, names=True)
    assert (found.group_count, found.signals, found.pixels, found.values) == (30, 60, 570, 1140)
    assert (found.index_bytes, found.nominal_bits, found.max_values) == (60, 60 * 3 * 4, 60)
    assert len(found.groups) == len(found.as_dict()["groups"]) == 2
    assert found.as_dict()["group_count"] == 30
    assert found.lines(2)[-2].startswith("  group 1: 2 of 10")
    assert found.lines(2)[-1] == "  and 28 more groups"
    assert found.lines(1)[-1] == "  and 29 more groups"
    assert len(inspect_file(many_groups(30)).groups) == 10
    assert inspect_file(many_groups(2), shown=2).lines(2)[-1].startswith("  group 1")
    assert found.names[:4] == [(1, "1/0"), (2, "1/1"), (6, "3/0"), (9, "5/0")]
    assert inspect_file(many_groups(30)).names == []


def test_an_inspection_of_many_groups_needs_no_more_memory() -> None:
    peaks = []
    for count in (200, 4000):
        file = many_groups(count)
        inspect_file(many_groups(20))
        tracemalloc.start()
        found = inspect_file(file)
        assert found.lines(10)
        assert found.as_dict()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 300_000  # keeping them all takes 3 MB
