"""The nearest code against a float64 search of all codes, where rounding decides and where it does not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.reference.nearest import nearest
from vqkit.ops import nearest_code

SHAPES = [(1, 1, 1), (5, 1, 3), (300, 2, 1), (500, 63, 2), (500, 64, 4), (700, 65, 7), (900, 1030, 8), (2049, 2200, 3)]


def case(kind: str, n: int, k: int, d: int) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(n + k + d)
    x, c = torch.randn(n, d, generator=g), torch.randn(k, d, generator=g)
    if kind == "duplicates":
        c = c[torch.randint(k, (k,), generator=g)]
    if kind == "near ties":  # codes a few units of the last place apart
        c = torch.ones(k, d) + torch.randint(-2, 3, (k, d), generator=g) * 2.0**-22
        x = 1 + 1e-7 * x
    if kind == "far away":  # squared norms 1e10 times the differences that decide
        x, c = x * 1e4 + 1e5, c * 1e4 + 1e5
    if kind == "on codes":
        x = c[torch.randint(k, (n,), generator=g)]
    return x, c


@pytest.mark.parametrize("kind", ["random", "duplicates", "near ties", "far away", "on codes"])
@pytest.mark.parametrize(("n", "k", "d"), SHAPES)
@pytest.mark.parametrize("metric", ["euclidean", "dot"])
def test_it_is_exact_and_takes_the_lowest_of_equals(kind: str, n: int, k: int, d: int, metric: str) -> None:
    x, c = case(kind, n, k, d)
    assert torch.equal(nearest_code(x, c, metric=metric), nearest(x, c, metric))


def test_the_answer_does_not_depend_on_batch_or_threads() -> None:
    x, c = case("near ties", 3000, 1400, 5)
    whole = nearest_code(x, c)
    assert torch.equal(torch.cat([nearest_code(part, c) for part in x[:140].split(7)]), whole[:140])
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1 if threads > 1 else 2)
        assert torch.equal(nearest_code(x, c), whole)
    finally:
        torch.set_num_threads(threads)


def test_nan_and_inf_give_valid_indices_and_leave_other_rows_alone() -> None:
    x, c = case("random", 50, 1100, 4)
    bad = x.clone()
    bad[3], bad[4, 0], bad[5, 1] = float("nan"), float("inf"), -float("inf")
    found = nearest_code(bad, c)
    assert ((found >= 0) & (found < 1100)).all()
    keep = torch.ones(50, dtype=torch.bool)
    keep[3:6] = False
    assert torch.equal(found[keep], nearest(x, c)[keep])


def test_no_latents_give_no_indices() -> None:
    assert nearest_code(torch.zeros(0, 4), torch.randn(9, 4)).shape == (0,)


def test_other_dtypes_and_layouts() -> None:
    x, c = case("random", 200, 90, 6)
    assert torch.equal(nearest_code(x.double(), c.double()), nearest(x, c))
    assert torch.equal(nearest_code(x.bfloat16(), c), nearest(x.bfloat16(), c))
    assert torch.equal(nearest_code(x.t().contiguous().t(), c.t().contiguous().t()), nearest(x, c))


def test_compiled_and_exported_searches_agree() -> None:
    x, c = case("random", 100, 40, 6)
    compiled = torch.compile(nearest_code, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(x, c), nearest(x, c))

    class Search(torch.nn.Module):
        def forward(self, x: Tensor, c: Tensor) -> Tensor:
            return nearest_code(x, c)

    exported = torch.export.export(Search(), (x, c))
    assert torch.equal(exported.module()(x, c), nearest(x, c))


def test_an_unknown_metric_is_refused() -> None:
    with pytest.raises(ValueError, match=r"euclidean, dot"):
        nearest_code(torch.zeros(1, 2), torch.zeros(1, 2), metric="cosine")


@pytest.mark.parametrize("metric", ["euclidean", "dot"])
@pytest.mark.parametrize(("count", "codes", "dim"), [(40, 7, 3), (70, 64, 4), (130, 600, 8), (500, 300, 2)])
def test_rows_alone_get_what_they_get_in_a_batch(count: int, codes: int, dim: int, metric: str) -> None:
    """A few rows are searched in one table of scores, many in blocks."""
    generator = torch.Generator().manual_seed(0)
    codebook = torch.randint(-3, 4, (codes, dim), generator=generator).float()  # many are equally near
    latents = torch.randint(-6, 7, (count, dim), generator=generator).float() / 2
    latents[count // 2 :] += 1e-7 * torch.randn(count - count // 2, dim, generator=generator)
    latents[3], latents[5, 0] = float("nan"), float("inf")
    whole = nearest_code(latents, codebook, metric=metric)
    many = nearest_code(latents.repeat(200, 1), codebook, metric=metric)
    assert torch.equal(many, whole.repeat(200))
    assert torch.equal(torch.cat([nearest_code(row[None], codebook, metric=metric) for row in latents]), whole)


@pytest.mark.parametrize("metric", ["euclidean", "dot"])
@pytest.mark.parametrize("few", [False, True])
@pytest.mark.parametrize("dim", [2, 17])
def test_short_latents_beside_long_codes(dim: int, few: bool, metric: str) -> None:
    """Silence among loud frames: what is near is told by the codes that can be nearest, not by the longest one."""
    generator = torch.Generator().manual_seed(dim)
    sizes = torch.logspace(-6, 6, 13).repeat_interleave(90)
    codebook = sizes[:, None] * torch.randn(len(sizes), dim, generator=generator)
    codebook[1::3] = codebook[::3] * (1 + 2.0**-23 * torch.randint(-3, 4, codebook[::3].shape, generator=generator))
    latents = codebook[torch.randint(len(codebook), (40 if few else 600,), generator=generator)]
    latents *= 1 + 2.0**-20 * torch.randn(latents.shape, generator=generator)
    latents[::7] = 0.5 * (latents[::7] + latents[::7].roll(1, dims=0))
    assert torch.equal(nearest_code(latents, codebook, metric=metric), nearest(latents, codebook, metric))


@pytest.mark.parametrize("copies", [1, 40])
def test_codes_that_float32_does_not_tell_apart(copies: int) -> None:
    """A codebook that has collapsed: all of it lies nearer than float32 scores resolve, some of it is one code."""
    generator = torch.Generator().manual_seed(1)
    codebook = 1 + 2.0**-20 * torch.randint(-60, 61, (600 // copies, 24), generator=generator)
    codebook = codebook.repeat(copies, 1)[torch.randperm(len(codebook) * copies, generator=generator)]
    latents = 1 + 1e-5 * torch.randn(500, 24, generator=generator)
    latents[::2] = 0.5 * (codebook[:250] + codebook[250:500])  # ties of two codes
    scales = 2.0 ** (5 * torch.arange(24) % 12)  # so that scores are no whole numbers of 53 bits
    assert torch.equal(nearest_code(latents * scales, codebook * scales), nearest(latents * scales, codebook * scales))
