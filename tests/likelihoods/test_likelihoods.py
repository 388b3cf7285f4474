"""Likelihoods p(x | z): they sum to one, agree with an oracle, have right gradients, and sample what they say."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from tests.reference import likelihoods as reference
from vqkit import VQVAE
from vqkit.errors import ConfigError
from vqkit.likelihoods import LIKELIHOODS, Gaussian, Likelihood, LogisticMixture, Unit, build_likelihood

BUILD: dict[str, Callable[[int], Likelihood]] = {
    "gaussian": Gaussian,
    "logistic": lambda c: build_likelihood("logistic", c, 256),
    "one conditioned": lambda c: LogisticMixture(c, components=1),
    "mixture": lambda c: LogisticMixture(c, components=3, conditional_channels=False),
    "conditioned mixture": lambda c: LogisticMixture(c, components=2),
}
KINDS = list(BUILD)
DTYPES = {torch.float32: 1e-4, torch.float64: 1e-12}


def likelihood_of(kind: str, channels: int, log_scale: float | None = None) -> Likelihood:
    """In float64; a Gaussian with another scale for each channel, or with the one given."""
    built = BUILD[kind](channels).double()
    if isinstance(built, Gaussian):
        built.log_scale.copy_(torch.linspace(-1.5, -0.5, channels) if log_scale is None else torch.tensor(log_scale))
    return built


def random_raw(likelihood: Likelihood, *shape: int, seed: int = 0, scale: float = 0.6) -> Tensor:
    """What a decoder may emit, ``[shape[0], outputs, *shape[1:]]`` float64."""
    generator = torch.Generator().manual_seed(seed)
    size = (shape[0], likelihood.outputs, *shape[1:])
    return scale * torch.randn(size, generator=generator, dtype=torch.float64)


def every_signal(levels: int, channels: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """All combinations of levels as the positions of one signal, ``[1, channels, levels^channels]``."""
    rows = torch.tensor(list(itertools.product(range(levels), repeat=channels)), dtype=dtype)
    return (rows / (levels - 1)).T.unsqueeze(0).contiguous()


def extreme(kind: str, channels: int) -> list[tuple[Likelihood, Tensor]]:
    """Tiny and huge scales, means far outside, weights and coefficients to match; raw ``[1, outputs, 1]``."""
    found = []
    for mean, log_scale, rest in itertools.product([0.3, -40.0, 1e4], [-7.0, -3.0, 3.0, 40.0], [0.0, 5.0]):
        built = likelihood_of(kind, channels, log_scale)
        raw = torch.zeros(1, built.outputs, 1, dtype=torch.float64)
        if isinstance(built, LogisticMixture):
            weighted, many = (built.components if built.components > 1 else 0), built.components * channels
            raw[:, :weighted] = rest * torch.arange(weighted).view(1, -1, 1) * 10
            raw[:, weighted : weighted + many] = mean
            raw[:, weighted + many : weighted + 2 * many] = (log_scale + 2) / 2
            raw[:, weighted + 2 * many :] = -rest
        else:
            raw[:] = mean
        found.append((built, raw))
    return found


# ---- a distribution


@pytest.mark.parametrize("dtype", list(DTYPES))
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("levels", "channels"), [(256, 1), (5, 3), (2, 2)])
def test_the_probabilities_of_all_signals_sum_to_one(levels: int, channels: int, kind: str, dtype: torch.dtype) -> None:
    unit = Unit(0.45, 0.25, levels)
    x = every_signal(levels, channels, dtype)
    built = likelihood_of(kind, channels)
    cases = [*((built, random_raw(built, 1, 1, seed=seed, scale=1.5)) for seed in range(6)), *extreme(kind, channels)]
    for likelihood, raw in cases:
        emitted = raw.to(dtype).expand(-1, -1, x.shape[2])
        log_prob = likelihood.to(dtype).log_prob(emitted, x, unit)
        assert log_prob.dtype == dtype
        assert log_prob.shape == (1, levels**channels)
        assert float(log_prob.exp().sum()) == pytest.approx(1.0, abs=DTYPES[dtype])
        assert float(log_prob.max()) <= DTYPES[dtype]


@pytest.mark.parametrize("levels", [256, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_log_prob_equals_the_oracle(kind: str, levels: int) -> None:
    mean, std = 0.4, 0.3
    likelihood = likelihood_of(kind, 3)
    raw = random_raw(likelihood, 2, 3, 2)
    generator = torch.Generator().manual_seed(1)
    level = torch.randint(levels, (2, 3, 3, 2), generator=generator)
    level[0, :, 0, 0], level[0, :, 0, 1] = 0, levels - 1
    found = likelihood.log_prob(raw, level.double() / (levels - 1), Unit(mean, std, levels))
    assert found.shape == (2, 3, 2)
    for b, i, j in itertools.product(range(2), range(3), range(2)):
        one, at = raw[b, :, i, j].numpy(), level[b, :, i, j].tolist()
        if isinstance(likelihood, LogisticMixture):
            expected = reference.mixture(one, at, levels, mean, std, likelihood.components, likelihood.pairs > 0)
        else:
            assert isinstance(likelihood, Gaussian)
            expected = reference.gaussian(one, likelihood.log_scale.numpy(), at, levels, mean, std)
        assert float(found[b, i, j]) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_float32_agrees_with_float64(kind: str) -> None:
    likelihood = likelihood_of(kind, 3)
    raw, x = random_raw(likelihood, 4, 50, scale=1.5), every_signal(256, 1)[:, :, :50].expand(4, 3, 50)
    exact = likelihood.log_prob(raw, x, Unit(0.5, 0.25))
    assert torch.allclose(likelihood.float().log_prob(raw.float(), x.float(), Unit(0.5, 0.25)).double(), exact, 1e-4)


def test_levels_are_rounded_to_the_nearest() -> None:
    likelihood = likelihood_of("conditioned mixture", 3)
    raw, x = random_raw(likelihood, 1, 8), every_signal(2, 3) * 0.6
    unit = Unit(0.5, 0.25, 6)
    assert torch.equal(likelihood.log_prob(raw, x + 0.09, unit), likelihood.log_prob(raw, x, unit))
    assert not torch.equal(likelihood.log_prob(raw, x + 0.11, unit), likelihood.log_prob(raw, x, unit))


# ---- gradients


@pytest.mark.parametrize("dtype", list(DTYPES))
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_finite_everywhere(kind: str, dtype: torch.dtype) -> None:
    x = every_signal(5, 3, dtype)
    for likelihood, emitted in extreme(kind, 3):
        likelihood.to(dtype)
        raw = emitted.to(dtype).requires_grad_()
        wanted = [raw]
        if isinstance(likelihood, Gaussian):
            likelihood.log_scale = likelihood.log_scale.requires_grad_()
            wanted.append(likelihood.log_scale)
        log_prob = likelihood.log_prob(raw.expand(-1, -1, x.shape[2]), x, Unit(0.5, 0.25, 5))
        assert torch.isfinite(log_prob).all()
        for gradient in torch.autograd.grad(log_prob.sum(), wanted):
            assert torch.isfinite(gradient).all(), emitted.flatten().tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_right(kind: str) -> None:
    likelihood = likelihood_of(kind, 2)
    raw = random_raw(likelihood, 1, 9).requires_grad_()
    x, unit = every_signal(3, 2), Unit(0.5, 0.25, 3)
    assert torch.autograd.gradcheck(lambda emitted: likelihood.log_prob(emitted, x, unit), (raw,))
    if isinstance(likelihood, Gaussian):
        for levels in (3, None):

            def of_scale(log_scale: Tensor, levels: int | None = levels) -> Tensor:
                likelihood.log_scale = log_scale
                return likelihood.log_prob(raw.detach(), x, Unit(0.5, 0.25, levels))

            assert torch.autograd.gradcheck(of_scale, (torch.tensor([-0.3, 0.2]).double().requires_grad_(),))


@pytest.mark.parametrize("distance", [3.0, 300.0, 1e4])
def test_the_gaussians_gradient_in_the_far_tail(distance: float) -> None:
    """The lowest level's bin is a tail: d log Phi(t) = phi(t) / Phi(t), which PyTorch's log_ndtr loses in float32."""
    raw = torch.tensor([[[distance]]], requires_grad=True)
    (-Gaussian(1).log_prob(raw, torch.zeros(1, 1, 1), Unit(0.0, 1.0, 2)).sum()).backward()
    assert raw.grad is not None
    t = 0.5 - distance
    assert float(raw.grad) == pytest.approx(math.exp(stats.norm.logpdf(t) - stats.norm.logcdf(t)), rel=1e-4)


# ---- means and samples


@pytest.mark.parametrize("kind", KINDS)
def test_mean_is_the_mean_of_samples(kind: str) -> None:
    likelihood, count, unit = likelihood_of(kind, 3, -1.5), 20_000, Unit(0.5, 0.1)
    raw = random_raw(likelihood, 1, 1)
    drawn = likelihood.sample(raw.expand(-1, -1, count), unit, torch.Generator().manual_seed(0))
    assert drawn.shape == (1, 3, count)
    numbers = (drawn[0] - 0.5) / 0.1
    error = numbers.mean(dim=1) - likelihood.mean(raw)[0, :, 0]
    assert float((error / (numbers.std(dim=1) / math.sqrt(count))).abs().max()) < 4.5


@pytest.mark.parametrize(("levels", "channels"), [(5, 1), (3, 3)])
@pytest.mark.parametrize("kind", KINDS)
def test_samples_have_the_probabilities(kind: str, levels: int, channels: int) -> None:
    likelihood, count, unit = likelihood_of(kind, channels), 20_000, Unit(0.5, 0.5, levels)
    raw = random_raw(likelihood, 1, 1, seed=4)
    generator = torch.Generator().manual_seed(0)
    drawn = likelihood.sample(raw.expand(-1, -1, count), unit, generator)[0] * (levels - 1)
    assert torch.equal(drawn, drawn.round())
    place = (drawn.round().long() * levels ** torch.arange(channels - 1, -1, -1).unsqueeze(1)).sum(0)
    expected = likelihood.log_prob(raw.expand(-1, -1, levels**channels), every_signal(levels, channels), unit)[0].exp()
    found = torch.bincount(place, minlength=levels**channels) / count
    assert float(((found - expected) / (expected / count).sqrt().clamp_min(1e-4)).abs().max()) < 4.5


@pytest.mark.parametrize("kind", KINDS)
def test_samples_are_repeatable_and_take_the_size(kind: str) -> None:
    likelihood = likelihood_of(kind, 3).float()
    raw = random_raw(likelihood, 2, 4, 5).float()
    one, two = (likelihood.sample(raw, Unit(0.5, 0.25), torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(one, two)
    assert one.shape == (2, 3, 4, 5)
    assert 0 <= float(one.min()) < float(one.max()) <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_shifted_moves_the_means_and_nothing_else(kind: str) -> None:
    likelihood, unit = likelihood_of(kind, 3), Unit(0.5, 0.25, 100)
    raw = random_raw(likelihood, 2, 6)
    steps = torch.tensor([3.0, -2.0, 5.0]).double().view(1, 3, 1) / 99  # whole levels: the same bins further on
    numbers = (steps / 0.25).expand(2, 3, 6)
    moved = likelihood.shifted(raw, numbers)
    assert torch.allclose(likelihood.mean(moved), likelihood.mean(raw) + numbers)
    x = (torch.arange(36).view(2, 3, 6).double() + 20) / 99
    assert torch.allclose(likelihood.log_prob(moved, x + steps, unit), likelihood.log_prob(raw, x, unit), rtol=1e-9)


# ---- the Gaussian for real numbers, and its scale


def test_the_gaussian_density_is_that_of_torch() -> None:
    likelihood = likelihood_of("gaussian", 3)
    assert isinstance(likelihood, Gaussian)
    raw, x = random_raw(likelihood, 4, 5), 3 * random_raw(likelihood, 4, 5, seed=1)
    scale = likelihood.log_scale.exp().view(1, 3, 1) * 0.7
    expected = torch.distributions.Normal(raw * 0.7 + 0.2, scale).log_prob(x).sum(1)
    assert torch.allclose(likelihood.log_prob(raw, x, Unit(0.2, 0.7, None)), expected, rtol=1e-12)
    vectors = likelihood.log_prob(raw[..., 0], x[..., 0], Unit(0.2, 0.7, None))
    assert torch.allclose(vectors, expected[:, 0], rtol=1e-12)
    drawn = likelihood.sample(raw[:1, :, :1].expand(-1, -1, 20_000), Unit(0.2, 0.7, None))
    assert torch.allclose(drawn.std(dim=2)[0], scale[0, :, 0], rtol=0.05)


def test_fit_is_the_likeliest_scale() -> None:
    likelihood = likelihood_of("gaussian", 2)
    assert isinstance(likelihood, Gaussian)
    errors = random_raw(likelihood, 200, 3) * torch.tensor([0.1, 2.0]).view(1, 2, 1)
    likelihood.fit(errors.square().mean(dim=(0, 2)))
    best = likelihood.log_scale.clone()
    assert torch.allclose(best.exp(), torch.from_numpy(np.sqrt((errors.numpy() ** 2).mean((0, 2)))))
    unit = Unit(0.0, 1.0, None)
    at_best = float(likelihood.log_prob(torch.zeros_like(errors), errors, unit).sum())
    for step in (torch.tensor([0.02, 0.0]), torch.tensor([0.0, 0.02])):
        for sign in (-1, 1):
            likelihood.log_scale.copy_(best + sign * step)
            assert float(likelihood.log_prob(torch.zeros_like(errors), errors, unit).sum()) < at_best
    likelihood.fit(torch.zeros(2))
    assert torch.isfinite(likelihood.log_scale).all()


# ---- names and errors


def test_a_likelihood_of_ones_own_is_registered_and_built_by_name() -> None:
    class Own(LogisticMixture):
        needs_levels = False

    LIKELIHOODS.register("own")(Own)
    try:
        assert type(build_likelihood("own", 2, None)) is Own
        assert type(VQVAE(8, hidden_channels=8, likelihood="own").likelihood) is Own
    finally:
        del LIKELIHOODS._parts["own"]


def test_the_registry() -> None:
    assert list(LIKELIHOODS) == ["gaussian", "logistic", "logistic_mixture", "categorical"]
    for name in LIKELIHOODS:
        assert isinstance(build_likelihood(name, 3, 256), Likelihood)
    assert [build_likelihood(name, 3, 256).outputs for name in LIKELIHOODS] == [3, 6, 5 * (1 + 6 + 3), 3 * 256]
    assert isinstance(build_likelihood("gaussian", 3, 256, learned_scale=True).log_scale, torch.nn.Parameter)
    assert not list(build_likelihood("gaussian", 3, 256).parameters())
    with pytest.raises(
        ConfigError, match="likelihood 'poisson' is unknown; known: gaussian, logistic, logistic_mixture, categorical"
    ):
        build_likelihood("poisson", 3, 256)
    with pytest.raises(ConfigError, match=r"likelihood='logistic'.*take likelihood='gaussian'"):
        build_likelihood("logistic", 3, None)
    with pytest.raises(ConfigError, match="components=0: a mixture has 1 component or more"):
        LogisticMixture(3, components=0)
    with pytest.raises(ValueError, match="needs signals with levels"):
        BUILD["logistic"](1).log_prob(torch.zeros(1, 2, 1), torch.zeros(1, 1, 1), Unit(0.0, 1.0, None))
