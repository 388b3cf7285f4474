"""Gaussian quantization: the law of the nearest draw, the weighted search, and the VQ-VAE that a VAE becomes."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

import vqkit
from vqkit.errors import ConfigError
from vqkit.models import divergence_bits
from vqkit.quantizers import GaussianQuantizer, draw_margin_bits


def hits(numbers: int, sigma: float, bits_above: float, trials: int = 400) -> float:
    """The share of posteriors whose nearest draw is as near as their own noise; log2 K lies so far above the KL."""
    generator = torch.Generator().manual_seed(numbers)
    mean = torch.full((numbers,), 0.5)
    kl = 0.5 * numbers * (0.25 + sigma**2 - 1 - 2 * math.log(sigma)) / math.log(2)
    size = round(2 ** (kl + bits_above))
    found = 0
    for _ in range(trials):
        draws = torch.randn(size, numbers, generator=generator)
        found += float((draws - mean).square().sum(dim=1).min()) <= numbers * sigma**2
    return found / trials


@pytest.mark.parametrize(("numbers", "sigma"), [(1, 0.02), (2, 0.08), (4, 0.2)])
def test_nearest_draw_hits_from_the_margin_on(numbers: int, sigma: float) -> None:
    margin = draw_margin_bits(numbers)
    assert hits(numbers, sigma, margin) == pytest.approx(0.5, abs=0.1)
    assert hits(numbers, sigma, margin + 3) > 0.97
    assert hits(numbers, sigma, margin - 3) < 0.2


def test_search_weighs_numbers_by_their_precision() -> None:
    layer = GaussianQuantizer(64, 3, seed=2)
    precision = torch.tensor([100.0, 1.0, 0.01])
    layer.set_precision(precision)
    latents = torch.randn(2, 3, 5)
    wanted = ((latents[:, None] - layer.codebook[None, :, :, None]).square() * precision[None, None, :, None]).sum(2)
    assert torch.equal(layer.encode(latents), wanted.argmin(dim=1))
    with pytest.raises(ConfigError, match="3 positive"):
        layer.set_precision(torch.zeros(3))


def test_vae_becomes_a_vqvae_with_its_networks(tmp_path: Path) -> None:
    vae = vqkit.VAE(4, latent="grid", channels=1, hidden_channels=8, group_bits=5.0, group_size=2).eval()
    x = torch.rand(3, 1, 16, 16)
    model = vqkit.quantize(vae)
    assert (model.codebook_size, model.num_codebooks) == (32, 2)
    assert torch.equal(model.latents(x), vae.encode(x))
    codewords = model.quantizer.lookup(model.encode(x))
    assert torch.equal(model.reconstruct(x), vae.decode(codewords, (16, 16)))
    model.save_pretrained(tmp_path)
    assert torch.equal(vqkit.load_model(tmp_path).encode(x), model.encode(x))


def test_vector_of_latents_is_refused() -> None:
    with pytest.raises(ConfigError, match="latent='grid'"):
        vqkit.quantize(vqkit.VAE(4, size=(16, 16), channels=1, hidden_channels=8), 64)


def test_training_holds_each_group_at_its_bits(tmp_path: Path) -> None:
    data = vqkit.load_source("builtin:digits").subset(range(256))
    vae = vqkit.VAE.for_source(data, 4, latent="grid", seed=0, hidden_channels=8, linear_path=True, group_bits=3.0)
    trained = vqkit.train(vae, data, out=tmp_path / "run", steps=200, evaluations=0, quiet=True).model()
    assert divergence_bits(trained, data).tolist() == pytest.approx([3.0], abs=0.6)
