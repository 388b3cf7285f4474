"""Streams give the indices and the samples of the whole signal, whatever the chunks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import vqkit
from tests.networks.test_sound import FRAME, model_of, networks, sounds
from vqkit.errors import ConfigError, DataError
from vqkit.models import VQVAE, Stream
from vqkit.quantizers import QUANTIZERS

CHUNKS = [1, FRAME - 1, FRAME, 7 * FRAME, 10**6]


def pieces(x: Tensor, length: int) -> Iterator[Tensor]:
    yield from x.split(length, dim=2)


def streamed(model: VQVAE, x: Tensor, length: int, stream: Stream | None = None) -> tuple[Tensor, Tensor]:
    """Indices and samples of signals in chunks, each decoded as soon as its indices are known."""
    stream = model.stream() if stream is None else stream
    indices, samples = [], []
    for chunk in pieces(x, length):
        indices.append(stream.encode(chunk))
        samples.append(stream.decode(indices[-1]))
    indices.append(stream.encode(last=True))
    samples.append(stream.decode(indices[-1], last=True, size=x.shape[2]))
    return torch.cat(indices, dim=1), torch.cat(samples, dim=2)


def check(model: VQVAE, x: Tensor, length: int, stream: Stream | None = None) -> None:
    indices, samples = streamed(model, x, length, stream)
    assert torch.equal(indices, model.encode(x))
    assert torch.equal(samples, model.reconstruct(x))


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("length", CHUNKS)
def test_any_chunks_give_the_whole(length: int, causal: bool) -> None:
    model = model_of(causal)
    for total in (1, 29, 30, 31, 299, 300) if length > 1 else (61,):
        check(model, sounds(2, total), length)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("length", [7, FRAME])
def test_a_buffer_may_be_filled_anew(causal: bool, length: int) -> None:
    model, x = model_of(causal), sounds(1, 12 * FRAME + 5)
    stream, buffer, found = model.stream(), torch.zeros(1, 1, length), []
    for chunk in pieces(x, length):
        given = buffer[:, :, : chunk.shape[2]]
        given.copy_(chunk)
        found.append(stream.encode(given))
        buffer.fill_(0.9)
    found.append(stream.encode(last=True))
    assert torch.equal(torch.cat(found, dim=1), model.encode(x))


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("quantizer", list(QUANTIZERS))
def test_every_quantizer_streams(quantizer: str, causal: bool) -> None:
    check(model_of(causal, quantizer), sounds(2, 12 * FRAME + 5), FRAME)


@pytest.mark.parametrize("stacking", ["residual", "product"])
def test_several_codebooks_stream(stacking: str) -> None:
    model = model_of(True, num_codebooks=2, stacking=stacking)
    stream = model.stream()
    assert stream.encode(sounds(2, 5)).shape == (2, 0, 2)
    assert stream.encode(sounds(2, 30)).shape == (2, 1, 2)
    check(model, sounds(2, 200), 45)


@pytest.mark.parametrize("causal", [True, False])
def test_a_stream_is_used_again_and_by_two_threads(causal: bool) -> None:
    model, before = model_of(causal, activation="snake"), torch.get_num_threads()
    stream = model.stream()
    check(model, sounds(1, 200), 45, stream)
    check(model, sounds(3, 260), 61, stream)
    x = sounds(2, 400)
    one = streamed(model, x, 70)
    try:
        torch.set_num_threads(2)
        two = streamed(model, x, 90)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(one[0], two[0])
    assert torch.equal(one[1], two[1])


@pytest.mark.parametrize("causal", [True, False])
def test_the_latency_is_what_is_said(causal: bool) -> None:
    model = model_of(causal)
    stream = model.stream()
    assert (stream.encoding_latency == FRAME) == causal
    assert (stream.decoding_latency == 0) == causal
    assert stream.latency_seconds is None
    timed = model_of(causal, kind="sound@8000").stream()
    assert timed.latency_seconds == (stream.encoding_latency + stream.decoding_latency) / 8000
    x, samples = sounds(1, 60 * FRAME), 0
    for chunk in pieces(x, 1):
        samples += 1
        if stream.encode(chunk).shape[1]:
            break
    assert samples == stream.encoding_latency
    indices, frames = model.encode(x), 0
    while not stream.decode(indices[:, frames : frames + 1]).shape[2]:
        frames += 1
    assert frames * FRAME == stream.decoding_latency


def test_other_networks_with_a_halo_stream_too() -> None:
    torch.manual_seed(0)
    model = VQVAE(16, axes=1, channels=1, code_dim=8, hidden_channels=8, residual_channels=4).eval()
    x = sounds(1, 203)
    indices, samples = streamed(model, x, 10)
    assert torch.equal(indices, model.encode(x))
    assert torch.allclose(samples, model.reconstruct(x), atol=1e-5)
    linear = VQVAE(16, axes=1, channels=1, code_dim=8, hidden_channels=8, residual_channels=4, linear_path=True).eval()
    indices, samples = streamed(linear, x, 10)
    assert torch.equal(indices, linear.encode(x))
    assert torch.allclose(samples, linear.reconstruct(x), atol=1e-5)


def test_a_causal_encoder_with_another_decoder() -> None:
    encoder, decoder = networks(True)[0], networks(False)[1]
    model = VQVAE(16, encoder=encoder, decoder=decoder, axes=1, channels=1, code_dim=8).eval()
    check(model, sounds(2, 401), 33)
    stream = model.stream()
    assert (stream.encoding_latency, stream.decoding_latency) == (FRAME, decoder.halo * FRAME)


def test_what_streams_refuse() -> None:
    model = model_of(True)
    stream = model.stream()
    with pytest.raises(DataError, match="no samples yet: give a chunk"):
        stream.encode(last=True)
    stream.encode(sounds(2, 7))
    with pytest.raises(DataError, match="a batch of 3, the stream is one of 2"):
        stream.encode(sounds(3, 7))
    with pytest.raises(DataError):
        stream.encode(torch.full((2, 1, 7), 5.0))
    with pytest.raises(ValueError, match=r"size=29: the stream had 2 frames, 60 samples"):
        stream.decode(torch.zeros(1, 2, dtype=torch.int64), last=True, size=29)
    with pytest.raises(ValueError, match="16"):
        stream.decode(torch.full((1, 2), 16))
    with pytest.raises(ConfigError, match=r"call model.eval\(\)"):
        model.train().stream()
    images = VQVAE(16, hidden_channels=8, residual_channels=4).eval()
    with pytest.raises(ConfigError, match="axes=2"):
        images.stream()
    whole: Any = nn.Conv1d(1, 8, 2, stride=2)
    whole.downsampling = 2
    up: Any = nn.ConvTranspose1d(8, 1, 2, stride=2)
    up.downsampling = 2
    with pytest.raises(ConfigError, match="the encoder, a Conv1d, says no halo"):
        VQVAE(16, axes=1, encoder=whole, decoder=up).eval().stream()


def test_a_stream_fills_gaps_as_the_whole_does() -> None:
    values = np.sin(np.arange(3000) / 7).astype(np.float32)[None, None]
    values[0, 0, 800:1500] = np.nan
    source = vqkit.load_source(values, kind="field@NCT")
    model = vqkit.VQVAE.for_source(source, 16, downsampling=4, hidden_channels=8, seed=0).eval()
    stream, x = model.stream(), torch.from_numpy(values)
    parts = [stream.encode(chunk) for chunk in x.split(101, dim=2)]
    assert torch.equal(torch.cat([*parts, stream.encode(last=True)], dim=1), model.encode(x))
