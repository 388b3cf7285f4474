"""The first codebooks of a stack alone: the same indices as of all, and no work for the others."""

from __future__ import annotations

import pytest
import torch

from vqkit.quantizers import EMAVectorQuantizer, Projected, Quantizer, ResidualQuantizer
from vqkit.quantizers.composite.prepared import prepared_stack
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


@pytest.mark.parametrize("codebooks", [1, 3, None])
@pytest.mark.parametrize("frames", [1, 7])
def test_prepared_codebooks_find_the_same(frames: int, codebooks: int | None) -> None:
    layer = stack().eval()
    latents = torch.randn(3, 8, frames, generator=torch.Generator().manual_seed(1))
    latents[0, :, 0] = 0.5 * (layer.stages[0].codebook[2] + layer.stages[0].codebook[5])  # type: ignore[index, operator]
    latents[1, 0, 0] = float("nan")
    prepared = prepared_stack(layer, codebooks)
    assert prepared is not None
    assert torch.equal(prepared(latents), layer.encode(latents)[..., :codebooks])


def test_what_is_not_searched_as_it_is_is_not_prepared() -> None:
    weighs = ResidualQuantizer([EMAVectorQuantizer(16, 8, rate_weight=0.1) for _ in range(2)]).eval()
    assert prepared_stack(weighs, None) is None
    assert prepared_stack(Projected(stack(), 12).eval(), None) is None
    assert prepared_stack(stack(), None) is None  # in training mode
