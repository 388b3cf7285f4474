"""Bounds against brute force: a VAE whose latent is one number, integrated, and a VQ-VAE whose grids are all listed."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from tests.models.cases import SMALL
from tests.reference import likelihoods as reference
from vqkit import VQVAE
from vqkit.likelihoods import Gaussian, LogisticMixture
from vqkit.models import VAE
from vqkit.models.vae import kl_nats

LIKELIHOODS = ["gaussian", "logistic", "logistic_mixture"]
Z = torch.linspace(-9, 9, 2401, dtype=torch.float64)
STEP = float(Z[1] - Z[0])


def tiny_vae(likelihood: str, size: tuple[int, int] = (1, 2)) -> VAE:
    """A latent of one number that matters, in float64."""
    torch.manual_seed(3)
    model = VAE(1, size=size, channels=1, downsampling=1, likelihood=likelihood, **SMALL).double().eval()
    with torch.no_grad():
        for module in (model.encoder[-1].linear, model.decoder[0].linear):
            module.weight.mul_(4.0)
        if isinstance(model.likelihood, Gaussian):
            model.likelihood.log_scale.fill_(-1.0)
    return model


def on_grid(model: VAE, x: Tensor) -> Tensor:
    """log p(x | z) of one signal at every z of the grid, ``[len(Z)]``."""
    return model.log_likelihood_of(x.expand(len(Z), *x.shape[1:]), model.decode_parameters(Z.unsqueeze(1), x.shape[2:]))


def log_normal(z: Tensor, mean: Tensor | float = 0.0, log_variance: Tensor | float = 0.0) -> Tensor:
    log_variance = torch.as_tensor(log_variance, dtype=torch.float64)
    return -0.5 * ((z - mean).square() / log_variance.exp() + log_variance + math.log(2 * math.pi))


def integral(log_values: Tensor) -> Tensor:
    """log of the trapezoid sum over the grid's last axis (the ends are as good as 0)."""
    return torch.logsumexp(log_values, dim=-1) + math.log(STEP)


X = torch.tensor([[[[60.0, 190.0]]]], dtype=torch.float64) / 255


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_marginal_of_a_vae_is_a_distribution(likelihood: str) -> None:
    model = tiny_vae(likelihood, (1, 1))
    every = (torch.arange(256).double() / 255).view(256, 1, 1, 1)
    raw = model.decode_parameters(Z[::4].unsqueeze(1), (1, 1)).flatten(2)  # [z, outputs, 1]: positions are levels here
    levels = every.view(1, 1, 256).expand(len(raw), 1, 256)
    log_given = model.likelihood.log_prob(raw.expand(-1, -1, 256), levels, model._unit())
    log_marginal = integral((log_given + log_normal(Z[::4]).unsqueeze(1)).T).detach() + math.log(4)
    assert float(log_marginal.exp().sum()) == pytest.approx(1.0, abs=1e-9)
    few = [0, 100, 255]
    for level in few:
        alone = integral(on_grid(model, every[level : level + 1]) + log_normal(Z))
        assert float(alone) == pytest.approx(float(log_marginal[level]), abs=1e-4)
        assert float(model.importance_bound(every[level : level + 1].expand(2000, 1, 1, 1), 50).mean()) <= float(alone)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_evidence_lower_bound_is_one_and_what_it_lacks_is_a_divergence(likelihood: str) -> None:
    model = tiny_vae(likelihood)
    log_given = on_grid(model, X)
    exact = float(integral(log_given + log_normal(Z)))
    mean, log_variance = (each.detach()[0, 0] for each in model.posterior(X))
    log_q = log_normal(Z, mean, log_variance)
    kl = float(kl_nats(mean, log_variance))
    bound = float((log_q.exp() * log_given).sum() * STEP) - kl
    lacks = float((log_q.exp() * (log_q - (log_given + log_normal(Z) - exact))).sum() * STEP)
    assert bound < exact
    assert exact - bound == pytest.approx(lacks, rel=1e-6)
    assert lacks > 0.02  # the bound is loose enough for this to mean something
    copies, generator = X.expand(20_000, 1, 1, 2), torch.Generator().manual_seed(0)
    cost = model.latent_cost(copies, generator)
    assert float(cost.rate_nats[0]) == pytest.approx(kl)
    drawn = model.log_likelihood(copies, cost.codes) - cost.rate_nats
    assert abs(float(drawn.mean()) - bound) < 4.5 * float(drawn.std()) / 20_000**0.5
    once = model.importance_bound(copies, 1, generator)
    assert abs(float(once.mean()) - bound) < 4.5 * float(once.std()) / 20_000**0.5
    model.train()
    torch.manual_seed(0)
    model.steps_seen.fill_(10_000)  # past the warm-up
    assert float(model(copies).loss.detach()) == pytest.approx(-bound / 2, abs=4.5 * float(drawn.std()) / 20_000**0.5)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_more_importance_samples_come_closer_from_below(likelihood: str) -> None:
    model = tiny_vae(likelihood)
    log_given = on_grid(model, X)
    exact = float(integral(log_given + log_normal(Z)))
    mean, log_variance = (each.detach()[0, 0] for each in model.posterior(X))
    log_q = log_normal(Z, mean, log_variance)
    log_weight = (log_given + log_normal(Z) - log_q)[::4]
    q = log_q[::4].exp() * STEP * 4
    both = torch.logaddexp(log_weight.unsqueeze(0), log_weight.unsqueeze(1)) - math.log(2)
    of_two = float((q.unsqueeze(0) * q.unsqueeze(1) * both).sum())  # the double integral for two samples
    generator, found, errors = torch.Generator().manual_seed(1), [], []
    for samples in (1, 2, 8, 64):
        values = model.importance_bound(X.expand(2000, 1, 1, 2), samples, generator)
        assert values.shape == (2000,)
        found.append(float(values.mean()))
        errors.append(float(values.std()) / 2000**0.5)
    assert abs(found[1] - of_two) < 4.5 * errors[1]
    assert float((q * log_weight).sum()) < of_two < exact
    assert found == sorted(found)
    assert found[-1] < exact + 4.5 * errors[-1]
    assert exact - found[-1] < 0.1 * (exact - found[0]) + 4.5 * errors[-1]
    with pytest.raises(ValueError, match="samples=0: give 1 or more"):
        model.importance_bound(X, 0)


def test_the_reparameterised_gradient_is_that_of_the_expectation() -> None:
    """Training's gradient, on average over the noise, against finite differences of the integrated bound."""
    model = tiny_vae("gaussian")
    model.train()
    bias = model.encoder[-1].linear.bias  # moves the mean and the log variance
    torch.manual_seed(0)
    gradients = []
    for _ in range(20):
        (gradient,) = torch.autograd.grad(model(X.expand(2000, 1, 1, 2)).loss, bias)
        gradients.append(gradient)
    found, error = torch.stack(gradients).mean(0), torch.stack(gradients).std(0) / 20**0.5
    log_given = on_grid(model, X)

    def loss() -> float:
        mean, log_variance = (each.detach()[0, 0] for each in model.posterior(X))
        q = log_normal(Z, mean, log_variance).exp()
        return -(float((q * log_given).sum() * STEP) - float(kl_nats(mean, log_variance))) / 2

    for number in range(2):
        sides = []
        for step in (1e-4, -1e-4):
            with torch.no_grad():
                bias[number] += step
                sides.append(loss())
                bias[number] -= step
        expected = (sides[0] - sides[1]) / 2e-4
        assert abs(expected) > 0.01
        assert abs(float(found[number]) - expected) < 5 * float(error[number]) + 1e-5


# ---- the VQ-VAE


class TablePrior:
    """Probabilities of all grids of two indices into three codes, as a table."""

    def __init__(self) -> None:
        self.table = torch.rand(3, 3, generator=torch.Generator().manual_seed(0)).double()
        self.table /= self.table.sum()

    def sample(self, count: int, *, generator: torch.Generator | None = None) -> Tensor:
        flat = torch.multinomial(self.table.flatten(), count, replacement=True, generator=generator)
        return torch.stack([flat // 3, flat % 3], -1).view(count, 1, 2)

    def log_prob(self, indices: Tensor) -> Tensor:
        return self.table[indices[:, 0, 0], indices[:, 0, 1]].log()


def tiny_vqvae(likelihood: str, num_codebooks: int = 1, width: int = 4) -> VQVAE:
    """Three codes, two places for them."""
    torch.manual_seed(1)
    model = VQVAE(
        3, code_dim=2, channels=1, downsampling=2, num_codebooks=num_codebooks, likelihood=likelihood, **SMALL
    )
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (16, 1, 2, width), generator=generator).float() / 255
    model.prepare([x])
    model.eval().finish([x])
    return model


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_rate_plus_distortion_bounds_the_exact_marginal(likelihood: str) -> None:
    model = tiny_vqvae(likelihood)
    x = torch.randint(0, 256, (6, 1, 2, 4), generator=torch.Generator().manual_seed(5)).float() / 255
    grids = torch.tensor(list(itertools.product(range(3), repeat=2))).view(9, 1, 2)
    every = torch.stack([model.log_likelihood(x, grid.expand(6, 1, 2)) for grid in grids])  # [9, batch]
    prior = TablePrior()
    for given, log_prior in ((None, torch.full((9,), -2 * math.log(3)).double()), (prior, prior.log_prob(grids))):
        model.use_prior(given)
        assert model.prior is given
        exact_bits = -torch.logsumexp(every + log_prior.unsqueeze(1), dim=0) / math.log(2)
        cost = model.latent_cost(x)
        assert ("learned" if given else "uniform") in cost.how
        assert torch.equal(cost.codes, model.encode(x))
        bits = (cost.rate_nats - model.log_likelihood(x, cost.codes)) / math.log(2)
        assert (exact_bits < bits).all()
        place = cost.codes[:, 0, 0] * 3 + cost.codes[:, 0, 1]
        term = every[place, torch.arange(6)] + log_prior[place]
        assert torch.allclose(bits, -term / math.log(2))
    codes = model.sample_codes(3000, (2, 4), torch.Generator().manual_seed(0))
    frequency = torch.bincount((codes[:, 0, 0] * 3 + codes[:, 0, 1]), minlength=9) / 3000
    assert torch.allclose(frequency.double(), prior.table.flatten(), atol=0.04)
    drawn = model.sample(4, generator=torch.Generator().manual_seed(2))
    assert torch.equal(drawn, model.decode(prior.sample(4, generator=torch.Generator().manual_seed(2)), (2, 4)))
    assert not any("prior" in name for name in model.state_dict())
    model.use_prior(None)
    uniform = model.sample_codes(9000, (2, 4), torch.Generator().manual_seed(0)).view(-1, 2)
    assert torch.allclose(torch.bincount(uniform[:, 0] * 3 + uniform[:, 1]) / 9000, torch.tensor(1 / 9), atol=0.015)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_marginal_of_a_vqvae_is_a_distribution(likelihood: str) -> None:
    torch.manual_seed(1)
    model = VQVAE(3, code_dim=2, channels=1, downsampling=1, likelihood=likelihood, **SMALL).eval()
    every = (torch.arange(256).float() / 255).view(256, 1, 1, 1)
    given = torch.stack([model.log_likelihood(every, torch.full((256, 1, 1), k)) for k in range(3)])
    assert float((given.exp() / 3).sum()) == pytest.approx(1.0, abs=1e-9)
    assert not torch.allclose(given[0], given[1])


def test_several_codebooks_cost_as_many_indices() -> None:
    model = tiny_vqvae("gaussian", num_codebooks=2)
    x = torch.rand(5, 1, 2, 4, generator=torch.Generator().manual_seed(5))
    cost = model.latent_cost(x)
    assert cost.codes.shape == (5, 1, 2, 2)
    assert model.index_shape((2, 4)) == (1, 2, 2)
    assert cost.rate_nats.tolist() == pytest.approx([4 * math.log(3)] * 5)
    assert model.sample_codes(4, (2, 4)).shape == (4, 1, 2, 2)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_log_likelihood_is_the_oracle_at_every_position(likelihood: str) -> None:
    torch.manual_seed(2)
    model = VQVAE(4, code_dim=3, channels=3, downsampling=2, likelihood=likelihood, **SMALL)
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (5, 3, 2, 2), generator=generator, dtype=torch.uint8)
    model.prepare([x])
    model.eval().finish([x])
    codes = model.encode(x)
    raw = model.decode_parameters(codes, (2, 2)).detach().double().numpy()
    mean, std = float(model.signal_mean), float(model.signal_std)
    for b in range(5):
        expected = 0.0
        for i, j in itertools.product(range(2), repeat=2):
            level = x[b, :, i, j].tolist()
            if isinstance(model.likelihood, LogisticMixture):
                components, conditional = model.likelihood.components, model.likelihood.pairs > 0
                expected += reference.mixture(raw[b, :, i, j], level, 256, mean, std, components, conditional)
            else:
                assert isinstance(model.likelihood, Gaussian)
                scale = model.likelihood.log_scale.double().numpy()
                expected += reference.gaussian(raw[b, :, i, j], scale, level, 256, mean, std)
        assert float(model.log_likelihood(x, codes)[b]) == pytest.approx(expected, rel=1e-7)
