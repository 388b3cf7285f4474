"""Quantizers of several levels: what is folded comes back, prefixes stand alone, a forward pass is what is decoded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import vqkit
from vqkit.errors import ConfigError
from vqkit.models import level_options
from vqkit.ops.cells import fold_cells, unfold_cells

CASES = [("hierarchical", (1, 2)), ("hierarchical", (1, 2, 4)), ("multiscale", (1, 2, 3, 4))]


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
    assert indices.shape == (3, *model.grid((40, 33)), sum(scale**2 for scale in scales))
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
    for kind, scales in (("hierarchical", (1, 3)), ("multiscale", (2, 1)), ("multiscale", (1,)), ("pyramid", (1, 2))):
        with pytest.raises(ConfigError):
            level_options(kind, 16, level_dim=4, scales=scales)


def test_a_file_that_is_cut_after_the_coarse_level_decodes() -> None:
    for name in ("hierarchical", "multiscale"):
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
