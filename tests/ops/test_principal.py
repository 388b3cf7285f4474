"""Principal components: streaming covariance, sketch, transform, probabilistic PCA; scikit-learn is the peer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA, IncrementalPCA
from torch import Tensor

from tests.reference import principal as reference
from vqkit.errors import ConfigError, DataError
from vqkit.ops.linear import covariance as covariance_module
from vqkit.ops.linear.covariance import StreamingCovariance, StreamingSketch
from vqkit.ops.linear.principal import (
    PrincipalComponents,
    inverse_transform,
    log_likelihood,
    posterior,
    principal_components,
    sample,
    transform,
)

Array = reference.Array


def stream_of(x: Array | Tensor, size: int = 7) -> Callable[[], Sequence[Tensor]]:
    return lambda: torch.as_tensor(x).split(size)


def fit(x: Array | Tensor, components: int, **options: Any) -> PrincipalComponents:
    return principal_components(stream_of(x), components, **options)


def data_with(spectrum: Sequence[float] | Array, count: int, seed: int = 0, offset: float = 0.0) -> Array:
    """Items whose covariance (ddof 1) has exactly these eigenvalues, about a mean of size ``offset``."""
    rng = np.random.default_rng(seed)
    spectrum = np.asarray(spectrum, dtype=np.float64)
    scores = rng.normal(size=(count, len(spectrum)))
    scores = np.linalg.qr(scores - scores.mean(0))[0] * np.sqrt((count - 1) * spectrum)
    axes = np.linalg.qr(rng.normal(size=(len(spectrum), len(spectrum))))[0]
    return np.asarray(scores @ axes + offset * rng.normal(size=len(spectrum)))


def assert_rows_equal(found: Array, expected: Array, tolerance: float) -> None:
    """Rows equal up to sign."""
    signs = np.sign((found * expected).sum(1, keepdims=True))
    np.testing.assert_allclose(found * signs, expected, rtol=0, atol=tolerance)


# The accumulators


@settings(max_examples=30, deadline=None)
@given(count=st.integers(2, 25), dimension=st.integers(1, 6), seed=st.integers(0, 999), ddof=st.integers(0, 1))
def test_covariance_is_that_of_pairs(count: int, dimension: int, seed: int, ddof: int) -> None:
    x = np.random.default_rng(seed).normal(size=(count, dimension)) + 3
    seen = StreamingCovariance(dimension)
    for batch in stream_of(x)():
        seen.add(batch)
    expected = reference.covariance(x, ddof)
    found = seen.covariance(ddof)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
    assert torch.equal(found, found.T)
    assert seen.count == count
    np.testing.assert_allclose(seen.mean, x.mean(0), rtol=1e-13, atol=1e-14)
    assert seen.total_variance(ddof) == pytest.approx(float(np.trace(expected)), rel=1e-12)


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(0, 12), min_size=1, max_size=9), offset=st.sampled_from([0.0, 50.0]))
def test_cuts_of_the_stream_change_nothing(sizes: list[int], offset: float) -> None:
    count = sum(sizes) + 10
    x = torch.tensor(data_with([9.0, 4.0, 2.0, 1.0, 0.5], count, seed=count, offset=offset))
    batches = x.split([*sizes, 10])
    whole = principal_components(lambda: [x], 3)
    cut = principal_components(lambda: batches, 3)
    for name in ("mean", "components", "variances"):
        torch.testing.assert_close(getattr(cut, name), getattr(whole, name), rtol=1e-10, atol=1e-10)
    assert cut.total_variance == pytest.approx(whole.total_variance, rel=1e-10)
    assert cut.count == count
    one, many = (StreamingSketch(5, 1, oversampling=1, seed=3) for _ in range(2))
    one.add(x)
    for batch in batches:
        many.add(batch)
    for a, b in zip(one.eigen(), many.eigen(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)


@settings(max_examples=30, deadline=None)
@given(counts=st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(2, 9)), seed=st.integers(0, 999))
def test_merge_is_adding_in_one(counts: tuple[int, int, int], seed: int) -> None:
    x = torch.randn(sum(counts), 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 2 + 100
    whole = StreamingCovariance(4)
    whole.add(x)
    parts = []
    for part in x.split(list(counts)):
        parts.append(StreamingCovariance(4))
        parts[-1].add(part)
    before = parts[2].covariance()
    for other in parts[1:]:
        parts[0].merge(other)
    assert parts[0].count == whole.count
    torch.testing.assert_close(parts[0].mean, whole.mean, rtol=1e-13, atol=0)
    torch.testing.assert_close(parts[0].covariance(), whole.covariance(), rtol=1e-11, atol=1e-11)
    assert torch.equal(parts[2].covariance(), before)


def test_several_blocks_and_parts_equal_one(monkeypatch: pytest.MonkeyPatch) -> None:
    x = data_with(np.linspace(3, 0.1, 23), 60, offset=10)
    whole = StreamingCovariance(23)
    whole.add(torch.tensor(x))
    monkeypatch.setattr(covariance_module, "_BLOCK", 5)
    monkeypatch.setattr(covariance_module, "_VALUES_AT_ONCE", 23 * 4)
    parts = StreamingCovariance(23)
    parts.add(torch.tensor(x))
    torch.testing.assert_close(parts.covariance(), whole.covariance(), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(parts.covariance(), np.cov(x.T), rtol=1e-10, atol=1e-12)


def test_a_large_common_mean_costs_no_precision() -> None:
    small = np.round(np.random.default_rng(0).normal(size=(400, 5)) * 2**10) / 2**10  # exact after the shift too
    near, far = (StreamingCovariance(5) for _ in range(2))
    for batch in stream_of(small, 32)():
        near.add(batch)
        far.add(batch + 2.0**30)
    halves = [StreamingCovariance(5), StreamingCovariance(5)]
    for half, part in zip(halves, torch.tensor(small + 2.0**30).split(200), strict=True):
        half.add(part)
    halves[0].merge(halves[1])
    for found in (far, halves[0]):
        torch.testing.assert_close(found.covariance(), near.covariance(), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(found.mean - 2.0**30, near.mean, rtol=0, atol=2.0**-22)  # an ulp of the mean


def test_the_input_is_left_alone() -> None:
    x = torch.randn(9, 3, dtype=torch.float64, requires_grad=True)
    before = x.detach().clone()
    pc = fit(x, 2)
    for tensor in (pc.mean, pc.components, pc.variances, transform(pc, x), log_likelihood(pc, x)):
        assert not tensor.requires_grad
    assert torch.equal(x.detach(), before)


# Against scikit-learn and the SVD


@pytest.mark.parametrize(
    ("count", "dimension", "k"), [(200, 8, 3), (200, 8, 8), (60, 50, 10), (20, 40, 5), (20, 40, 20), (2, 5, 1)]
)
@pytest.mark.parametrize("dtype", ["float32", "float64", "pixels"])
def test_agrees_with_scikit_learn(count: int, dimension: int, k: int, dtype: str) -> None:
    x = data_with(0.8 ** np.arange(dimension), count, seed=k) if count > dimension else _wide(count, dimension, k)
    if dtype == "pixels":
        x = np.round(128 + 20 * x).clip(0, 255).astype(np.uint8).astype(np.float32) / 255
    elif dtype == "float32":
        x = x.astype(np.float32)
    for offset in (0.0, 1e6) if dtype == "float64" else (0.0,):
        _assert_agrees(np.asarray(x + offset, dtype=x.dtype), k)


def _wide(count: int, dimension: int, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    return np.asarray(rng.normal(size=(count, dimension)) * 0.9 ** np.arange(dimension))


def _assert_agrees(x: Array, k: int) -> None:
    pc = fit(x, k)
    wide = np.asarray(x, dtype=np.float64)
    peer = PCA(k, svd_solver="full").fit(wide)
    distinct = int((peer.explained_variance_ > 1e-9 * peer.explained_variance_[0]).sum())  # k = n: the last is 0
    variances = pc.variances.numpy()
    np.testing.assert_allclose(variances[:distinct], peer.explained_variance_[:distinct], rtol=1e-5)
    np.testing.assert_allclose(variances[distinct:], 0, atol=1e-9)
    np.testing.assert_allclose(pc.explained_ratio[:distinct], peer.explained_variance_ratio_[:distinct], rtol=1e-5)
    np.testing.assert_allclose(pc.mean, peer.mean_, rtol=1e-12, atol=1e-14)
    assert_rows_equal(pc.components[:distinct].numpy(), peer.components_[:distinct], 1e-5)
    np.testing.assert_allclose(pc.components @ pc.components.T, np.eye(k), atol=1e-12)
    assert (pc.components.gather(1, pc.components.abs().argmax(1, keepdim=True)) > 0).all()

    signs = np.sign((pc.components.numpy() * peer.components_).sum(1))[:distinct]
    for whiten in (False, True):
        peer.whiten = whiten
        scores, expected = transform(pc, torch.tensor(x), whiten), peer.transform(wide)[:, :distinct] * signs
        np.testing.assert_allclose(scores[:, :distinct], expected, atol=1e-5 * np.abs(expected).max())
        back, peer_back = inverse_transform(pc, scores, whiten), peer.inverse_transform(peer.transform(wide))
        np.testing.assert_allclose(back - pc.mean, peer_back - peer.mean_, atol=1e-5 * np.abs(wide - peer.mean_).max())
    peer.whiten = False

    if len(x) > x.shape[1]:
        assert pc.noise_variance == pytest.approx(peer.noise_variance_, rel=1e-5, abs=1e-12)
        np.testing.assert_allclose(log_likelihood(pc, torch.tensor(x)), peer.score_samples(wide), rtol=1e-5)
    elif k < len(x) - 1:  # scikit-learn divides by min(count, D) - k where equation 8 has D - k
        assert pc.noise_variance * (pc.dimension - k) == pytest.approx(
            peer.noise_variance_ * (min(x.shape) - k), rel=1e-5
        )
        peer.noise_variance_ = pc.noise_variance
        np.testing.assert_allclose(log_likelihood(pc, torch.tensor(x)), peer.score_samples(wide), rtol=1e-5)
    else:
        assert pc.noise_variance == 0


def test_mean_agrees_with_incremental_pca() -> None:
    x = data_with([4.0, 2.0, 1.0, 0.5], 90, offset=5)
    peer = IncrementalPCA(2, batch_size=15).fit(x)
    np.testing.assert_allclose(fit(x, 2).mean, peer.mean_, rtol=1e-12)


@pytest.mark.parametrize("method", ["exact", "randomised"])
def test_tied_and_missing_directions_agree_as_subspaces(method: Any) -> None:
    x = data_with([5.0, 2.0, 2.0, 2.0, 0.5, 0.5, 0.0, 0.0], 40, offset=3)
    _, variances, rows = reference.principal(x)
    for k in (1, 4, 6):
        pc = fit(x, k, method=method)
        assert reference.subspace_gap(pc.components.numpy(), rows[:k]) < 1e-7
        np.testing.assert_allclose(pc.variances, variances[:k], rtol=1e-10)
    pc = fit(x, 7, method=method)
    assert float(pc.variances[6]) == 0  # rounding is not variance
    assert pc.noise_variance == 0
    assert float(transform(pc, torch.tensor(x), whiten=True)[:, 6].abs().max()) == 0


def test_reconstruction_error_is_the_sum_of_the_discarded_eigenvalues() -> None:
    x = torch.tensor(data_with(0.7 ** np.arange(9), 50, offset=2))
    _, variances, _ = reference.principal(x.numpy())
    for k in range(1, 10):
        pc = fit(x, k)
        error = (x - inverse_transform(pc, transform(pc, x))).square().sum() / 49
        assert float(error) == pytest.approx(variances[k:].sum(), rel=1e-10, abs=1e-12)
        assert pc.total_variance - float(pc.variances.sum()) == pytest.approx(float(error), rel=1e-10, abs=1e-12)


def test_identical_items_have_no_variance() -> None:
    for method in ("exact", "randomised"):
        pc = fit(torch.full((9, 30), 0.1), 2, method=method)
        assert pc.total_variance == pytest.approx(0, abs=1e-30)
        assert pc.explained_ratio.isfinite().all()
        assert not transform(pc, torch.full((2, 30), 0.1), whiten=True).any()
        torch.testing.assert_close(pc.components @ pc.components.T, torch.eye(2, dtype=torch.float64))


# The randomised method


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_sketch_of_low_rank_data_is_exact(offset: float) -> None:
    spectrum = np.zeros(120)
    spectrum[:6] = [100, 30, 10, 3, 1, 0.1]
    x = data_with(spectrum, 150, offset=offset)
    exact, found = fit(x, 6, method="exact"), fit(x, 6, method="randomised", passes=1)
    torch.testing.assert_close(found.variances, exact.variances, rtol=1e-8, atol=0)
    assert reference.subspace_gap(found.components.numpy(), exact.components.numpy()) < 1e-8
    assert_rows_equal(found.components.numpy(), exact.components.numpy(), 1e-8)
    assert found.total_variance == pytest.approx(exact.total_variance, rel=1e-10)
    torch.testing.assert_close(found.mean, exact.mean)


@pytest.mark.parametrize(("items", "passes"), [(20, 1), (21, 2)])
def test_no_pass_is_made_in_vain(items: int, passes: int) -> None:
    x, made = torch.from_numpy(np.random.default_rng(0).standard_normal((items, 60))), []

    def stream() -> list[torch.Tensor]:
        made.append(1)
        return [x]

    found = principal_components(stream, 9, method="randomised")  # 9 + 10 columns hold all that 20 items span
    assert len(made) == passes
    values = np.linalg.svd(x.numpy() - x.numpy().mean(axis=0), compute_uv=False) ** 2 / (items - 1)
    if passes == 1:
        assert found.variances.numpy() == pytest.approx(values[:9], rel=1e-10)


def test_sketch_comes_closer_with_each_pass() -> None:
    x = data_with(0.8 ** np.arange(150), 200, seed=1)
    exact = fit(x, 8, method="exact")
    gaps, errors = [], []
    for passes in (1, 2, 3, 5):
        found = fit(x, 8, method="randomised", passes=passes)
        gaps.append(reference.subspace_gap(found.components.numpy(), exact.components.numpy()))
        errors.append(float((1 - found.variances / exact.variances).max()))
        assert float((found.variances / exact.variances - 1).max()) < 1e-9  # never overestimated
    assert gaps == sorted(gaps, reverse=True)
    assert errors == sorted(errors, reverse=True)
    assert gaps[0] < 0.5
    assert gaps[1] < 0.03
    assert gaps[-1] < 1e-4
    assert errors[1] < 3e-3
    assert errors[-1] < 1e-8


def test_sketch_as_wide_as_the_data_is_exact_and_the_seed_decides() -> None:
    x = data_with(np.linspace(4, 0.2, 15), 40)
    exact, found = fit(x, 9, method="exact"), fit(x, 9, method="randomised", passes=1)  # 9 + 10 columns: all 15
    torch.testing.assert_close(found.variances, exact.variances, rtol=1e-9, atol=0)
    torch.testing.assert_close(found.components, exact.components, rtol=0, atol=1e-8)
    thin = [fit(x, 1, method="randomised", passes=1, seed=seed).variances for seed in (0, 0, 1)]
    assert torch.equal(thin[0], thin[1])
    assert not torch.equal(thin[0], thin[2])


def test_auto_is_exact_up_to_a_dimension(monkeypatch: pytest.MonkeyPatch) -> None:
    x = data_with(np.linspace(4, 0.2, 30), 60)
    exact, sketched = (fit(x, 2, method=method) for method in ("exact", "randomised"))
    assert not torch.equal(exact.variances, sketched.variances)
    monkeypatch.setattr("vqkit.ops.linear.principal.EXACT_DIMENSION", 30)
    assert torch.equal(fit(x, 2).variances, exact.variances)
    monkeypatch.setattr("vqkit.ops.linear.principal.EXACT_DIMENSION", 29)
    assert torch.equal(fit(x, 2).variances, sketched.variances)


# Probabilistic PCA


@pytest.mark.parametrize(("count", "dimension", "k"), [(80, 6, 2), (80, 6, 5), (80, 6, 6), (12, 20, 4)])
def test_likelihood_and_posterior_are_those_of_the_full_matrix(count: int, dimension: int, k: int) -> None:
    rng = np.random.default_rng(k)
    pc = fit(rng.normal(size=(count, dimension)) @ rng.normal(size=(dimension, dimension)) + 4, k)
    new = rng.normal(size=(10, dimension)) * 3
    mean, noise = pc.mean.numpy(), pc.noise_variance
    w = reference.loading(pc.components.numpy(), pc.variances.numpy(), noise)
    expected = reference.log_density(new, mean, w, noise)
    np.testing.assert_allclose(log_likelihood(pc, torch.tensor(new)), expected, rtol=1e-9)
    z_mean, z_variance = posterior(pc, torch.tensor(new))
    expected_mean, expected_covariance = reference.posterior(new, mean, w, noise)
    np.testing.assert_allclose(z_mean, expected_mean, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(torch.diag(z_variance), expected_covariance, rtol=1e-8, atol=1e-9)
    if k == dimension:  # no noise: the whitened scores
        torch.testing.assert_close(z_mean, transform(pc, torch.tensor(new), whiten=True))


def test_noise_variance_is_the_most_likely() -> None:
    """Equation 8 maximises the likelihood, with the paper's division by the count; fewer items than dimensions."""
    x = _wide(12, 20, 0)
    pc, scale = fit(x, 4), 11 / 12

    def likelihood(noise: float) -> float:
        w = reference.loading(pc.components.numpy(), scale * pc.variances.numpy(), noise)
        return float(reference.log_density(x, pc.mean.numpy(), w, noise).mean())

    best = scale * pc.noise_variance
    assert likelihood(best) > likelihood(best * 1.02)
    assert likelihood(best) > likelihood(best * 0.98)


def test_samples_have_the_models_moments() -> None:
    pc = fit(data_with([8.0, 4.0, 1.0, 0.6, 0.4], 30, offset=2), 2)
    w = reference.loading(pc.components.numpy(), pc.variances.numpy(), pc.noise_variance)
    full = w @ w.T + pc.noise_variance * np.eye(5)
    low = pc.components.T.numpy() * pc.variances.numpy() @ pc.components.numpy()
    drawn = {noise: sample(pc, 40_000, torch.Generator().manual_seed(0), noise) for noise in (True, False)}
    for noise, expected in ((True, full), (False, low)):
        assert drawn[noise].shape == (40_000, 5)
        np.testing.assert_allclose(drawn[noise].mean(0), pc.mean, atol=0.06)  # 4 standard errors of the widest
        np.testing.assert_allclose(np.cov(drawn[noise].T.numpy()), expected, atol=0.2)
    beside = drawn[True] - drawn[False]
    assert float((beside @ pc.components.T).abs().max()) < 1e-12  # the noise leaves the scores alone
    assert float(beside.square().sum(1).mean()) == pytest.approx(3 * pc.noise_variance, rel=0.03)
    again = sample(pc, 40_000, torch.Generator().manual_seed(0))
    assert torch.equal(again, drawn[True])


def test_a_density_needs_variance_in_every_direction() -> None:
    x = data_with([5.0, 2.0, 1.0, 0.0], 30)
    assert log_likelihood(fit(x, 2), torch.tensor(x)).isfinite().all()
    for k in (3, 4):
        with pytest.raises(DataError, match=r"noise_variance=0.*30 items.*fewer components"):
            log_likelihood(fit(x, k), torch.tensor(x))
    mean, variance = posterior(fit(x, 4), torch.tensor(x))
    assert variance.tolist() == [0, 0, 0, 1]
    assert not mean[:, 3].any()


# Errors


@pytest.mark.parametrize(
    ("batches", "k", "error", "words"),
    [
        ([], 1, DataError, "no data"),
        ([torch.zeros(0, 3)], 1, DataError, "no data"),
        ([torch.ones(1, 3)], 1, DataError, "1 items.*2 or more"),
        ([torch.eye(4, 3)], 0, ConfigError, "components=0"),
        ([torch.eye(4, 3)], 4, ConfigError, r"components=4 .*dimension 3 "),
        ([torch.eye(2, 9), torch.ones(1, 9)], 4, ConfigError, r"components=4 .*3 = min\(items.*min\(3, 9\)"),
        ([torch.eye(3), torch.eye(3, 4)], 1, DataError, r"\(3, 4\).*\[items, 3\]"),
        ([torch.zeros(3, 2, 2)], 1, DataError, r"\(3, 2, 2\).*flatten"),
        ([torch.eye(3), torch.tensor([[1, 2, 3], [0, float("nan"), 0]])], 1, DataError, "item 4 .*NaN or Inf"),
        ([torch.tensor([[float("inf"), 0.0], [1.0, 0.0]])], 1, DataError, "item 0 .*NaN or Inf"),
        ([torch.eye(3, dtype=torch.float64) * 1e200], 1, DataError, "beyond float64"),
    ],
)
@pytest.mark.parametrize("method", ["exact", "randomised"])
def test_errors_of_the_data(batches: list[Tensor], k: int, error: type[ValueError], words: str, method: Any) -> None:
    with pytest.raises(error, match=words):
        principal_components(lambda: batches, k, method=method)


def test_errors_of_the_options() -> None:
    x = torch.randn(9, 4)
    options: dict[str, Any]
    for options, words in (({"method": "svd"}, "'randomised'"), ({"passes": 0}, "passes=0")):
        with pytest.raises(ConfigError, match=words):
            fit(x, 2, **options)
    used_up = iter([torch.randn(40, 30)])
    with pytest.raises(DataError, match=r"pass 2 .* 0 items, the pass before 40"):
        principal_components(lambda: used_up, 2, method="randomised")
    pc = fit(x, 2)
    for call in (transform, log_likelihood, posterior):
        with pytest.raises(DataError, match=r"items of shape \(3, 5\).*\[batch, 4\]"):
            call(pc, torch.zeros(3, 5))
    with pytest.raises(DataError, match=r"scores of shape \(3, 4\).*\[batch, 2\]"):
        inverse_transform(pc, torch.zeros(3, 4))


def test_errors_of_the_accumulators() -> None:
    with pytest.raises(ConfigError, match="dimension=0"):
        StreamingCovariance(0)
    with pytest.raises(ConfigError, match="rank=5"):
        StreamingSketch(4, 5)
    with pytest.raises(ConfigError, match="oversampling=-1"):
        StreamingSketch(4, 2, oversampling=-1)
    with pytest.raises(DataError, match="no items"):
        _ = StreamingCovariance(4).mean
    with pytest.raises(DataError, match="0 items"):
        StreamingSketch(4, 2).eigen()
    with pytest.raises(DataError, match="merge items of 3 values into items of 4"):
        StreamingCovariance(4).merge(StreamingCovariance(3))
