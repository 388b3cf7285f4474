"""What test_triton.py runs in a process of its own, where Triton's interpreter stands in for a GPU."""

from __future__ import annotations

import os
import sys

os.environ["TRITON_INTERPRET"] = "1"

import torch

from tests.reference.nearest import nearest
from vqkit.ops import code_sums
from vqkit.ops.assignment import nearest_triton
from vqkit.ops.assignment.code_sums_triton import code_sums_sorted
from vqkit.ops.assignment.nearest import nearest_code
from vqkit.ops.assignment.nearest_triton import best_two, nearest_fused


def search() -> None:
    g = torch.Generator().manual_seed(0)
    for n, k, d in ((0, 5, 3), (1, 1, 1), (70, 2, 3), (100, 63, 8), (130, 200, 64), (40, 65, 200), (90, 129, 20)):
        for kind in ("random", "duplicates", "near ties", "crowded"):
            x, c = torch.randn(n, d, generator=g), torch.randn(k, d, generator=g)
            if kind == "duplicates":
                c = c[torch.randint(k, (k,), generator=g)]
            if kind == "near ties":
                c = torch.ones(k, d) + torch.randint(-2, 3, (k, d), generator=g) * 2.0**-22
                x = 1 + 1e-7 * x
            if kind == "crowded":
                c = 1 + 1e-4 * c
            for euclidean in (True, False):
                found = nearest_fused(x, c, euclidean=euclidean)
                wanted = nearest(x, c, "euclidean" if euclidean else "dot")
                assert torch.equal(found, wanted), (n, k, d, kind, euclidean)
    x, c = torch.randn(64, 6, generator=g), torch.randn(100, 6, generator=g)
    first, second, gaps = best_two(x, c, -0.5 * c.square().sum(1))
    scores = x @ c.t() - 0.5 * c.square().sum(1)
    ordered = scores.topk(2)
    assert torch.equal(first, ordered.indices[:, 0])
    same_slot = first % nearest_triton.BLOCK_K == ordered.indices[:, 1] % nearest_triton.BLOCK_K
    assert torch.equal(second[~same_slot], ordered.indices[~same_slot, 1])
    gap = ordered.values[:, 0] - ordered.values[:, 1]
    torch.testing.assert_close(gaps.min(dim=1).values, gap, rtol=1e-4, atol=1e-5)
    bad = x.clone()
    bad[3], bad[4, 0] = float("nan"), float("inf")
    found = nearest_fused(bad, c)
    assert ((found >= 0) & (found < 100)).all()
    keep = torch.tensor([row not in (3, 4) for row in range(64)])
    assert torch.equal(found[keep], nearest(x, c)[keep])
    transposed = nearest_fused(x.t().contiguous().t(), c.t().contiguous().t())
    assert torch.equal(transposed, nearest(x, c))


def cut_off() -> None:
    """The margin holds where factors lose the lower 13 bits, as on tensor cores that cut them off; half of it fails."""

    def cut(values: torch.Tensor) -> torch.Tensor:
        return (values.view(torch.int32) & ~0x1FFF).view(torch.float32)

    g = torch.Generator().manual_seed(0)
    v = (1 + 2.0**-10 - 2.0**-23) * torch.ones(16)  # loses nearly 2^-10 of itself
    t = 0.98 + 0.0399 * torch.rand(2_000, generator=g)
    c = torch.stack([v, -v, *(v * (torch.randint(2, (30, 16), generator=g) - 0.5))])
    x = (0.5 * (1 - t.square()) / (1 + t))[:, None] * v * (1 + 1e-3 * torch.randn(2_000, 1, generator=g))
    pair = torch.stack([v, torch.zeros(16)])
    half = 0.5 * v * (1 + 2e-3 * (torch.rand(2_000, 1, generator=g) - 0.5))  # halfway between a code and zero
    keep = nearest_triton.best_two
    nearest_triton.best_two = lambda a, b, offsets: keep(cut(a), cut(b), offsets)
    for latents, codes in ((x, c), (half, pair)):
        assert torch.equal(nearest_fused(latents, codes), nearest(latents, codes))
    nearest_triton._TF32 = 2.0**-13
    assert not torch.equal(nearest_fused(half, pair), nearest(half, pair))
    nearest_triton._TF32 = 2.0**-10
    nearest_triton.best_two = keep


def sums() -> None:
    g = torch.Generator().manual_seed(0)
    for n, k, d, skew in ((0, 3, 4, 1.0), (1, 1, 1, 1.0), (700, 5, 3, 8.0), (300, 400, 20, 1.0), (600, 2, 150, 30.0)):
        vectors = torch.randn(n, d, generator=g)
        indices = (k * torch.rand(n, generator=g) ** skew).long().clamp(max=k - 1)
        wanted = torch.zeros(k, d, dtype=torch.float64).index_add_(0, indices, vectors.double())
        torch.testing.assert_close(code_sums_sorted(vectors, indices, k).double(), wanted, rtol=1e-5, atol=1e-4)


def dispatched() -> None:
    """The public operations take this way wherever it is open."""
    calls = []
    keep = nearest_triton.nearest_fused
    nearest_triton.nearest_fused = lambda *a, **b: calls.append("search") or keep(*a, **b)  # type: ignore[func-returns-value]
    x, c = torch.randn(20, 3), torch.randn(9, 3)
    assert torch.equal(nearest_code(x, c), nearest(x, c))
    assert calls == ["search"]
    torch.testing.assert_close(code_sums(x, torch.arange(20) % 9, 9)[2], x[2] + x[11])


if __name__ == "__main__":
    torch.set_num_threads(1)
    search()
    cut_off()
    sums()
    dispatched()
    sys.stdout.write("all equal\n")
