"""The pure functions: nearest code, straight-through, statistics, k-means."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference import vector_quantization as reference
from vqkit import ops


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 40), k=st.integers(1, 30), d=st.integers(1, 9), seed=st.integers(0, 10_000))
def test_nearest_code_is_the_nearest(n: int, k: int, d: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    latents, codebook = rng.normal(size=(n, d)), rng.normal(size=(k, d))
    found = ops.nearest_code(torch.tensor(latents), torch.tensor(codebook)).numpy()
    expected = reference.nearest(latents, codebook)
    if k > 1:
        clear = reference.distance_gap(latents, codebook) > 1e-12
        assert (found[clear] == expected[clear]).all()
    else:
        assert (found == 0).all()


def test_nearest_code_in_blocks_equals_one_block() -> None:
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(5000, 8, generator=generator)
    codebook = torch.randn(700, 8, generator=generator)
    whole = torch.cdist(latents.double(), codebook.double()).argmin(1)
    found = ops.nearest_code(latents, codebook)  # 700 codes: several blocks of rows
    assert (found == whole).float().mean() > 0.999
    different = found != whole
    gap = reference.distance_gap(latents[different].double().numpy(), codebook.double().numpy())
    assert (gap < 1e-4).all()  # only where float32 cannot tell


def test_nearest_code_ignores_autocast_and_low_precision() -> None:
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(200, 16, generator=generator)
    codebook = torch.randn(64, 16, generator=generator)
    expected = ops.nearest_code(latents, codebook)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(ops.nearest_code(latents, codebook), expected)
    low = latents.bfloat16()
    assert torch.equal(ops.nearest_code(low, codebook), ops.nearest_code(low.float(), codebook))


@pytest.mark.parametrize(("latents", "codebook"), [((3, 4), (5, 3)), ((3,), (5, 3)), ((3, 4), (0, 4))])
def test_nearest_code_refuses_shapes(latents: tuple[int, ...], codebook: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="codebook"):
        ops.nearest_code(torch.zeros(latents), torch.zeros(codebook))


def test_straight_through_is_exact_forward_and_identity_backward() -> None:
    latents = (torch.randn(50, 7) * 1e3).requires_grad_()
    codes = torch.randn(50, 7) * 1e-3
    out = ops.straight_through(latents, codes)
    assert torch.equal(out, codes)  # latents + (codes - latents) would not be
    gradient = torch.randn(50, 7)
    out.backward(gradient)
    assert latents.grad is not None
    assert torch.equal(latents.grad, gradient)


def test_statistics_against_numpy() -> None:
    rng = np.random.default_rng(0)
    indices = rng.integers(0, 9, size=500)
    indices[indices == 4] = 5
    histogram = ops.index_histogram(torch.tensor(indices).view(5, 100), 9)
    assert histogram.tolist() == np.bincount(indices, minlength=9).tolist()
    p = np.bincount(indices, minlength=9) / 500
    p = p[p > 0]
    assert ops.entropy_bits(histogram) == pytest.approx(-(p * np.log2(p)).sum(), rel=1e-12)
    assert ops.perplexity(histogram) == pytest.approx(math.exp(-(p * np.log(p)).sum()), rel=1e-12)
    assert ops.usage(histogram) == pytest.approx(8 / 9)
    vectors = torch.randn(500, 3, dtype=torch.float64)
    sums = ops.code_sums(vectors, torch.tensor(indices), 9)
    for code in range(9):
        assert torch.allclose(sums[code], vectors[torch.tensor(indices == code)].sum(0))


def test_statistics_at_the_edges() -> None:
    assert ops.entropy_bits(torch.zeros(4)) == 0
    assert ops.perplexity(torch.tensor([0, 7, 0])) == 1
    assert ops.perplexity(torch.tensor([3, 3, 3, 3])) == pytest.approx(4)


def test_laplace_smoothing_keeps_the_total_and_lifts_zeros() -> None:
    counts = torch.tensor([0.0, 1.0, 9.0])
    smoothed = ops.laplace_smoothed(counts, 1e-2)
    assert float(smoothed.sum()) == pytest.approx(10.0)
    assert float(smoothed[0]) > 0


def test_kmeans_finds_separate_clusters_and_wastes_none() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(8, 5, generator=generator) * 20
    points = truth.repeat_interleave(50, 0) + 0.1 * torch.randn(400, 5, generator=generator)
    centers, counts = ops.kmeans(points, 8, generator=generator, iterations=20)
    assert int(counts.sum()) == 400
    assert (counts > 0).all()
    error = (points - centers[ops.nearest_code(points, centers)]).square().sum(1).mean()
    single = (points - points.mean(0)).square().sum(1).mean()
    assert float(error) < 0.35 * float(single)


def test_kmeans_with_fewer_points_than_clusters_gives_distinct_centres() -> None:
    centers, counts = ops.kmeans(torch.randn(3, 4), 8, generator=torch.Generator().manual_seed(0))
    assert centers.shape == (8, 4)
    assert len(torch.unique(centers, dim=0)) == 8
    assert int(counts.sum()) == 3


def test_kmeans_of_identical_points_stays_finite() -> None:
    centers, _ = ops.kmeans(torch.ones(20, 4), 6, generator=torch.Generator().manual_seed(0))
    assert torch.isfinite(centers).all()
