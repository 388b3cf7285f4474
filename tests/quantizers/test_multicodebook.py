"""Product and additive codebooks: searches beside brute force, learning beside other ways to solve, laws of tokens."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from vqkit.errors import ConfigError
from vqkit.ops import index_histogram, kmeans, nearest_code
from vqkit.ops.assignment.beam import beam_search
from vqkit.ops.linear.additive import fitted_codebooks, summed_codes
from vqkit.ops.linear.rotation import balanced_directions, nearest_rotation
from vqkit.quantizers.multicodebook.additive import AdditiveCodebooks
from vqkit.quantizers.multicodebook.base import MultiCodebookQuantizer
from vqkit.quantizers.multicodebook.product import ProductCodebooks


def vectors(count: int = 600, dim: int = 7, seed: int = 0) -> torch.Tensor:
    """Clusters on a slope, so that the numbers of a vector depend on one another."""
    generator = torch.Generator().manual_seed(seed)
    centers = 3 * torch.randn(20, dim, generator=generator)
    return centers[torch.randint(20, (count,), generator=generator)] + torch.randn(count, dim, generator=generator)


def learned(name: str) -> MultiCodebookQuantizer:
    """A quantizer with 3 codebooks of 8 codes."""
    made: MultiCodebookQuantizer = (
        ProductCodebooks(8, 7, num_codebooks=3)
        if name == "product"
        else AdditiveCodebooks(8, 7, num_codebooks=3, rounds=8, beam=64)
    )
    made.learn(vectors(), torch.Generator().manual_seed(1))
    return made.eval()


@pytest.fixture(scope="module", params=["product", "additive"])
def layer(request: pytest.FixtureRequest) -> MultiCodebookQuantizer:
    return learned(request.param)


def every(layer: MultiCodebookQuantizer) -> torch.Tensor:
    return torch.tensor(list(itertools.product(range(8), repeat=3)))


def test_candidates_are_those_of_brute_force(layer: MultiCodebookQuantizer) -> None:
    x, all_indices = vectors(40, seed=3), every(layer)
    far = torch.cdist(x.double(), layer.sums(all_indices).double()).square()
    found, distances = layer.candidates(x, 64)  # so wide that a sum of three loses nothing that matters
    best = far.min(dim=1)
    assert torch.allclose(distances[:, 0].double(), best.values, atol=1e-3)
    assert torch.allclose((layer.sums(found[:, 5]) - x).square().sum(dim=1), distances[:, 5], atol=1e-3)
    assert bool((distances.diff(dim=1) >= 0).all())
    assert torch.equal(found[:, 0], layer.encode(x))


def test_distances_are_those_to_the_codes_of_the_next_codebook(layer: MultiCodebookQuantizer) -> None:
    x, indices = vectors(30, seed=4), layer.encode(vectors(30, seed=4))
    for level in range(3):
        left = layer.left(x, indices[:, :level])
        expected = torch.cdist(left.double(), layer.codebooks[level].double()).square()
        assert torch.allclose(layer.distances(x, indices[:, :level]).double(), expected, atol=1e-3)


def test_indices_depend_on_the_vector_alone(layer: MultiCodebookQuantizer) -> None:
    x = vectors(301, seed=5)
    whole, before = layer.encode(x), torch.get_num_threads()
    alone = torch.cat([layer.encode(row) for row in x.split(1)])
    try:
        torch.set_num_threads(2)
        threaded = layer.encode(x)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(whole, alone)
    assert torch.equal(whole, threaded)


def test_forward_is_lookup_of_encode_and_changes_nothing(layer: MultiCodebookQuantizer) -> None:
    x = vectors(20, seed=6)
    before = layer.codebooks.clone()
    found = layer(x)
    assert torch.equal(found.quantized, layer.lookup(layer.encode(x)))
    assert torch.equal(found.indices, layer.encode(x))
    assert torch.equal(layer.codebooks, before)
    grid = x.view(4, 5, 7).movedim(2, 1)
    assert torch.equal(layer.lookup(layer.encode(grid)), layer.lookup(layer.encode(x)).view(4, 5, 7).movedim(2, 1))


@pytest.mark.parametrize("name", ["product", "additive"])
def test_learning_is_seeded_and_leaves_no_code_unused(name: str) -> None:
    first, second = learned(name), learned(name)
    assert torch.equal(first.codebooks, second.codebooks)
    indices = first.encode(vectors())
    for level in range(3):
        assert int((index_histogram(indices[:, level], 8) == 0).sum()) == 0


def test_joint_codebooks_are_nearer_than_greedy_ones() -> None:
    x, left = vectors(), vectors()
    for _ in range(3):
        centers, _ = kmeans(left, 8, generator=torch.Generator().manual_seed(0), iterations=25)
        left = left - centers[nearest_code(left, centers)]
    layer = learned("additive")
    assert (layer.lookup(layer.encode(x)) - x).square().mean() < 0.97 * left.square().mean()


def test_the_first_codes_alone_are_a_coarser_codeword() -> None:
    x, layer = vectors(), learned("additive")
    indices = layer.encode(x)
    errors = [float((layer.lookup(indices[:, :used]) - x).square().mean()) for used in (1, 2, 3)]
    assert float(x.var()) > errors[0] > errors[1] > errors[2]


def test_products_of_codes_are_the_same_looked_up_and_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    x, layer = vectors(50, seed=7), learned("additive")
    kept = layer.candidates(x, 4)
    monkeypatch.setattr("vqkit.quantizers.multicodebook.additive._MOST_PRODUCTS", 0)
    again = learned("additive")
    again.codebooks.copy_(layer.codebooks)
    found = again.candidates(x, 4)
    assert torch.allclose(kept[1], found[1], atol=1e-3)
    assert (kept[0] == found[0]).double().mean() > 0.99


def test_least_squares_is_that_of_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    x, generator = vectors(200).double(), torch.Generator().manual_seed(0)
    indices = torch.randint(4, (200, 3), generator=generator)
    table = np.zeros((200, 12))
    table[np.arange(200)[:, None], indices.numpy() + 4 * np.arange(3)] = 1
    best = np.linalg.lstsq(table, x.numpy(), rcond=None)[0]
    expected = ((table @ best - x.numpy()) ** 2).mean()
    found = fitted_codebooks(x, indices, torch.zeros(3, 4, 7, dtype=torch.float64), ridge=1e-9)
    assert float((summed_codes(found, indices) - x).square().mean()) == pytest.approx(expected, rel=1e-9)
    monkeypatch.setattr("vqkit.ops.linear.additive.MOST_UNKNOWNS", 1)
    swept = torch.zeros(3, 4, 7, dtype=torch.float64)
    for _ in range(30):
        swept = fitted_codebooks(x, indices, swept, ridge=1e-9)
    assert float((summed_codes(swept, indices) - x).square().mean()) == pytest.approx(expected, rel=1e-6)


def test_rotations_are_orthonormal_and_nearest() -> None:
    x = vectors(300) - vectors(300).mean(dim=0)
    directions = balanced_directions(x, [3, 2, 2])
    assert torch.allclose(directions @ directions.T, torch.eye(7), atol=1e-5)
    variances = (x @ directions.T).var(dim=0).log().split([3, 2, 2])
    assert max(float(each.mean()) for each in variances) - min(float(each.mean()) for each in variances) < 1.5
    y = vectors(300, seed=9)
    best = nearest_rotation(x, y)
    error = float((x @ best.T - y).square().sum())
    for seed in range(20):
        other, _ = torch.linalg.qr(torch.randn(7, 7, generator=torch.Generator().manual_seed(seed)))
        assert float((x @ other.T - y).square().sum()) > error


def test_a_narrow_beam_is_greedy() -> None:
    offers = torch.randn(50, 3, 8, generator=torch.Generator().manual_seed(0))
    indices, costs = beam_search(offers, None, 1)
    assert torch.equal(indices[:, 0], offers.argmin(dim=2))
    assert torch.allclose(costs[:, 0], offers.amin(dim=2).sum(dim=1))


def test_few_vectors_equal_vectors_and_no_vectors() -> None:
    few, same = vectors(5), torch.ones(40, 7)
    for make in (ProductCodebooks, AdditiveCodebooks):
        layer = make(8, 7, num_codebooks=2)
        layer.learn(few, torch.Generator().manual_seed(0))
        assert bool(layer.codebooks.isfinite().all())
        layer.learn(same, torch.Generator().manual_seed(0))
        assert torch.allclose(layer.lookup(layer.encode(same)), same, atol=1e-2)
        assert layer.encode(same[:0]).shape == (0, 2)


def test_one_codebook_and_bad_sizes() -> None:
    layer = AdditiveCodebooks(8, 7, num_codebooks=1, rounds=3)
    layer.learn(vectors(), torch.Generator().manual_seed(0))
    assert layer.encode(vectors(4)).shape == (4,)
    assert layer.lookup(layer.encode(vectors(4))).shape == (4, 7)
    with pytest.raises(ConfigError, match="num_codebooks=9 of vectors of 7 numbers"):
        ProductCodebooks(8, 7, num_codebooks=9)
    with pytest.raises(ConfigError, match="beam=0"):
        AdditiveCodebooks(8, 7, beam=0)
    with pytest.raises(ValueError, match="the last axis is the 3 codebooks"):
        learned("product").lookup(torch.zeros(4, 2, dtype=torch.int64))
