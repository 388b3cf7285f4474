"""Bits of items add up to those of their file: each kind of signal, each prior that codes files."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch

import vqkit
from vqkit.codec import Compressor, Signal, entropy_model
from vqkit.priors import ContextPrior, HistogramPrior, Prior
from vqkit.signals import SIGNALS


def small_prior(kind: str, model: Any, indices: torch.Tensor) -> Prior:
    if kind == "histogram":
        return HistogramPrior.of(indices, model.codebook_size, grid=indices.shape[1 : 1 + model.axes])
    torch.manual_seed(0)
    grid = tuple(indices.shape[1 : 1 + model.axes])
    prior = ContextPrior(model.codebook_size, grid, num_codebooks=model.num_codebooks, hidden_channels=8, layers=1)
    for parameter in prior.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return prior.eval()


@pytest.mark.parametrize("codebooks", [1, 2])
@pytest.mark.parametrize("prior_kind", ["histogram", "context"])
@pytest.mark.parametrize("name", sorted(SIGNALS))
def test_bits_of_items_add_up_to_those_of_the_file(name: str, prior_kind: str, codebooks: int) -> None:
    kind = SIGNALS.get_part(name)()
    items = kind.example(12, np.random.default_rng(0))
    source = vqkit.load_source(items, kind=name)
    more: dict[str, Any] = {"num_codebooks": 2, "stacking": "residual"} if codebooks > 1 else {}
    model = vqkit.VQVAE.for_source(source, 8, hidden_channels=8, residual_channels=4, code_dim=4, seed=0, **more).eval()
    x = torch.from_numpy(source.gather(range(len(source))))
    prior = small_prior(prior_kind, model, model.encode(x))
    model.use_prior(prior)
    bits = model.score(source).bits
    assert bits is not None
    for alone in (False, True):
        compressor = Compressor(model, entropy_model(prior, model.codebook_size))
        compressor.alone = alone
        report = compressor.write(io.BytesIO(), (Signal(each.numpy()) for each in x))
        ideal = report.model_bits[prior_kind]
        assert ideal == pytest.approx(float(bits.sum()), rel=1e-3)  # a histogram's counts are read another way in files
        groups = len(source) if alone else 1
        assert -8 * groups <= 8 * report.index_bytes - ideal <= 128 * groups + ideal / 1000
