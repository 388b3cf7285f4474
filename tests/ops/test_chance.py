"""One generator, one sequence, whatever device a model is on; and codebooks that begin alike beside another default."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from vqkit import chance
from vqkit.likelihoods import build_likelihood
from vqkit.likelihoods.base import Unit
from vqkit.models import PCA, VAE, VQVAE, Autoencoder
from vqkit.ops import kmeans
from vqkit.quantizers.codebook.restart import draw, first_codebook

META, CPU = torch.device("meta"), torch.device("cpu")


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def test_draws_are_those_of_the_generator_and_end_on_the_device() -> None:
    assert torch.equal(chance.normal((5, 2), seeded(), CPU), torch.randn(5, 2, generator=seeded()))
    assert torch.equal(chance.uniform((5,), seeded(), CPU), torch.rand(5, generator=seeded()))
    assert torch.equal(chance.integers(9, (7,), seeded(), CPU), torch.randint(9, (7,), generator=seeded()))
    weights = torch.tensor([0.0, 1.0, 3.0])
    want = torch.multinomial(weights, 20, replacement=True, generator=seeded())
    assert torch.equal(chance.chosen(weights, 20, seeded()), want)
    for made in (
        chance.normal((2,), seeded(), META),
        chance.uniform((2,), seeded(), META, torch.float64),
        chance.integers(4, (2,), seeded(), META),
    ):
        assert made.is_meta  # a CPU generator refuses to draw there itself
    with pytest.raises(RuntimeError):
        torch.randn(2, generator=seeded(), device="meta").to("cpu")


TINY: dict[str, Any] = {"hidden_channels": 8, "residual_channels": 4, "channels": 1}
MODELS: dict[str, Callable[[], Any]] = {
    "pca": lambda: PCA(4, channels=1, size=[8, 8]),
    "pca whitened": lambda: PCA(4, channels=1, size=[8, 8], whiten=True),
    "vae": lambda: VAE(4, size=[8, 8], **TINY),
    "vqvae": lambda: VQVAE(16, code_dim=8, **TINY),
}


@pytest.mark.parametrize("name", MODELS)
def test_models_elsewhere_sample_with_a_cpu_generator(name: str) -> None:
    model = MODELS[name]().to("meta").eval()
    drawn = model.sample_codes(3, (8, 8), seeded())
    assert drawn.is_meta
    assert drawn.shape == MODELS[name]().sample_codes(3, (8, 8), seeded()).shape


@pytest.mark.parametrize("components", [1, 3])
def test_a_density_elsewhere_samples_with_a_cpu_generator(components: int) -> None:
    model = Autoencoder(4, size=[8, 8], density_components=components, **TINY)
    want = model.density.sample(5, seeded())
    assert torch.equal(model.density.sample(5, seeded()), want)
    assert want.shape == (5, 4)


@pytest.mark.parametrize("name", ["gaussian", "logistic", "logistic_mixture"])
def test_likelihoods_elsewhere_sample_with_a_cpu_generator(name: str) -> None:
    likelihood = build_likelihood(name, 1, 256)
    raw = torch.randn(2, likelihood.outputs, 4, 4)
    want = likelihood.sample(raw, Unit(0.5, 0.25), seeded())
    assert torch.equal(likelihood.sample(raw, Unit(0.5, 0.25), seeded()), want)
    made = likelihood.to("meta").sample(raw.to("meta"), Unit(0.5, 0.25), seeded())
    assert made.is_meta


def test_another_default_device_changes_no_codebook() -> None:
    points = torch.randn(50, 3, generator=seeded())
    want = first_codebook(points, 64, 0), kmeans(points, 8, generator=seeded()), draw(9, 4, 1), draw(2, 4, 1)
    with torch.device("meta"):
        drawn = draw(9, 4, 1), draw(2, 4, 1)
    assert torch.equal(drawn[0], want[2])
    assert torch.equal(drawn[1], want[3])
