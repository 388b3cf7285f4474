"""The lapped transform beside ConvNeXt: a codec before any training, the same numbers in fixed point."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vqkit.networks import ConvNeXtDecoder, ConvNeXtEncoder
from vqkit.networks.sound.lapped import Companding, LappedAnalysis, LappedSynthesis, lapped_basis
from vqkit.networks.sound.passes import Pass


def pair(strides: list[int], channels: int, latents: int, *, causal: bool) -> tuple[nn.Module, nn.Module]:
    """Networks whose layers beside the transform are silent, and whose gain is 1."""
    options = {"strides": strides, "hidden_channels": 8, "causal": causal, "lapped": True}
    encoder, decoder = ConvNeXtEncoder(channels, latents, **options), ConvNeXtDecoder(latents, channels, **options)
    analysis, synthesis = encoder.layers.layers[0], decoder.layers.layers[0]
    assert isinstance(analysis, LappedAnalysis)
    assert isinstance(synthesis, LappedSynthesis)
    with torch.no_grad():
        for layer in (analysis.beside.layers[-1], synthesis.gain.layers[-1], synthesis.beside.layers[-2]):
            layer.weight.zero_()
        synthesis.beside.layers[-2].bias.fill_(-10)
    return encoder.eval(), decoder.eval()


@pytest.mark.parametrize("stride", [1, 2, 7, 8, 30])
def test_the_basis_is_orthonormal_and_overlapping_frames_give_the_signal_back(stride: int) -> None:
    basis = lapped_basis(stride, stride)
    assert torch.allclose(basis @ basis.T, torch.eye(stride, dtype=torch.float64), atol=1e-12)
    assert torch.allclose(basis[:, :stride] @ basis[:, stride:].T, torch.zeros(stride, stride).double(), atol=1e-12)
    x = np.random.default_rng(0).normal(size=10 * stride)
    back = np.zeros_like(x)
    for start in range(0, 9 * stride, stride):
        window = slice(start, start + 2 * stride)
        back[window] += basis.numpy().T @ (basis.numpy() @ x[window])
    assert np.allclose(back[stride:-stride], x[stride:-stride])


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("strides", "within"), [([10, 3, 2], 1e-4), ([7, 7], 5e-3)])
def test_untrained_networks_give_the_signal_back(
    strides: list[int], within: float, channels: int, causal: bool
) -> None:
    """With as many latents as samples: what they are divided by is put back here, which the gain learns."""
    step = math.prod(strides)
    encoder, decoder = pair(strides, channels, step * channels, causal=causal)
    x = torch.randn(2, channels, 12 * step, generator=torch.Generator().manual_seed(0))
    levels = encoder.layers.layers[0].companding(x.double(), Pass(exact=True))
    with torch.no_grad():
        back = decoder((encoder(x) * levels).float())
    inner = slice(2 * step, -2 * step)
    assert float((back - x)[:, :, inner].square().mean().sqrt()) < within


def test_fewer_latents_keep_the_low_frequencies() -> None:
    encoder, decoder = pair([10, 4], 1, 10, causal=False)
    time = torch.arange(40 * 30) / 40
    low, high = (torch.sin(2 * math.pi * cycles * time).expand(1, 1, -1) for cycles in (3.1, 15.2))
    for x, kept in ((low, 0.9), (high, 0.0)):
        levels = encoder.layers.layers[0].companding(x.double(), Pass(exact=True))
        with torch.no_grad():
            back = decoder((encoder(x) * levels).float())
        share = 1 - float((back - x)[:, :, 80:-80].square().sum() / x[:, :, 80:-80].square().sum())
        assert share == pytest.approx(kept, abs=0.1)


def test_companding_halves_the_range_of_levels() -> None:
    encoder, _ = pair([10, 3], 1, 8, causal=False)
    x = torch.randn(1, 1, 600, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        loud, soft = (float(encoder(x * size).std()) for size in (100.0, 1.0))
    assert loud / soft == pytest.approx(10, rel=0.01)


@pytest.mark.parametrize("causal", [False, True])
def test_levels_are_those_of_windows_and_add_up_alike_in_any_order(causal: bool) -> None:
    layer = Companding(3, 400, causal=causal)
    numbers = torch.randint(-(1 << 25), 1 << 25, (2, 3, 2400), generator=torch.Generator().manual_seed(0))
    x = numbers.double() * 2.0**-15  # the largest of fixed point
    exact = layer(x, Pass(exact=True))
    turned = x.flip(1).unflatten(2, (-1, 400)).flip(3).flatten(2)  # the same blocks of every window, turned around
    if causal:
        assert torch.equal(layer(turned, Pass(exact=True)), exact)
    padded = nn.functional.pad(x, (layer.left, layer.right))
    wanted = (padded.square().mean(dim=1, keepdim=True).unfold(2, 800, 400).mean(dim=3) + 1e-3) ** 0.25
    assert torch.allclose(exact, wanted, rtol=1e-5)
    assert torch.allclose(layer(x, Pass()), wanted, rtol=1e-9)


def test_gains_lie_near_no_tie() -> None:
    """Every number that the layer before can emit: a library that is off in the last bits rounds it alike."""
    logs = torch.arange(-(4 << 15), (4 << 15) + 1, dtype=torch.float64) / (1 << 15)
    scaled = logs.exp() * (1 << 15)
    distance: Tensor = (scaled - scaled.floor() - 0.5).abs()
    assert float(distance.min()) > 1e-7
