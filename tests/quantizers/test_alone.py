"""Law: what a quantizer in evaluation mode finds for a latent depends on that latent alone, also next to a boundary."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from tests.quantizers.test_laws import CODES, DIM, FIXED, STACKS, latents, trained
from vqkit.quantizers import QUANTIZERS, Quantizer

FRAMES, ITEMS = 11, 16
OPTIONS = {
    "ema": {"cosine": True, "rate_weight": 0.01},
    "gradient": {"cosine": True},
    "simvq": {"cosine": True},
    "ibq": {"cosine": True},
}


def near_ties(q: Quantizer) -> Tensor:
    """Latents ``[1, D, N]`` as near as float32 allows to where the index changes, and some that lie anywhere."""
    count = ITEMS * FRAMES // 2
    low, high = latents(1, DIM, count, seed=1), latents(1, DIM, count, seed=2)
    at = q.encode(low)
    for _ in range(26):
        middle = (low + high) / 2
        same = (q.encode(middle) == at).view(1, 1, count, -1).all(dim=-1)
        low, high = torch.where(same, middle, low), torch.where(same, high, middle)
    return torch.cat([low, high], dim=2)


def arrangements(x: Tensor) -> Iterator[tuple[str, list[Tensor]]]:
    """The same latents, the frames in order, in other batches, pieces and layouts."""
    yield "frames", list(x[:, :, ::17].split(1, dim=2))
    yield "chunks of 7", list(x.split(7, dim=2))
    yield "a batch", list(x.view(DIM, ITEMS, FRAMES).movedim(1, 0).contiguous().split(ITEMS))
    yield "channels last", [x.permute(2, 0, 1).contiguous().permute(1, 2, 0)]
    yield "a part", [torch.cat([x, x], dim=2)[:, :, : x.shape[2]]]
    yield "vectors", [x[0].t().contiguous()]


def joined(parts: list[Tensor], name: str, codes: bool) -> Tensor:
    """Results of an arrangement as one row of frames."""
    if name == "a batch":
        parts = [torch.cat(list(parts[0].split(1)), dim=2 if codes else 1)]
    if name == "vectors":
        return parts[0].t().unsqueeze(0) if codes else parts[0].unsqueeze(0)
    return torch.cat(parts, dim=2 if codes else 1)


@pytest.mark.parametrize("kind", list(QUANTIZERS))
@pytest.mark.parametrize(("count", "stacking"), STACKS)
@pytest.mark.parametrize("form", ["plain", "options", "projected"])
def test_a_latent_has_the_same_code_alone_and_among_others(kind: str, count: int, stacking: str, form: str) -> None:
    if form == "options" and (kind not in OPTIONS or stacking == "residual"):
        pytest.skip("no such options")
    options = {"projection_dim": 4} if form == "projected" and kind not in FIXED else {}
    options |= OPTIONS[kind] if form == "options" else {}
    q = trained(kind, count, stacking, **options).eval()
    x, before = near_ties(q), torch.get_num_threads()
    indices = q.encode(x)
    codes, quantized = q.lookup(indices), q(x).quantized
    assert len(indices.unique()) > CODES // 4
    for name, parts in arrangements(x):
        few = slice(None, None, 17 if name == "frames" else 1)
        own = [q.encode(part) for part in parts]
        assert torch.equal(joined(own, name, False), indices[:, few]), name
        assert torch.equal(joined([q.lookup(part) for part in own], name, True), codes[:, :, few]), name
        if len(parts) == 1:
            assert torch.equal(joined([q(parts[0]).indices], name, False), indices), name
            assert torch.equal(joined([q(parts[0]).quantized], name, True), quantized), name
    try:
        torch.set_num_threads(2)
        assert torch.equal(q.encode(x), indices)
        assert torch.equal(q.lookup(indices), codes)
    finally:
        torch.set_num_threads(before)
