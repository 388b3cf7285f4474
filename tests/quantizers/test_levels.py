"""Quantizers of several levels: what is folded comes back, prefixes stand alone, a forward pass is what is decoded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import vqkit
from vqkit.errors import ConfigError
from vqkit.models import level_options, model_rates
from vqkit.ops.cells import fold_cells, unfold_cells
from vqkit.ops.linear.haar import band_sizes, from_haar_bands, haar_bands
from vqkit.quantizers import EMAVectorQuantizer, WaveletQuantizer

CASES = [("hierarchical", (1, 2)), ("hierarchical", (1, 2, 4)), ("multiscale", (1, 2, 3, 4)), ("wavelet", (1, 2, 4))]


def model_of(kind: str, scales: tuple[int, ...], **options: Any) -> vqkit.VQVAE:
    torch.manual_seed(0)
    made = level_options(kind, 16, level_dim=4, scales=scales, **options)
    model = vqkit.VQVAE(**made, hidden_channels=8, residual_channels=4)
    model.prepare([torch.rand(4, 3, 40, 33)])
    return model


@pytest.mark.parametrize("grid", [(8,), (4, 8), (4, 4, 8)])
def test_cells_come_back(grid: tuple[int, ...]) -> None:
    values = torch.randn(2, 3, *grid)
    assert torch.equal(unfold_cells(fold_cells(values, 4), 4), values)


@pytest.mark.parametrize(("kind", "scales"), CASES)
def test_decoding_the_indices_gives_the_forward_pass(kind: str, scales: tuple[int, ...]) -> None:
    model = model_of(kind, scales).eval()
    x = torch.rand(3, 3, 40, 33)
    indices = model.encode(x)
    every = scales[-1] ** 2 if kind == "wavelet" else sum(scale**2 for scale in scales)
    assert indices.shape == (3, *model.grid((40, 33)), every)
    with torch.no_grad():
        out = model(x)
    assert torch.equal(out.indices, indices)
    assert torch.equal(model.quantizer.lookup(indices), model.quantizer(model.latents(x)).quantized)
    assert torch.equal(model.encode(x[:1]), indices[:1])


@pytest.mark.parametrize(("kind", "scales"), CASES)
def test_the_first_levels_do_not_depend_on_the_others(kind: str, scales: tuple[int, ...]) -> None:
    model = model_of(kind, scales).eval()
    x = torch.rand(2, 3, 40, 33)
    indices = model.encode(x)
    for count in (1, 2, 1 + scales[1] ** 2):
        assert torch.equal(model.encode(x, codebooks=count), indices[..., :count])
        hidden = torch.where(torch.arange(indices.shape[-1]) < count, indices, -1)
        assert torch.equal(model.quantizer.lookup(indices[..., :count]), model.quantizer.lookup(hidden))


@pytest.mark.parametrize(("kind", "scales"), CASES)
def test_every_part_learns(kind: str, scales: tuple[int, ...]) -> None:
    model = model_of(kind, scales, dropout=0.0).train()
    model(torch.rand(4, 3, 40, 33)).loss.backward()
    assert all(each.grad is not None for each in model.parameters())


def test_scales_that_do_not_fit_are_refused() -> None:
    for kind, scales in (
        ("hierarchical", (1, 3)),
        ("multiscale", (2, 1)),
        ("multiscale", (1,)),
        ("wavelet", (1, 3)),
        ("pyramid", (1, 2)),
    ):
        with pytest.raises(ConfigError):
            level_options(kind, 16, level_dim=4, scales=scales)


def test_a_file_that_is_cut_after_the_coarse_level_decodes() -> None:
    for name in ("hierarchical", "multiscale", "wavelet"):
        torch.manual_seed(0)
        source = vqkit.load_source(np.random.default_rng(0).integers(0, 256, (4, 28, 28), np.uint8))
        model = vqkit.VQVAE.for_source(source, 16, quantizer=name, hidden_channels=8, residual_channels=4).eval()
        data = vqkit.Codec(model).compress(source)
        whole = vqkit.Codec(model).decompress(data)
        images = torch.from_numpy(source.gather(range(4)))
        assert torch.equal(whole, (model.decode(model.encode(images), (28, 28)) * 255).round().to(torch.uint8))
        coarse = vqkit.Codec(model).decompress(data, codebooks=1)
        wanted = model.decode(model.encode(images, codebooks=1), (28, 28))
        assert torch.equal(coarse, (wanted * 255).round().to(torch.uint8))


def haar_matrix(length: int) -> torch.Tensor:
    """The orthonormal Haar matrix by the recursion with Kronecker products, coarse to fine."""
    if length == 1:
        return torch.ones(1, 1, dtype=torch.float64)
    half = torch.eye(length // 2, dtype=torch.float64)
    low = torch.kron(haar_matrix(length // 2), torch.tensor([[1.0, 1.0]], dtype=torch.float64))
    return torch.cat([low, torch.kron(half, torch.tensor([[1.0, -1.0]], dtype=torch.float64))]) / 2**0.5


def test_bands_of_one_axis_are_the_haar_matrix() -> None:
    values = torch.randn(5, 2 * 8, 3, dtype=torch.float64)
    found = torch.cat(haar_bands(values, 8, 1), dim=2)
    wanted = torch.einsum("pq,bdqn->bdpn", haar_matrix(8), values.unflatten(1, (2, 8)))
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize(("axes", "cell"), [(1, 8), (2, 4), (3, 2)])
def test_bands_keep_lengths_and_come_back(axes: int, cell: int) -> None:
    values = torch.randn(2, 3 * cell**axes, *[3] * axes, dtype=torch.float64)
    bands = haar_bands(values, cell, axes)
    assert tuple(band.shape[2] for band in bands) == band_sizes(cell, axes)
    torch.testing.assert_close(sum(band.square().sum() for band in bands), values.square().sum())
    torch.testing.assert_close(from_haar_bands(bands, axes), values)


def test_first_bands_are_the_means_of_blocks() -> None:
    """With the differences left out each block of a cell holds its mean: the length of a prefix is its resolution."""
    fine = torch.randn(2, 3, 8, 12, dtype=torch.float64)
    bands = haar_bands(fold_cells(fine, 4), 4, 2)
    cut = unfold_cells(from_haar_bands([bands[0], bands[1], torch.zeros_like(bands[2])], 2), 4)
    means = torch.nn.functional.avg_pool2d(fine, 2)
    torch.testing.assert_close(cut, means.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3))


def test_dropout_over_positions_trains_whole_prefixes() -> None:
    torch.manual_seed(0)
    layer = WaveletQuantizer([EMAVectorQuantizer(16, 4) for _ in range(3)], scales=(1, 2, 4), dropout=1.0).train()
    found = layer(torch.randn(64, 64, 2, 2))
    kept = (found.indices >= 0).sum(dim=-1)
    assert set(kept.flatten().tolist()) == {1, 4}
    assert torch.equal(kept.amin(dim=(1, 2)), kept.amax(dim=(1, 2)))  # of a signal everywhere the same
    layer.eval()
    assert layer(torch.randn(2, 64, 2, 2)).indices.min() >= 0


def test_a_model_with_levels_has_a_rate_for_each() -> None:
    counts = {kind: [rate.codebooks for rate in model_rates(model_of(kind, scales))] for kind, scales in CASES}
    assert counts == {"hierarchical": [1, 5, 21], "multiscale": [1, 5, 14, 30], "wavelet": [1, 4, 16]}
    assert [rate.codebooks for rate in model_rates(model_of("wavelet", (1, 2), dropout=0.0))] == [4]


def test_a_prefix_of_positions_holds_more_than_as_many_of_a_plain_order() -> None:
    """Smooth latents: the error of a quarter of the coefficients is far below that of leaving out three of four."""
    torch.manual_seed(0)
    layer = WaveletQuantizer([EMAVectorQuantizer(64, 1) for _ in range(3)], scales=(1, 2, 4)).eval()
    fine = torch.nn.functional.interpolate(torch.randn(32, 1, 5, 5), size=(16, 16), mode="bilinear")
    latents = fold_cells(fine, 4)
    layer.initialize(latents.movedim(1, -1).flatten(0, -2))
    errors = [
        float((layer.lookup(layer.encode(latents)[..., :count]) - latents).square().mean()) for count in (1, 4, 16)
    ]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
    assert errors[1] < 0.2 * float(latents.square().mean())


def test_levels_that_are_left_out_have_no_gradient() -> None:
    """Seen red with one straight-through gradient for all, which cost every length 0.3 to 0.5 dB in 400 steps."""
    torch.manual_seed(0)
    layer = WaveletQuantizer([EMAVectorQuantizer(16, 4) for _ in range(3)], scales=(1, 2, 4), dropout=1.0).train()
    latents = torch.randn(8, 64, 2, 2, requires_grad=True)
    found = layer(latents)
    (gradient,) = torch.autograd.grad((found.quantized * torch.randn_like(found.quantized)).sum(), latents)
    kept = found.indices >= 0
    lengths = torch.cat([band.square().sum(dim=1) for band in haar_bands(gradient, 4, 2)], dim=1).movedim(1, -1)
    assert lengths[~kept].max() < 1e-9
    assert lengths[kept].min() > 1e-6
