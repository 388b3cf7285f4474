"""The first codebooks of a stack alone: the same indices as of all, and no work for the others."""

from __future__ import annotations

import pytest
import torch

from vqkit.quantizers import EMAVectorQuantizer, Projected, Quantizer, ResidualQuantizer
from vqkit.quantizers.first_codebooks import encode_first


def stack() -> ResidualQuantizer:
    """Four codebooks."""
    return ResidualQuantizer([EMAVectorQuantizer(16, 8, seed=number) for number in range(4)])


@pytest.mark.parametrize("layer", [stack(), Projected(stack(), 12)], ids=["residual", "projected"])
@pytest.mark.parametrize("codebooks", [1, 3, 4, None])
def test_they_are_those_of_all(layer: Quantizer, codebooks: int | None) -> None:
    latents = torch.randn(2, layer.code_dim, 50, generator=torch.Generator().manual_seed(0))
    layer.eval()
    assert torch.equal(encode_first(layer, latents, codebooks), layer.encode(latents)[..., :codebooks])


def test_the_others_are_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = Projected(stack(), 12).eval()
    for stage in list(layer.inner.stages)[2:]:
        monkeypatch.setattr(stage, "encode", None)
    assert encode_first(layer, torch.randn(1, 12, 5), 2).shape == (1, 5, 2)
