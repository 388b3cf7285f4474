"""Small models, priors and signals for the tests of compressed files; ready for use, the same at every call."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vqkit.models import VQVAE
from vqkit.pixels import PixelPrior
from vqkit.priors import ContextPrior, HistogramPrior

SMALL: dict[str, Any] = {"hidden_channels": 8, "residual_channels": 4, "residual_blocks": 1}
SIZES = {0: (), 1: (37,), 2: (18, 29), 3: (5, 9, 6)}


def tokenizer(axes: int = 2, **options: Any) -> VQVAE:
    torch.manual_seed(1)
    given = {"code_dim": 4, "channels": 2 if axes < 2 else 1, "axes": axes, "downsampling": 4 if axes else 1}
    model = VQVAE(16, **{**given, **SMALL, **options})
    model.prepare([signals(model, 64, tuple(16 for _ in SIZES[axes]))])
    return model.eval()


def signals(model: VQVAE, count: int, size: tuple[int, ...], seed: int = 0) -> Tensor:
    values = torch.rand(count, model.channels, *size, generator=torch.Generator().manual_seed(seed))
    return (values * 255).to(torch.uint8) if model.axes >= 2 else values * 2 - 1


def context(model: VQVAE, **options: Any) -> ContextPrior:
    torch.manual_seed(2)
    grid = tuple(4 for _ in SIZES[model.axes])
    prior = ContextPrior(16, grid, num_codebooks=model.num_codebooks, hidden_channels=8, layers=1, **options)
    for parameter in prior.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return prior.eval()


def histogram(model: VQVAE) -> HistogramPrior:
    prior = HistogramPrior(16, tuple(4 for _ in SIZES[model.axes]), num_codebooks=model.num_codebooks)
    prior.counts.copy_(torch.arange(16).expand_as(prior.counts) ** 2)
    return prior.eval()


def pixels(model: VQVAE) -> PixelPrior:
    torch.manual_seed(3)
    prior = PixelPrior.for_model(model, hidden_channels=8, layers=1, neighbours=4, features=4, token_channels=8)
    for parameter in prior.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    return prior.eval()
