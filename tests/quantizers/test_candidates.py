"""Next best choices of indices against all choices that there are."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from vqkit.quantizers import EMAVectorQuantizer, ProductQuantizer, ResidualQuantizer
from vqkit.quantizers.candidates import nearest_choices, squared_distances
from vqkit.quantizers.multicodebook.additive import AdditiveCodebooks
from vqkit.quantizers.multicodebook.base import MultiCodebookQuantizer
from vqkit.quantizers.multicodebook.product import ProductCodebooks


def layers() -> dict[str, Any]:
    """Quantizers of 5 codes for vectors of 4 numbers."""
    torch.manual_seed(0)
    vectors = torch.randn(300, 4)
    found: dict[str, Any] = {
        "one": EMAVectorQuantizer(5, 4),
        "residual": ResidualQuantizer([EMAVectorQuantizer(5, 4) for _ in range(3)]),
        "product": ProductQuantizer([EMAVectorQuantizer(5, 2) for _ in range(2)]),
        "pq": ProductCodebooks(5, 4, num_codebooks=2),
        "rq": AdditiveCodebooks(5, 4, num_codebooks=3, rounds=3),
    }
    for layer in found.values():
        if isinstance(layer, MultiCodebookQuantizer):
            layer.learn(vectors, torch.Generator().manual_seed(0))
        else:
            layer.initialize(vectors)
    return {name: layer.eval() for name, layer in found.items()}


@pytest.mark.parametrize("name", layers())
def test_they_are_the_nearest_of_all_in_order(name: str) -> None:
    layer, vectors = layers()[name], torch.randn(20, 4)
    codebooks = layer.num_codebooks
    every = torch.cartesian_prod(*[torch.arange(5)] * codebooks).view(-1, codebooks)
    far = squared_distances(layer, vectors, every.expand(20, -1, -1))
    expected = far.sort(dim=1)
    indices, distances = nearest_choices(layer, vectors, 5**codebooks)
    assert indices.shape == (20, 5**codebooks, codebooks)
    torch.testing.assert_close(distances, expected.values, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(squared_distances(layer, vectors, indices), distances, atol=1e-4, rtol=1e-4)
    assert len({tuple(row) for row in indices[0].tolist()}) == 5**codebooks


@pytest.mark.parametrize("name", layers())
def test_a_row_does_not_depend_on_the_others(name: str) -> None:
    layer, vectors = layers()[name], torch.randn(50, 4)
    indices, distances = nearest_choices(layer, vectors, 9, 3)
    assert (distances.diff(dim=1) >= 0).all()
    for rows in (slice(7, 8), slice(20, 45)):
        own = nearest_choices(layer, vectors[rows], 9, 3)
        assert torch.equal(own[0], indices[rows])
        assert torch.equal(own[1], distances[rows])
