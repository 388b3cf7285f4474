"""A prior that goes level by level is told the levels of the model whose indices it learns."""

from __future__ import annotations

from pathlib import Path

import torch

import vqkit
from vqkit.priors import NextScalePrior
from vqkit.training import TrainConfig
from vqkit.training.recipes.prior import train_prior


def test_the_prior_of_a_run_has_the_levels_of_its_model(tmp_path: Path) -> None:
    """Of scales 1 and 3, which the number of indices, 10, does not tell."""
    digits = vqkit.load_source("builtin:digits").subset(range(24))
    model = vqkit.VQVAE.for_source(
        digits, 16, quantizer="multiscale", quantizer_options={"scales": [1, 3]}, downsampling=1, hidden_channels=4
    ).eval()
    config = TrainConfig(steps=2, batch_size=8, validation="last:8", evaluations=0)
    small = {"hidden_channels": 8, "layers": 1}
    run = train_prior(model, digits, tmp_path, config=config, prior_type="next_scale", options=small, quiet=True)
    prior = run.model()
    assert isinstance(prior, NextScalePrior)
    assert prior.levels == (1, 9)
    drawn = prior.sample(2, generator=torch.Generator().manual_seed(0))
    assert drawn.shape == (2, *model.grid((8, 8)), 10)
    assert model.decode(drawn, (8, 8)).shape == (2, 1, 8, 8)
