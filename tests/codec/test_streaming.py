"""Sounds compressed while they come: the indices of the whole, the same bytes from any chunks, written in time."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

import vqkit
from tests.codec.test_long_sounds import model
from vqkit.codec import Compressor, Decompressor, RateController, StreamCompressor, entropy_model
from vqkit.codec.inspect import inspect_file
from vqkit.errors import ConfigError, DataError

FRAME = 10  # samples, of the model of these tests


def sound(length: int) -> Any:
    return np.random.default_rng(0).uniform(-0.5, 0.5, (1, length)).astype(np.float32)


def streamed(compressor: Compressor, samples: Any, chunks: Sequence[int], frames: int) -> bytes:
    """The file of samples that come in chunks of these lengths, again and again."""
    file, start, number = io.BytesIO(), 0, 0
    with StreamCompressor(compressor, file, frames=frames) as stream:
        while start < samples.shape[1]:
            stream.write(samples[:, start : start + chunks[number % len(chunks)]])
            start += chunks[number % len(chunks)]
            number += 1
    return file.getvalue()


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("codebooks", [1, 2])
def test_indices_are_those_of_the_whole_and_bytes_do_not_depend_on_chunks(causal: bool, codebooks: int) -> None:
    tokenizer = model(causal=causal, codebooks=3)
    compressor = Compressor(tokenizer, codebooks=codebooks)
    for length in (1, 9, 10, 11, 70, 140, 141, 333):
        samples = sound(length)
        files = {streamed(compressor, samples, chunks, 7) for chunks in ((1,), (10,), (13, 0, 5), (length,))}
        assert len(files) == 1
        (data,) = files
        (found,) = Decompressor(tokenizer, fast=True).read(io.BytesIO(data))
        whole = tokenizer.encode(samples[None], codebooks=codebooks)
        assert torch.equal(found.indices.long(), whole.view(-1, codebooks))
        assert torch.equal(found.values, tokenizer.decode(whole, (length,))[0])
        about = inspect_file(io.BytesIO(data))
        assert (about.signals, about.pixels, about.group_count) == (1, length, max(1, -(-length // 70)))


def test_a_buffer_may_be_filled_anew() -> None:
    compressor, samples, buffer = Compressor(model(causal=True)), sound(120), np.zeros((1, 12), np.float32)
    with StreamCompressor(compressor, file := io.BytesIO(), frames=7) as stream:
        for start in range(0, 120, 12):
            buffer[:] = samples[:, start : start + 12]
            stream.write(buffer)
            buffer[:] = 0.9
    assert file.getvalue() == streamed(compressor, samples, (12,), 7)


def test_the_report_is_that_of_the_file() -> None:
    stream = StreamCompressor(Compressor(model(causal=True)), file := io.BytesIO(), frames=7)
    assert (stream.report.signals, stream.report.file_bytes, stream.seconds) == (0, 0, 0.0)
    stream.write(sound(123))
    stream.finish()
    about = inspect_file(io.BytesIO(file.getvalue()))
    report = stream.report
    assert (
        (report.signals, report.pixels, report.values) == (about.signals, about.pixels, about.values) == (1, 123, 123)
    )
    assert (report.file_bytes, report.index_bytes) == (len(file.getvalue()), about.index_bytes)
    assert report.nominal_bits == about.nominal_bits
    assert stream.seconds == 123 / 8000


class Flushed(io.BytesIO):
    """A file that knows how much of it has been flushed."""

    whole = 0

    def flush(self) -> None:
        self.whole = len(self.getvalue())


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("frames", [1, 4])
def test_a_group_is_written_once_the_latency_has_passed(causal: bool, frames: int) -> None:
    tokenizer = model(causal=causal)
    stream = StreamCompressor(Compressor(tokenizer), file := Flushed(), frames=frames)
    halo = 0 if causal else tokenizer.stream().encoding_latency - FRAME
    assert stream.latency == frames * FRAME + (halo or 1)
    samples = sound(stream.latency + 3 * frames * FRAME)
    sizes = []
    for start in range(samples.shape[1]):
        stream.write(samples[:, start : start + 1])
        sizes.append(file.whole)
    written = [place + 1 for place in range(1, len(sizes)) if sizes[place] > sizes[place - 1]]
    assert written == [stream.latency + number * frames * FRAME for number in range(4)]


def test_weights_of_bits_and_priors_hold_in_a_stream() -> None:
    tokenizer = model(causal=True)
    source = vqkit.load_source(sound(5000)[None], kind="sound@8000")
    prior = vqkit.HistogramPrior.for_tokens(vqkit.tokenize(tokenizer, source))
    entropy = entropy_model(prior, 16)
    data = streamed(Compressor(tokenizer, entropy, rate_weight=0.0), sound(500), [33], 20)
    (found,) = Decompressor(tokenizer, entropy).read(io.BytesIO(data))
    assert torch.equal(found.indices[:, 0].long(), tokenizer.encode(sound(500)[None])[0])


def test_what_makes_no_stream_is_refused() -> None:
    tokenizer, file = model(causal=True), io.BytesIO()
    with pytest.raises(DataError, match="no samples"):
        StreamCompressor(Compressor(tokenizer), file).finish()
    assert not file.getvalue()
    with pytest.raises(ConfigError, match="frames=0"):
        StreamCompressor(Compressor(tokenizer), file, frames=0)
    entropy = entropy_model(None, 16)
    with pytest.raises(ConfigError, match="not known as a whole"):
        StreamCompressor(Compressor(tokenizer, search=RateController(tokenizer, entropy, 0.1)), file)
    with pytest.raises(ConfigError, match="axes=2"):
        StreamCompressor(Compressor(vqkit.VQVAE(16, hidden_channels=8).eval()), file)
    stream = StreamCompressor(Compressor(tokenizer), file)
    with pytest.raises(DataError, match="shape"):
        stream.write(np.zeros((2, 9), np.float32))
    with pytest.raises(DataError, match="NaN"):
        stream.write(np.full((1, 9), np.nan, np.float32))
    stream.write(sound(9))
    stream.finish()
    stream.finish()  # once is enough
    with pytest.raises(ConfigError, match="finished"):
        stream.write(sound(9))
