"""The categorical likelihood: levels of images and of mu-law, probabilities, draws."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from vqkit.errors import ConfigError
from vqkit.likelihoods import LIKELIHOODS, Categorical, Likelihood, Unit, build_likelihood
from vqkit.likelihoods.categorical import compressed, expanded

SOUND = Unit(0.02, 0.3, None)


def raw_of(likelihood: Likelihood, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(shape[0], likelihood.outputs, *shape[1:], generator=generator, dtype=torch.float64)


def oracle_level(x: float) -> int:
    """The nearest of the values of mu-law on the companded scale, by trying all."""
    companded = math.copysign(math.log(1 + 255 * min(abs(x), 1)) / math.log(256), x)
    return min(range(256), key=lambda level: abs(2 * level / 255 - 1 - companded))


def test_mu_law_levels_are_the_nearest_on_the_companded_scale() -> None:
    values = np.concatenate([np.linspace(-1.1, 1.1, 230), np.geomspace(1e-6, 1, 50), -np.geomspace(1e-6, 1, 50)])
    found = compressed(torch.from_numpy(values))
    assert found.tolist() == [oracle_level(value) for value in values]
    assert torch.equal(compressed(torch.from_numpy(values.astype(np.float32))), found)
    assert compressed(torch.zeros(1)).tolist() == [128]  # as near to 127


def test_levels_and_their_values_are_inverse() -> None:
    levels = torch.arange(256, dtype=torch.float64)
    for dtype in (torch.float32, torch.float64):
        assert torch.equal(compressed(expanded(levels).to(dtype)), levels)
    assert expanded(levels).diff().min() > 0
    likelihood = Categorical(1)
    x = torch.rand(1, 1, 500, dtype=torch.float64) * 2 - 1
    once = likelihood.discretized(x, SOUND)
    assert torch.equal(likelihood.discretized(once, SOUND), once)
    assert float((once - x).abs().max()) < 0.0222


@pytest.mark.parametrize(("levels", "channels"), [(None, 1), (None, 2), (5, 3), (256, 1)])
def test_probabilities_of_all_levels_sum_to_one_and_equal_the_softmax(levels: int | None, channels: int) -> None:
    likelihood, unit = Categorical(channels, levels), replace(SOUND, levels=levels)
    raw = raw_of(likelihood, 2, 3)
    values = likelihood.values(unit, raw)
    table = raw.view(2, channels, len(values), 3)
    expected = table - table.exp().sum(dim=2, keepdim=True).log()
    total = torch.zeros(2, 3, dtype=torch.float64)
    for level, value in enumerate(values):
        x = torch.full((2, channels, 3), float(value), dtype=torch.float64)
        found = likelihood.log_prob(raw, x, unit)
        assert torch.allclose(found, expected[:, :, level].sum(dim=1), rtol=1e-12, atol=1e-12)
        x[:, 1:] = values[0]  # the first channel alone takes all its levels
        total += (likelihood.log_prob(raw, x, unit) - expected[:, 1:, 0].sum(dim=1)).exp()
    assert torch.allclose(total, torch.ones_like(total), rtol=1e-12)


def test_the_expected_value_is_the_sum_over_levels_in_a_networks_numbers() -> None:
    likelihood = Categorical(2)
    raw = raw_of(likelihood, 2, 3)
    values = likelihood.values(SOUND, raw)
    weights = raw.view(2, 2, 256, 3).softmax(dim=2)
    expected = (weights * values.view(1, 1, -1, 1)).sum(dim=2)
    assert torch.allclose(likelihood.mean(raw), expected)
    assert torch.allclose(likelihood.expected(raw, SOUND) * SOUND.std + SOUND.mean, expected)


@pytest.mark.parametrize("name", list(LIKELIHOODS))
def test_draws_follow_the_distribution_and_do_not_depend_on_the_batch(name: str) -> None:
    unit = Unit(0.45, 0.25, 256)
    likelihood = build_likelihood(name, 2, 256).double()
    raw = 0.5 * raw_of(likelihood, 3, 4)
    uniform = torch.rand(3, likelihood.draws, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    drawn = likelihood.draw(raw, uniform, unit)
    assert torch.equal(likelihood.draw(raw[1:2, :, 2:], uniform[1:2, :, 2:], unit), drawn[1:2, :, 2:])
    assert torch.equal(likelihood.draw(raw, uniform, unit, 0.0), likelihood.draw(raw, uniform.flip(0), unit, 0.0))
    several = 20_000
    one = raw[:1, :, :1].expand(-1, -1, several)
    noise = torch.rand(1, likelihood.draws, several, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    many, cold = likelihood.draw(one, noise, unit), likelihood.draw(one, noise, unit, 0.05)
    by_sample = likelihood.sample(one, unit, torch.Generator().manual_seed(3))
    for channel in range(2):
        spread = float(by_sample[0, channel].std())
        assert float(many[0, channel].mean()) == pytest.approx(float(by_sample[0, channel].mean()), abs=spread / 20)
        assert float(many[0, channel].std()) == pytest.approx(spread, rel=0.05)
        assert float(cold[0, channel].std()) < 0.8 * spread


def test_a_draw_of_levels_has_their_probabilities() -> None:
    likelihood = Categorical(1)
    raw = torch.full((1, 256, 1), -30.0, dtype=torch.float64)
    raw[0, [3, 100, 255], 0] = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64).log()
    uniform = (torch.arange(1000, dtype=torch.float64).view(1, 1, -1) + 0.5) / 1000
    levels = likelihood.level_of(likelihood.draw(raw.expand(-1, -1, 1000), uniform, SOUND), SOUND).flatten()
    assert torch.bincount(levels, minlength=256)[[3, 100, 255]].tolist() == [200, 300, 500]


def test_gradients_are_right() -> None:
    likelihood = Categorical(1, 7)
    raw = raw_of(likelihood, 1, 2).requires_grad_()
    x = torch.tensor([[[0.0, 0.5]]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda raw: likelihood.log_prob(raw, x, Unit(0.0, 1.0, 7)), raw)


def test_what_it_cannot_do_is_refused() -> None:
    with pytest.raises(ConfigError, match="no linear_path"):
        Categorical(1).shifted(torch.zeros(1, 256, 1), torch.zeros(1, 1, 1))

    class Own(Likelihood):
        outputs = 1

        def log_prob(self, raw: Tensor, x: Tensor, unit: Unit) -> Tensor:
            raise AssertionError

        mean = shifted = sample = log_prob  # type: ignore[assignment]

    with pytest.raises(ConfigError, match=r"draws value by value, which a Own cannot.*categorical"):
        _ = Own(1).draws
