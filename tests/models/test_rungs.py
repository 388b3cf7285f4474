"""What is particular to PCA, the autoencoder and the VAE as models: oracles, closed forms, schedules, densities."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import decomposition, mixture
from torch import Tensor

from tests.models.cases import new, ready, signals
from vqkit.errors import ConfigError, DataError
from vqkit.models import PCA, VAE, Autoencoder, active_units
from vqkit.models.latents import LatentDensity, _fit_mixture
from vqkit.models.vae import kl_nats


def quiet(count: int, channels: int = 3, size: tuple[int, ...] = (3, 4), seed: int = 0) -> Tensor:
    """Images of falling spectrum, far enough from 0 and 1 that no reconstruction is clipped."""
    generator = torch.Generator().manual_seed(seed)
    dimension = channels * math.prod(size)
    axes = torch.linalg.qr(torch.randn(dimension, dimension, generator=torch.Generator().manual_seed(9)))[0]
    spread = 0.1 * 0.8 ** torch.arange(dimension)
    rows = (torch.randn(count, dimension, generator=generator) * spread) @ axes
    return (0.5 + rows).clamp(0.05, 0.95).view(count, channels, *size)


def fitted(components: int, x: Tensor, **options: Any) -> PCA:
    model = PCA(components, size=x.shape[2:], channels=x.shape[1], axes=x.ndim - 2, **options)
    model.prepare([x])
    model.fit(lambda: [x[:20], x[20:]])
    return model.eval()


# ---- PCA


@pytest.mark.parametrize("whiten", [False, True])
def test_pca_is_that_of_scikit_learn(whiten: bool) -> None:
    x, fresh = quiet(60), quiet(7, seed=1)
    model = fitted(5, x, whiten=whiten)
    theirs = decomposition.PCA(5, whiten=whiten, svd_solver="full").fit(x.flatten(1).double().numpy())
    scores = theirs.transform(fresh.flatten(1).double().numpy())
    signs = np.sign((theirs.components_ * model.components.numpy()).sum(1))
    assert np.allclose(model.encode(fresh).numpy(), scores * signs, atol=1e-4 * scores.std())
    back = theirs.inverse_transform(scores).reshape(fresh.shape)
    assert np.allclose(model.reconstruct(fresh).numpy(), back, atol=1e-6)
    assert np.allclose(model.explained_variance_ratio.numpy(), theirs.explained_variance_ratio_, rtol=1e-5)
    assert float(model(fresh).metrics["mse"]) == pytest.approx(float(((back - fresh.numpy()) ** 2).mean()), rel=1e-4)
    if whiten:
        assert torch.allclose(model.encode(x).std(dim=0), torch.ones(5), atol=1e-4)


def test_truncated_is_the_fit_of_so_many() -> None:
    x = quiet(60)
    full, few = fitted(9, x), fitted(3, x)
    full.finish([x])
    short = full.truncated(3)
    assert short.config == few.config
    assert torch.allclose(short.encode(x), few.encode(x), atol=1e-6)
    assert torch.allclose(short.reconstruct(x), few.reconstruct(x), atol=1e-6)
    assert torch.allclose(
        short.marginal_log_likelihood(quiet(4, seed=2), torch.Generator().manual_seed(0)),
        few.marginal_log_likelihood(quiet(4, seed=2), torch.Generator().manual_seed(0)),
        rtol=1e-5,
    )
    assert full.encode(x).shape == (60, 9)
    with pytest.raises(ConfigError, match="components=10: this PCA has 9"):
        full.truncated(10)
    with pytest.raises(ConfigError, match="components=0"):
        full.truncated(0)


@pytest.mark.parametrize("components", [1, 3])
def test_marginal_likelihood_is_a_multivariate_normal(components: int) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(50, 4, generator=generator) @ torch.randn(4, 4, generator=generator) + 2
    model = fitted(components, x)
    theirs = decomposition.PCA(components, svd_solver="full").fit(x.double().numpy())
    normal = stats.multivariate_normal(theirs.mean_, theirs.get_covariance())
    fresh = torch.randn(6, 4, generator=generator)
    assert np.allclose(model.marginal_log_likelihood(fresh).numpy(), normal.logpdf(fresh.double().numpy()), rtol=1e-4)


def test_marginal_likelihood_of_images_bounds_that_of_the_levels() -> None:
    """Two pixels with a spread of half a level: the bound's mean over the noise, and the probability of the bin."""
    generator = torch.Generator().manual_seed(0)
    x = 0.5 + torch.randn(400, 1, 1, 2, generator=generator) * torch.tensor([0.004, 0.002])
    model = fitted(1, x)
    theirs = decomposition.PCA(1, svd_solver="full").fit(x.flatten(1).double().numpy())
    normal = stats.multivariate_normal(theirs.mean_, theirs.get_covariance())
    at = torch.tensor([[[[127.0, 128.0]]]]) / 255
    found = model.marginal_log_likelihood(at.expand(4000, 1, 1, 2), torch.Generator().manual_seed(1))
    steps = (np.arange(200) + 0.5) / 200 - 0.5
    places = at.flatten().double().numpy() + np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2) / 255
    densities = normal.logpdf(places)
    assert abs(float(found.mean()) - (densities.mean() - 2 * math.log(255))) < 4.5 * float(found.std()) / 4000**0.5
    exact = math.log(np.exp(densities).mean() / 255**2)
    assert exact - 0.5 < float(found.mean()) < exact < 0


def test_pca_samples_have_the_variances_and_mean() -> None:
    x = quiet(200)
    for whiten in (False, True):
        model = fitted(4, x, whiten=whiten)
        codes = model.sample_codes(20_000, (3, 4), torch.Generator().manual_seed(0))
        expected = torch.eye(4) if whiten else torch.diag(model.variances)
        scale = expected.diagonal().sqrt()
        error = (torch.cov(codes.T) - expected) / (scale[:, None] * scale)
        assert float(error.abs().max()) < 4.5 * math.sqrt(2 / 20_000)
        drawn = model.sample(20_000, generator=torch.Generator().manual_seed(0)).flatten(1)
        wanted = model.components.T @ torch.diag(model.variances) @ model.components
        assert torch.allclose(torch.cov(drawn.T), wanted, atol=0.05 * float(wanted.diagonal().max()))
        assert torch.allclose(drawn.mean(0), x.flatten(1).mean(0), atol=0.01)


def test_pca_refuses_what_it_cannot_fit() -> None:
    model = PCA(5, size=[3, 4])
    with pytest.raises(ConfigError, match=r"components=5 is more than 4 = min\(items, dimension\)"):
        model.fit(lambda: [quiet(4)])
    with pytest.raises(DataError, match="no data"):
        model.fit(list)
    with pytest.raises(DataError, match=r"size \(4, 4\); this PCA is of signals of size \(3, 4\)"):
        model.fit(lambda: [quiet(9, size=(4, 4))])
    with pytest.raises(ValueError, match=r"scores have shape \(2, 4\); expected \[batch, 5\]"):
        model.decode(torch.zeros(2, 4))
    flat = quiet(1).expand(30, -1, -1, -1)
    without_variance = fitted(3, flat)
    with pytest.raises(DataError, match="a density does not exist"):
        without_variance.marginal_log_likelihood(flat)


# ---- the autoencoder


def test_noise_is_added_in_training_only() -> None:
    torch.manual_seed(0)
    x = signals(4, 2, 2)
    noisy = ready("ae grid", noise=0.5)
    silent = ready("ae grid")
    silent.load_state_dict(noisy.state_dict())
    assert torch.equal(noisy(x).loss, silent(x).loss)
    assert torch.equal(noisy(x).reconstruction, noisy.reconstruct(x))
    noisy.train()
    silent.train()
    assert not torch.equal(noisy(x).loss, silent(x).loss)
    assert torch.equal(noisy.encode(x), silent.encode(x))
    torch.manual_seed(3)
    found = noisy(x).reconstruction
    torch.manual_seed(3)
    assert isinstance(noisy, Autoencoder)
    numbers = noisy._normalize(x)
    raw = noisy.decoder(noisy.encoder(numbers + 0.5 * torch.randn_like(numbers)))[..., :5]
    assert torch.equal(found, noisy.to_signal(raw))


def test_the_density_of_one_gaussian_is_numpys() -> None:
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(500, 3, generator=generator) @ torch.randn(3, 3, generator=generator) + 4
    density = LatentDensity(3)
    density.fit(vectors)
    expected = np.cov(vectors.double().numpy().T, bias=True)
    assert np.allclose(density.means[0].numpy(), vectors.double().numpy().mean(0), rtol=1e-5)
    assert np.allclose((density.factors[0] @ density.factors[0].T).numpy(), expected, atol=1e-4)
    drawn = density.sample(40_000, torch.Generator().manual_seed(1))
    scale = np.sqrt(np.diag(expected))
    assert np.abs((np.cov(drawn.numpy().T) - expected) / np.outer(scale, scale)).max() < 0.03
    assert np.abs((drawn.numpy().mean(0) - density.means[0].numpy()) / scale).max() < 0.03
    density.fit(torch.ones(5, 3))  # no spread at all
    assert torch.allclose(density.sample(4), torch.ones(4, 3), atol=1e-4)


def test_a_mixture_finds_two_blobs() -> None:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(400, 2, generator=generator)
    blobs = torch.cat([noise[:100] * 0.1 + 5, noise[100:] * torch.tensor([0.5, 1.0]) - 5])
    density = LatentDensity(2, 2)
    density.fit(blobs)
    order = density.means[:, 0].argsort()
    assert torch.allclose(density.means[order], torch.tensor([[-5.0, -5], [5, 5]]), atol=0.2)
    assert torch.allclose(density.weights[order], torch.tensor([0.75, 0.25]), atol=0.01)
    drawn = density.sample(4000, torch.Generator().manual_seed(1))
    low = drawn[drawn[:, 0] < 0]
    assert len(low) / 4000 == pytest.approx(0.75, abs=0.03)
    assert torch.allclose(low.std(dim=0), blobs[100:].std(dim=0), rtol=0.1)
    assert float((drawn.abs() - 5).abs().max()) < 6  # nothing between the two
    with pytest.raises(DataError, match="1 latents cannot tell a density with 2"):
        density.fit(torch.zeros(1, 2))
    with pytest.raises(ConfigError, match="density_components=0"):
        LatentDensity(2, 0)


@pytest.mark.parametrize("shift", [0.0, 1e6])
@pytest.mark.parametrize("seed", range(3))
def test_a_mixture_is_scikit_learns(seed: int, shift: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    centers = torch.tensor([[0.0, 0, 0], [8, 0, 0], [0, 9, 1], [1, 2, 9]], dtype=torch.float64)
    noise = torch.randn(1200, 3, generator=generator, dtype=torch.float64)
    points = centers[torch.arange(1200) % 4] + noise * torch.tensor([1.0, 0.5, 1.5]) + shift
    found = _fit_mixture(points, 4, 1e-3, torch.Generator().manual_seed(seed))
    peer = mixture.GaussianMixture(4, reg_covar=1e-3, tol=1e-8, n_init=3, random_state=0).fit(points.numpy())
    order, theirs = found[1][:, 0].argsort(), np.argsort(peer.means_[:, 0])
    for mine, other in zip(found, (peer.weights_, peer.means_, peer.covariances_), strict=True):
        np.testing.assert_allclose(mine[order].numpy(), other[theirs], rtol=1e-6, atol=0.02)


@pytest.mark.parametrize("rung", ["ae vector", "ae grid"])
def test_finish_fits_the_density_to_the_latents(rung: str) -> None:
    model = ready(rung)
    assert isinstance(model, Autoencoder)
    x = signals(20, 2, 2, seed=4)
    model.finish([x[:10], x[10:]])
    latents = model.encode(x)
    flat = latents if rung == "ae vector" else latents.movedim(1, -1).reshape(-1, 4)
    assert torch.allclose(model.density.means[0], flat.mean(0), atol=1e-6)
    codes = model.sample_codes(600, (6, 5), torch.Generator().manual_seed(0))
    assert codes.shape == (600, *latents.shape[1:])
    drawn = codes if rung == "ae vector" else codes.movedim(1, -1).reshape(-1, 4)
    assert torch.allclose(drawn.std(0), flat.std(0, correction=0), rtol=0.15)
    assert torch.allclose(drawn.mean(0), flat.mean(0), atol=0.2 * float(flat.std(0).max()))


# ---- the VAE


def test_kl_is_that_of_torch_and_of_sampling() -> None:
    generator = torch.Generator().manual_seed(0)
    mean, log_variance = 2 * torch.randn(2, 6, generator=generator).double()
    q, p = torch.distributions.Normal(mean, (0.5 * log_variance).exp()), torch.distributions.Normal(0.0, 1.0)
    found = kl_nats(mean, log_variance)
    assert torch.allclose(found, torch.distributions.kl_divergence(q, p))
    torch.manual_seed(0)
    z = q.sample(torch.Size([20_000]))
    ratio = q.log_prob(z) - p.log_prob(z)
    assert float(((ratio.mean(0) - found) / (ratio.std(0) / 20_000**0.5)).abs().max()) < 4.5
    assert float(kl_nats(torch.zeros(()), torch.zeros(()))) == 0


@pytest.mark.parametrize("axes", [0, 2])
@pytest.mark.parametrize("rung", ["vae vector", "vae grid"])
def test_the_loss_is_nll_plus_beta_kl_per_value(rung: str, axes: int) -> None:
    model = ready(rung, axes, beta=0.7).double()
    assert isinstance(model, VAE)
    x = signals(5, 2, axes).double()
    values = x[0].numel()
    for training in (False, True):
        model.train(training)
        torch.manual_seed(1)
        out = model(x)
        mean, log_variance = model.posterior(x)
        q = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
        kl = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).flatten(1).sum(1).mean()
        torch.manual_seed(1)
        z = mean + q.scale * torch.randn_like(mean) if training else mean
        nll = -model.log_likelihood(x, z).mean()
        assert float(out.metrics["reconstruction_loss"]) == pytest.approx(float(nll) / values, rel=1e-6)
        assert float(out.metrics["kl_loss"]) == pytest.approx(0.7 * float(kl.detach()) / values, rel=1e-6)
        assert float(out.metrics["kl_nats"]) == pytest.approx(float(kl.detach()), rel=1e-6)
        assert float(out.loss.detach()) == pytest.approx((float(nll) + 0.7 * float(kl.detach())) / values, rel=1e-6)
        same = torch.equal(out.reconstruction, model.decode(mean, x.shape[2:]))
        assert same != training


def test_beta_rises_over_its_warmup() -> None:
    model = new("vae vector", beta=2.0, beta_warmup=4)
    x = signals(5, 2, 2)
    model.prepare([x])
    model.train()
    found = []
    for _ in range(6):
        out = model(x)
        found.append(float(out.metrics["kl_loss"] * x[0].numel() / out.metrics["kl_nats"]))
    assert found == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.0, 2.0], rel=1e-5)


def test_free_bits_are_a_floor_for_each_latent_number() -> None:
    x = signals(5, 2, 2)
    plain = ready("vae vector")
    assert isinstance(plain, VAE)
    mean, log_variance = plain.posterior(x)
    each = kl_nats(mean, log_variance).mean(0).detach()
    floor = float(each.sort().values[1] + each.sort().values[2]) / 2  # two numbers below it, two above
    free = ready("vae vector", free_bits=floor)
    free.load_state_dict(plain.state_dict())
    expected = sum(max(float(one), floor) for one in each) / x[0].numel()
    out = free(x)
    assert float(out.metrics["kl_loss"]) == pytest.approx(expected, rel=1e-5)
    assert expected > float(plain(x).metrics["kl_loss"])
    assert float(out.metrics["kl_nats"]) == pytest.approx(float(each.sum()), rel=1e-5)  # what it costs all the same
    high = ready("vae vector", free_bits=100.0)
    high(x).metrics["kl_loss"].sum()
    total = high(x).loss - high(x).metrics["reconstruction_loss"]
    assert float(total.detach()) == pytest.approx(400 / x[0].numel(), rel=1e-4)


def test_active_units_are_those_that_move() -> None:
    means = torch.randn(500, 5, generator=torch.Generator().manual_seed(0))
    means = means * torch.tensor([1.0, 0.09, 0.11, 0.0, 3.0]) + 7
    assert active_units(means) == 3
    assert active_units(means, threshold=0.5) == 2
    assert active_units(means.view(500, 5, 1, 1)) == 3
    assert active_units(torch.zeros(10, 4)) == 0


def test_the_vae_draws_its_codes_from_the_unit_gaussian() -> None:
    model = ready("vae grid")
    codes = model.sample_codes(500, (6, 5), torch.Generator().manual_seed(0))
    assert codes.shape == (500, 4, 3, 3)
    assert stats.kstest(codes.flatten().numpy(), "norm").pvalue > 1e-3
    cost = model.latent_cost(signals(1, 2, 2).expand(400, -1, -1, -1), torch.Generator().manual_seed(0))
    assert isinstance(model, VAE)
    assert cost is not None
    mean, log_variance = model.posterior(signals(1, 2, 2))
    noise = (cost.codes - mean) / (0.5 * log_variance).exp()
    assert stats.kstest(noise.detach().flatten().numpy(), "norm").pvalue > 1e-3


# ---- the discretised likelihoods come in by and by


@pytest.mark.parametrize("rung", ["ae grid", "vae grid", "vqvae"])
def test_likelihood_warmup_goes_from_squared_error_to_nats(rung: str) -> None:
    model = ready(rung, likelihood="logistic", likelihood_warmup=4)
    x = signals(5, 2, 2)
    if isinstance(model, VAE):  # a sample that hardly moves, so that train and eval see the same
        with torch.no_grad():
            model.encoder.layers[-1].bias[4:] = -40
    model.eval()
    nats = float(model(x).metrics["reconstruction_loss"])
    raw = model.likelihood.mean(model.decode_parameters(model.encode(x), (6, 5)))
    squared = float((raw - model._numbers(x)).square().mean())
    found = []
    model.train()
    frozen = {name: each.clone() for name, each in model.state_dict().items() if name != "steps_seen"}
    for _ in range(6):
        found.append(float(model(x).metrics["reconstruction_loss"]))
        model.load_state_dict({**frozen, "steps_seen": model.state_dict()["steps_seen"]})
    shares = [0, 0.25, 0.5, 0.75, 1, 1]
    assert found == pytest.approx([share * nats + (1 - share) * squared for share in shares], rel=1e-3)
    assert float(model.eval()(x).metrics["reconstruction_loss"]) == pytest.approx(nats, rel=1e-5)
