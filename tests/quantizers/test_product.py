"""Product quantisation and the linear path: against their parts, scikit-learn's PCA, and plain counting."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import decomposition
from torch import Tensor

from tests.models.cases import SIZES, SMALL, ready, signals
from tests.reference.judgement import codebook_measures
from vqkit import VQVAE
from vqkit.errors import ConfigError
from vqkit.likelihoods import LogisticMixture
from vqkit.models import VAE, Autoencoder
from vqkit.networks import LinearPath, balanced
from vqkit.ops import codebook_histograms, entropy_bits, perplexity, usage
from vqkit.quantizers import ProductQuantizer, build_quantizer

KINDS = ["ema", "gradient"]


def product(kind: str, parts: int = 3, codes: int = 7, dim: int = 2, **options: Any) -> ProductQuantizer:
    built = build_quantizer(kind, codes, dim * parts, {"restart_below": 0, **options}, parts)
    assert isinstance(built, ProductQuantizer)
    for number, part in enumerate(built._quantizers()):
        part.set_codebook(torch.randn(codes, dim, generator=torch.Generator().manual_seed(number)))
    return built


def latents(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# ---- the product quantizer


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("grid", [(), (5,), (3, 4)])
def test_a_product_is_its_parts(kind: str, grid: tuple[int, ...], training: bool) -> None:
    whole, apart = product(kind).train(training), product(kind).train(training)._quantizers()
    z = latents(6, 6, *grid)
    indices = whole.encode(z)
    found = whole(z)
    each = [part(z[:, 2 * c : 2 * c + 2]) for c, part in enumerate(apart)]
    assert found.indices.shape == (6, *grid, 3)
    assert torch.equal(found.indices, indices)
    assert torch.equal(found.indices, torch.stack([one.indices for one in each], -1))
    assert torch.equal(found.quantized, torch.cat([one.quantized for one in each], 1))
    for name, loss in found.losses.items():
        assert float(loss.detach()) == pytest.approx(
            np.mean([float(one.losses[name].detach()) for one in each]), rel=1e-6
        )
    for mine, theirs in zip(whole._quantizers(), apart, strict=True):
        assert all(torch.equal(mine.state_dict()[name], tensor) for name, tensor in theirs.state_dict().items())
    if not training:
        assert torch.equal(whole.lookup(found.indices), found.quantized)
        assert torch.equal(whole.lookup(whole.encode(z)), found.quantized)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_of_a_product_is_straight_through(kind: str) -> None:
    z, weights = latents(3, 6, 4).requires_grad_(), latents(3, 6, 4, seed=9)
    (product(kind)(z).quantized * weights).sum().backward()
    assert z.grad is not None
    assert torch.equal(z.grad, weights)


@pytest.mark.parametrize("kind", KINDS)
def test_parts_begin_apart_and_their_state_survives(kind: str) -> None:
    fresh = build_quantizer(kind, 8, 6, {"seed": 3}, 3)
    assert isinstance(fresh, ProductQuantizer)
    assert (fresh.codebook_size, fresh.code_dim, fresh.num_codebooks) == (8, 6, 3)
    books = [part.codebook for part in fresh._quantizers()]
    assert not any(torch.equal(a, b) for a, b in itertools.combinations(books, 2))
    assert not fresh.initialized
    fresh.initialize(latents(200, 6))
    assert fresh.initialized
    fresh(latents(5, 6, 7))
    loaded = build_quantizer(kind, 8, 6, {"seed": 3}, 3)
    loaded.load_state_dict(fresh.state_dict())
    assert loaded.initialized
    z = latents(4, 6, 9, seed=1)
    assert torch.equal(loaded.encode(z), fresh.encode(z))
    a, b = fresh(z), loaded(z)
    assert torch.equal(a.quantized, b.quantized)
    assert all(torch.equal(tensor, loaded.state_dict()[name]) for name, tensor in fresh.state_dict().items())


def test_every_part_restarts_its_dead_codes_and_the_sum_is_counted() -> None:
    q = product("ema", parts=2, codes=8, restart_below=0.1, restart_every=2, decay=0.5)
    for part in q._quantizers():
        far = torch.full((8, 2), 1e3)
        far[0] = 0.0
        part.set_codebook(far)
        part.uses[1:] = 1e-6
    assert q.restarts == 0
    for step in range(20):
        q(latents(64, 4, seed=step))
    each = [part.restarts for part in q._quantizers()]
    assert min(each) > 0
    assert q.restarts == sum(each)
    indices = q.eval().encode(latents(3000, 4, seed=99))
    assert [len(indices[:, c].unique()) for c in range(2)] == [8, 8]
    q.restarts = 5
    assert q.restarts == 5


def test_a_product_names_what_does_not_fit() -> None:
    q = product("ema")
    with pytest.raises(ValueError, match=r"latents have shape \(4, 5\); expected \[batch, 6, \*grid\]"):
        q(torch.zeros(4, 5))
    with pytest.raises(ValueError, match=r"indices have shape \(4, 2\); the last axis is the 3 codebooks"):
        q.lookup(torch.zeros(4, 2, dtype=torch.int64))
    with pytest.raises(ValueError, match="7 codes"):
        q.lookup(torch.full((4, 3), 7))
    for parts in ([build_quantizer("ema", 8, 4, {})], [build_quantizer("ema", k, 4, {}) for k in (8, 9)], []):
        with pytest.raises(ConfigError, match="give 2 or more, equal"):
            ProductQuantizer(parts)
    with pytest.raises(ConfigError, match=r"num_codebooks=4.*code_dim=6 must be a multiple"):
        build_quantizer("ema", 8, 6, {}, 4)
    with pytest.raises(ConfigError, match="num_codebooks=0"):
        build_quantizer("ema", 8, 6, {}, 0)


def test_the_codebook_of_a_product_joins_its_parts() -> None:
    model = ready("vqvae of 3")
    assert isinstance(model, VQVAE)
    parts = [part.codebook for part in model.quantizer._quantizers()]
    assert torch.equal(model.codebook, torch.cat(parts, dim=1))
    assert model.num_codebooks == 3
    for wrong in (torch.zeros(2, 3, 3, 2), torch.zeros(2, 3, 3), torch.zeros(2, 3, 3, 3, 3)):
        with pytest.raises(ValueError, match="2 grid axes and 3 codebooks"):
            model.decode(wrong.long())


def test_histograms_are_of_each_codebook() -> None:
    rng = np.random.default_rng(0)
    rows = np.stack([rng.integers(0, 9, 500), rng.integers(0, 3, 500), np.full(500, 2)], -1).reshape(20, 25, 3)
    indices = torch.from_numpy(rows)
    histograms = codebook_histograms(indices, 9, 3)
    assert histograms.shape == (3, 9)
    for c in range(3):
        assert histograms[c].tolist() == np.bincount(rows[..., c].ravel(), minlength=9).tolist()
    each = [codebook_measures(rows[..., c], 9) for c in range(3)]
    mean_bits = sum(one["entropy_bits"] / 500 for one in each) / 3
    assert entropy_bits(histograms) == pytest.approx(mean_bits)
    assert perplexity(histograms) == pytest.approx(2**mean_bits)
    assert usage(histograms) == pytest.approx((9 + 3 + 1) / 27)
    assert torch.equal(codebook_histograms(indices[..., 0], 9), histograms[:1])
    assert entropy_bits(torch.zeros(2, 4)) == 0


# ---- the linear path


@pytest.mark.parametrize("axes", [0, 1, 2, 3])
def test_rows_of_pca_reconstruct_blocks_as_pca_does(axes: int) -> None:
    downsampling, channels = (1, 6) if axes == 0 else (2, 2)
    size = {0: (), 1: (8,), 2: (6, 4), 3: (4, 2, 6)}[axes]
    path = LinearPath(axes, channels, 3, downsampling)
    x = signals(40, channels, axes, size=size) - 0.5
    blocks = path.blocks(x)
    positions = math.prod(side // 2 for side in size)
    assert blocks.shape == (40 * positions, channels * downsampling**axes)
    places = itertools.product(*(range(0, side, 2) for side in size))
    cut = [x[(..., *[slice(at, at + 2) for at in place])].flatten(1) for place in places]
    assert torch.equal(blocks, torch.stack(cut, dim=1).flatten(0, 1))
    theirs = decomposition.PCA(3, svd_solver="full").fit(blocks.double().numpy())
    path.set_rows(torch.from_numpy(theirs.components_).float())
    scores = path.encode(x)
    assert scores.shape == (40, 3, *[side // 2 for side in size])
    flat = scores.movedim(1, -1).reshape(-1, 3)
    assert np.allclose(flat.detach().numpy(), blocks.double().numpy() @ theirs.components_.T, atol=1e-5)
    back = path.decode(scores)
    assert back.shape == x.shape
    expected = theirs.inverse_transform(theirs.transform(blocks.double().numpy()))
    mean = theirs.mean_ - theirs.mean_ @ theirs.components_.T @ theirs.components_  # not in the rows, so not kept
    assert np.allclose(path.blocks(back.detach()).numpy(), expected - mean, atol=1e-5)


def test_blocks_keep_neighbours_together() -> None:
    x = torch.arange(2 * 4 * 6).view(1, 2, 4, 6).float()
    blocks = LinearPath(2, 2, 1, 2).blocks(x)
    assert blocks.shape == (6, 8)
    assert blocks[1].tolist() == [2, 3, 8, 9, 26, 27, 32, 33]  # second block of the first row, channel by channel


def test_a_whole_signal_is_one_block_and_keeps_its_mean() -> None:
    x = signals(50, 2, 2, size=(3, 4))
    theirs = decomposition.PCA(4, svd_solver="full").fit(x.flatten(1).double().numpy())
    path = LinearPath(2, 2, 4, 1, (3, 4))
    scales = torch.from_numpy(theirs.explained_variance_).float().sqrt()
    path.set_rows(torch.from_numpy(theirs.components_).float(), scales, torch.from_numpy(theirs.mean_).float())
    scores = path.encode(x).detach()
    assert torch.allclose(scores.std(0), torch.ones(4), atol=1e-4)
    expected = theirs.inverse_transform(theirs.transform(x.flatten(1).double().numpy()))
    assert np.allclose(path.decode(scores).detach().flatten(1).numpy(), expected, atol=1e-5)


def smooth(count: int, channels: int = 2, seed: int = 0) -> Tensor:
    """Smooth images, whose blocks have a direction of large variance and a mean along it."""
    noise = torch.randn(count, channels, 12, 12, generator=torch.Generator().manual_seed(seed))
    blurred = torch.nn.functional.avg_pool2d(noise, 5, 1)
    return (0.5 + 0.5 * blurred).clamp(0.05, 0.95)


@pytest.mark.parametrize("likelihood", ["gaussian", "logistic", "logistic_mixture"])
@pytest.mark.parametrize("build", [VQVAE, Autoencoder, VAE])
def test_a_linear_path_begins_as_the_pca_of_blocks(build: type[Any], likelihood: str) -> None:
    x = smooth(60)
    torch.manual_seed(0)
    options: dict[str, Any] = {"channels": 2, "downsampling": 2, "linear_path": True, "likelihood": likelihood, **SMALL}
    model = build(8, code_dim=3, **options) if build is VQVAE else build(3, latent="grid", **options)
    model.prepare([x[:30], x[30:]])
    model.eval()
    latents = model.latents(x)[:, :3]
    back = model.to_signal(model.likelihood.mean(model._decoded(latents)))  # not quantised
    blocks = LinearPath(2, 2, 3, 2).blocks(x).double().numpy()
    theirs = decomposition.PCA(3, svd_solver="full").fit(blocks)
    expected = np.mean((theirs.inverse_transform(theirs.transform(blocks)) - blocks) ** 2)
    assert float((back - x).square().mean().detach()) <= expected * 1.01
    assert float(model(x).metrics["mse"]) >= expected * 0.99


@pytest.mark.parametrize("build", [Autoencoder, VAE])
def test_a_vector_with_a_linear_path_begins_as_pca(build: type[Any]) -> None:
    x = smooth(60)[..., :7]  # 8 x 7: padded to 8 x 8
    torch.manual_seed(0)
    model = build(5, size=(8, 7), channels=2, downsampling=2, linear_path=True, **SMALL)
    model.prepare([x])
    model.eval()
    padded = torch.nn.functional.pad(x, (0, 1, 0, 0), mode="replicate").flatten(1).double().numpy()
    theirs = decomposition.PCA(5, svd_solver="full").fit(padded)
    back = theirs.inverse_transform(theirs.transform(padded)).reshape(60, 2, 8, 8)[..., :7]
    assert np.allclose(model.reconstruct(x).numpy(), back, atol=1e-5)
    assert torch.equal(model.reconstruct(x), model(x).reconstruction)
    codes = model.encode(x)
    if build is VAE:
        assert torch.allclose(codes.std(0), torch.ones(5), atol=1e-3)  # as the prior wants them
    else:
        assert np.allclose(codes.std(0).numpy() * float(model.signal_std), theirs.explained_variance_**0.5, rtol=1e-3)


def test_the_components_of_a_mixture_do_not_begin_alike() -> None:
    """Equal components get equal gradients for ever, so a decoder whose last layer is all zeros never has two."""
    torch.manual_seed(0)
    model = VQVAE(8, code_dim=4, channels=1, downsampling=2, linear_path=True, likelihood="logistic_mixture", **SMALL)
    model.prepare([smooth(20, 1)])
    assert isinstance(model.likelihood, LogisticMixture)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    spread = []
    for _ in range(15):
        optimizer.zero_grad()
        model.train()(smooth(20, 1)).loss.backward()
        optimizer.step()
        model.eval()
        _, means, log_scales, _ = model.likelihood._parts(model.decode_parameters(model.encode(smooth(20, 1))))
        spread.append(float(log_scales.std(dim=1).mean()))
    assert min(spread) > 0.01
    assert float(means.std(dim=1).mean()) > 0.001


def test_directions_are_dealt_out_to_equal_volumes() -> None:
    variances = torch.tensor([64.0, 32, 16, 8, 4, 2, 1, 0.5])
    order = balanced(variances, 2)
    assert sorted(order) == list(range(8))
    volumes = [math.prod(float(variances[number]) for number in order[half : half + 4]) for half in (0, 4)]
    assert volumes[0] / volumes[1] == pytest.approx(1, rel=0.01)
    assert order[0] == 0
    assert balanced(variances, 1) == list(range(8))
    assert sorted(balanced(torch.zeros(6), 3)) == list(range(6))
    assert balanced(torch.tensor([1.0, 3, 2]), 3) == [1, 2, 0]


@pytest.mark.parametrize("axes", [0, 1, 2, 3])
def test_several_codebooks_share_the_variance_of_a_linear_path(axes: int) -> None:
    model = VQVAE(
        6, code_dim=4, channels=4, axes=axes, downsampling=2 if axes else 1, num_codebooks=2, linear_path=True, **SMALL
    )
    model.prepare([signals(40, 4, axes, size=SIZES[axes])])
    model.eval()
    flat = model.latents(signals(40, 4, axes, size=SIZES[axes])).movedim(1, -1).reshape(-1, 4)
    variances = flat.var(dim=0).detach()
    assert variances[0] == variances.max()
    assert not torch.equal(variances.sort(descending=True).values, variances)  # dealt out, not in order
    assert math.isclose(float(variances[:2].prod() / variances[2:].prod()), 1, rel_tol=0.7)


def test_residual_codebooks_do_not_divide_the_channels_of_a_linear_path() -> None:
    options: dict[str, Any] = {"num_codebooks": 3, "stacking": "residual", "linear_path": True, "downsampling": 2}
    model = VQVAE(6, code_dim=4, channels=1, **options, **SMALL)  # 4 channels, 3 codebooks
    x = smooth(40, 1)
    model.prepare([x])
    variances = model.eval().latents(x).movedim(1, -1).reshape(-1, 4).var(dim=0).detach()
    assert torch.equal(variances.sort(descending=True).values, variances)  # principal components, in order
