"""Bits: latents rounded and entropy-coded, and bits per dimension, rate and distortion apart, on every rung."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from vqkit.evaluation import LatentQuantizer, evaluate
from vqkit.evaluation.latent_bits import entropy_of, rounded
from vqkit.models import PCA, VAE, VQVAE, Autoencoder, Model
from vqkit.models.vae import kl_nats
from vqkit.priors import GatedPixelCNN

NETWORK: dict[str, Any] = {"hidden_channels": 8, "residual_channels": 4, "downsampling": 2, "residual_blocks": 1}
SIZE = (8, 8)


def images(count: int, *, channels: int = 1, size: tuple[int, int] = SIZE, seed: int = 0) -> Tensor:
    """Smooth random images of 8 bits: a few waves and a little noise, so that few numbers say much of them."""
    rng = np.random.default_rng(seed)
    rows, columns = np.meshgrid(*(np.linspace(0, math.pi, side) for side in size), indexing="ij")
    waves = np.stack([np.cos(k * rows) * np.cos(j * columns) for k in range(3) for j in range(2)])
    values = np.einsum("ncw,whv->nchv", rng.normal(size=(count, channels, len(waves))), waves)
    values = 128 + 30 * values + rng.normal(scale=4, size=values.shape)
    return torch.from_numpy(values.round().clip(0, 255).astype(np.uint8))


def in_batches(x: Tensor, size: int) -> Iterator[tuple[Any, Tensor]]:
    return ((None, part) for part in x.split(size))


def fitted(model: Model, x: Tensor) -> Model:
    """Scale, codebook and likelihood from data, without training."""
    model.prepare([x])
    if model.closed_form:
        model.fit(lambda: [x])
    model.eval().finish([x])
    return model


def pca(components: int = 4, **options: Any) -> PCA:
    model = fitted(PCA(components, **{"size": SIZE, "channels": 1, **options}), images(200))
    assert isinstance(model, PCA)
    return model


@cache
def network(kind: type[Model], **options: Any) -> Any:
    """Trained for some steps, so that its latents say something."""
    torch.manual_seed(0)
    options = {**NETWORK, "channels": 1, **options}
    if kind is not VQVAE and options.get("latent") != "grid":
        options["size"] = SIZE
    x = images(128)
    model = kind.from_config(options)
    model.prepare([x])
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    for step in range(60):
        optimizer.zero_grad()
        model(x[step % 4 :: 4]).loss.backward()
        optimizer.step()
    model.eval().finish([x])
    return model


def vqvae(**options: Any) -> VQVAE:
    found = network(VQVAE, codebook_size=8, code_dim=4, **options)
    assert isinstance(found, VQVAE)
    found.use_prior(None)
    return found


def plain_entropy(symbols: list[int]) -> float:
    """Bits a symbol: counted in a loop, with Miller and Madow's term."""
    counts, n = Counter(symbols), len(symbols)
    return -sum(c / n * math.log2(c / n) for c in counts.values()) + (len(counts) - 1) / (2 * n * math.log(2))


# ---- latents rounded and entropy-coded


@pytest.mark.parametrize("step", [0.01, 0.3, 2.0, 1e6])
def test_entropy_equals_a_loop_over_numbers(step: float) -> None:
    latents = torch.randn(150, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([0.1, 1.0, 30.0])
    columns = [[round(value / step) for value in column] for column in latents.double().T.tolist()]
    assert entropy_of(latents, step) == pytest.approx(sum(map(plain_entropy, columns)), rel=1e-9, abs=1e-12)


def test_a_grid_has_one_histogram_for_a_channel() -> None:
    latents = torch.randn(20, 2, 3, 4, generator=torch.Generator().manual_seed(0))
    latents[:, 1] *= 5
    pooled = [[round(value / 0.5) for value in latents[:, channel].double().flatten().tolist()] for channel in (0, 1)]
    assert entropy_of(latents, 0.5) == pytest.approx(12 * sum(map(plain_entropy, pooled)), rel=1e-9)
    as_vectors = entropy_of(latents.flatten(1), 0.5)
    assert as_vectors != pytest.approx(entropy_of(latents, 0.5), rel=1e-3)


def test_a_number_that_never_changes_is_free() -> None:
    assert entropy_of(torch.full((50, 2), 3.7), 0.1) == 0
    assert entropy_of(torch.tensor([[0.0], [1.0]] * 500), 1.0) == pytest.approx(1 + 1 / (2000 * math.log(2)))


def quantiser_of(model: Model, x: Tensor) -> LatentQuantizer:
    return LatentQuantizer(model, model.encode(x), x)


@pytest.fixture(params=["pca", "whitened", "vector", "grid", "vae"])
def quantizer(request: pytest.FixtureRequest) -> LatentQuantizer:
    model: Model = {
        "pca": lambda: pca(),
        "whitened": lambda: pca(whiten=True),
        "vector": lambda: network(Autoencoder, latent_dim=3),
        "grid": lambda: network(Autoencoder, latent_dim=2, latent="grid"),
        "vae": lambda: network(VAE, latent_dim=3),
    }[request.param]()
    return quantiser_of(model, images(90, seed=1))


def test_the_error_of_rounding_is_that_of_the_decoder(quantizer: LatentQuantizer) -> None:
    model, x = quantizer.model, quantizer.signals
    for step in (0.05, 1.0):
        decoded = model.decode(torch.round(quantizer.latents / step) * step, SIZE)
        expected = float((decoded.double() - x.double() / 255).square().mean())
        assert quantizer.at(step).mse == pytest.approx(expected, rel=1e-5)
    assert quantizer.mse == pytest.approx(float((model.reconstruct(x) - x / 255).double().square().mean()), rel=1e-5)


@pytest.mark.parametrize("loss_db", [0.1, 1.0])
def test_the_coarsest_step_costs_what_is_allowed_and_no_coarser_one_does(
    quantizer: LatentQuantizer, loss_db: float
) -> None:
    found = quantizer.coarsest(loss_db)
    cost = 10 * math.log10(found.mse / quantizer.mse)
    assert cost <= loss_db + 1e-9
    if found.step < 8 * float(quantizer.latents.std()):  # else rounding everything away costs less than that
        assert 10 * math.log10(quantizer.at(1.05 * found.step).mse / quantizer.mse) > 0.95 * loss_db


def test_a_step_of_a_pca_costs_a_twelfth_of_its_square() -> None:
    """Orthonormal components: the error of rounding, step^2 / 12 a score (steps far below the scores), is added."""
    model, x = pca(), images(400, seed=1)
    quantizer = quantiser_of(model, x)
    found = quantizer.coarsest()
    predicted = math.sqrt(12 * 64 / 4 * quantizer.mse * (10**0.01 - 1))
    assert found.step == pytest.approx(predicted, rel=0.1)


def test_bits_are_met_and_the_curve_falls(quantizer: LatentQuantizer) -> None:
    for bits in (4.0, 12.0):
        found = quantizer.for_bits(bits)
        assert found is not None
        assert found.bits <= bits
        assert found.bits > 0.7 * bits
    assert quantizer.for_bits(-1.0) is None
    curve = quantizer.curve(0.2 * float(quantizer.latents.std()))
    steps, bits, errors = zip(*((each.step, each.bits, each.mse) for each in curve), strict=True)
    assert list(np.array(steps[1:]) / np.array(steps[:-1])) == pytest.approx([1.6] * 6)
    assert list(bits) == sorted(bits, reverse=True)
    assert errors[0] < errors[-1]


@pytest.mark.parametrize("count", [1, 2])
def test_very_few_signals_can_be_counted_too(count: int) -> None:
    x = images(count, seed=3)
    for model in (network(Autoencoder, latent_dim=1), network(VAE, latent_dim=2), pca(1)):
        found = evaluate(model, [(None, x)])
        assert found.rate.entropy_bits is not None
        assert math.isfinite(found.rate.entropy_bits)
        json.dumps(found.as_dict(), allow_nan=False)


@pytest.mark.parametrize("value", [0, 77, 255])
def test_constant_images_take_no_bits(value: int) -> None:
    x = torch.full((40, 1, *SIZE), value, dtype=torch.uint8)
    torch.manual_seed(0)
    for model in (
        PCA(2, size=SIZE, channels=1),
        Autoencoder(2, size=SIZE, channels=1, **NETWORK),
        VAE(2, size=SIZE, channels=1, **NETWORK),
    ):
        found = evaluate(fitted(model, x), in_batches(x, 16))
        assert found.rate.entropy_bits == pytest.approx(0.0)
        json.dumps(found.as_dict(), allow_nan=False)


def test_a_perfect_reconstruction_can_be_counted() -> None:
    """All components: the error is float rounding, and 0.1 dB of it is less than any rounding of scores costs."""
    model = pca(64)
    x = images(50, seed=1)
    found = evaluate(model, in_batches(x, 20))
    assert found.mse < 1e-10
    assert found.rate.entropy_bits is not None
    assert 0 < found.rate.entropy_bits / 50 < 64 * 8


# ---- bits per dimension


LADDER: dict[str, Any] = {
    "pca": lambda: pca(),
    "ae": lambda: network(Autoencoder, latent_dim=3),
    "ae-grid": lambda: network(Autoencoder, latent_dim=2, latent="grid"),
    "vae": lambda: network(VAE, latent_dim=3),
    "vae-logistic": lambda: network(VAE, latent_dim=3, likelihood="logistic"),
    "vqvae": lambda: vqvae(),
    "vqvae-product": lambda: vqvae(num_codebooks=2),
    "vqvae-mixture": lambda: vqvae(likelihood="logistic_mixture"),
}


@pytest.mark.parametrize("name", LADDER)
def test_rate_and_distortion_add_up_whatever_the_batches(name: str) -> None:
    model, x = LADDER[name](), images(45, seed=1)
    whole = evaluate(model, [(None, x)])
    bound = whole.bits_per_dim
    assert bound is not None
    assert bound.total == pytest.approx(bound.rate + bound.distortion)
    assert bound.rate >= 0
    assert 0 < bound.distortion < 9
    assert whole.as_dict()["bits_per_dim"] == vars(bound)
    json.dumps(whole.as_dict(), allow_nan=False)
    noisy = 0.03 if isinstance(model, VAE) else 1e-5  # other batches, other noise
    for size in (7, 45):
        found = evaluate(model, in_batches(x.float() / 255, size))
        assert found.bits_per_dim is not None
        assert found.bits_per_dim.total == pytest.approx(bound.total, rel=noisy)
        assert found.rate.entropy_bits == pytest.approx(whole.rate.entropy_bits, rel=0.02)
        assert found.latent_numbers == whole.latent_numbers == model.encode(x[:1]).numel()
    assert evaluate(model, [(None, x)], bits=False).bits_per_dim is None


@pytest.mark.parametrize("codebooks", [1, 2])
def test_uniform_codes_cost_their_logarithm(codebooks: int) -> None:
    model = vqvae(num_codebooks=codebooks)
    found = evaluate(model, in_batches(images(20), 8))
    assert found.bits_per_dim is not None
    assert found.bits_per_dim.rate == pytest.approx(16 * codebooks * 3 / 64, rel=1e-12)
    assert "uniform" in found.bits_per_dim.how
    assert found.rate.nominal_bits == pytest.approx(20 * 16 * codebooks * 3)


@pytest.mark.parametrize("codebooks", [1, 2])
def test_a_learned_prior_costs_its_cross_entropy(codebooks: int) -> None:
    model, x = vqvae(num_codebooks=codebooks), images(20)
    torch.manual_seed(1)
    prior = GatedPixelCNN(8, (4, 4), num_codebooks=codebooks, hidden_channels=8, layers=2).eval()
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.normal_(std=0.3)
    uniform = evaluate(model, in_batches(x, 8)).bits_per_dim
    model.use_prior(prior)
    learned = evaluate(model, in_batches(x, 8)).bits_per_dim
    assert uniform is not None
    assert learned is not None
    nats = -float(prior.log_prob(model.encode(x)).detach().double().sum())
    assert learned.rate == pytest.approx(nats / math.log(2) / x.numel(), rel=1e-6)
    assert learned.rate != pytest.approx(uniform.rate, rel=1e-3)
    assert learned.distortion == pytest.approx(uniform.distortion, rel=1e-9)
    assert learned.how == "learned prior"


@pytest.mark.parametrize("likelihood", ["gaussian", "logistic"])
def test_a_vae_is_charged_its_evidence_lower_bound(likelihood: str) -> None:
    """By hand: the noise of each batch's first item, p(x | z) of that sample, and the KL of arXiv 1312.6114."""
    model, x = network(VAE, latent_dim=3, likelihood=likelihood), images(20, seed=1)
    found = evaluate(model, in_batches(x, 8)).bits_per_dim
    assert found is not None
    rate = distortion = 0.0
    for first, part in zip((0, 8, 16), x.split(8), strict=True):
        generator = torch.Generator().manual_seed(int(np.random.SeedSequence([first]).generate_state(1)[0]))
        with torch.no_grad():
            mean, log_variance = model.posterior(part)
        z = mean + (log_variance / 2).exp() * torch.randn(mean.shape, generator=generator)
        q = torch.distributions.Normal(mean.double(), (log_variance.double() / 2).exp())
        p = torch.distributions.Normal(torch.zeros_like(q.mean), torch.ones_like(q.mean))
        rate += float(torch.distributions.kl_divergence(q, p).sum())
        distortion -= float(model.log_likelihood(part, z).sum())
    per_bit = x.numel() * math.log(2)
    assert found.rate == pytest.approx(rate / per_bit, rel=1e-5)
    assert found.distortion == pytest.approx(distortion / per_bit, rel=1e-6)
    assert float(kl_nats(torch.zeros(3), torch.zeros(3)).sum()) == 0


def test_what_has_no_prior_is_charged_its_rounded_latents() -> None:
    for model in (pca(), network(Autoencoder, latent_dim=3), network(Autoencoder, latent_dim=2, latent="grid")):
        x = images(45, seed=1)
        found = evaluate(model, [(None, x)])
        quantizer = quantiser_of(model, x)
        coarsest = quantizer.coarsest()
        assert found.rate.entropy_bits == pytest.approx(45 * coarsest.bits, rel=1e-9)
        assert found.bits_per_dim is not None
        assert found.bits_per_dim.rate == pytest.approx(found.rate.entropy_bits / x.numel(), rel=1e-9)
        nats = -float(model.log_likelihood(x, rounded(quantizer.latents, coarsest.step)).sum())
        assert found.bits_per_dim.distortion == pytest.approx(nats / x.numel() / math.log(2), rel=1e-6)
        assert found.rate.nominal_bits == 32 * found.latent_numbers * 45
        assert found.rate.stored_bytes == 4 * found.latent_numbers * 45


def test_items_of_several_sizes_are_counted_by_how_many_numbers_they_have() -> None:
    """The bits are measured on items of one size and stand for all: a larger item has more of the same numbers."""
    model = network(Autoencoder, latent_dim=2, latent="grid")
    small, large = images(30, seed=1), images(10, size=(16, 16), seed=2)
    found = evaluate(model, [(None, small), (None, large)])
    only = evaluate(model, [(None, small)])
    assert found.latent_numbers * 40 == 30 * 32 + 10 * 128
    assert only.rate.entropy_bits is not None
    expected = only.rate.entropy_bits / 30 / 32 * (30 * 32 + 10 * 128)
    assert found.rate.entropy_bits == pytest.approx(expected, rel=1e-9)
    for kind in (network(VAE, latent_dim=2, latent="grid"), vqvae()):
        assert evaluate(kind, [(None, small), (None, large)]).bits_per_dim is not None


@pytest.mark.parametrize("axes", [0, 1])
def test_vectors_and_sound_have_no_levels_to_count(axes: int) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand((30, 2, *[8] * axes), generator=generator) * 2 - 1
    options = {**NETWORK, "axes": axes, "channels": 2, "downsampling": 2 if axes else 1}
    size = {"size": [8] * axes} if axes else {}
    torch.manual_seed(0)
    for model in (
        PCA(2, axes=axes, channels=2, **size),
        Autoencoder(2, **options, **size),
        VAE(2, **options, **size),
        VQVAE(8, code_dim=4, **options),
    ):
        found = evaluate(fitted(model, x), in_batches(x, 7))
        assert found.bits_per_dim is None
        assert found.rate.entropy_bits is not None
        json.dumps(found.as_dict(), allow_nan=False)
