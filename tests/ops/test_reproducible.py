"""Sums, linear maps and the tangent whose result depends on the numbers alone: precision, layouts and gradients."""

from __future__ import annotations

import math

import pytest
import torch

from vqkit.ops.reproducible import reproducible_linear, reproducible_sum, reproducible_tanh


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 64, 100])
def test_the_sum_is_one_and_the_same_in_any_layout(count: int) -> None:
    x = torch.randn(50, count, generator=torch.Generator().manual_seed(0))
    found = reproducible_sum(x, dim=1)
    assert torch.allclose(found, x.double().sum(dim=1).float(), atol=1e-5)
    assert torch.equal(reproducible_sum(x.t().contiguous(), dim=0), found)
    for row in range(0, 50, 7):
        assert torch.equal(reproducible_sum(x[row : row + 1], dim=1)[0], found[row])


@pytest.mark.parametrize(("inputs", "scale"), [(1, 1.0), (64, 1e-12), (64, 1e12), (3072, 1.0)])
def test_the_linear_map_is_as_precise_as_float32(inputs: int, scale: float) -> None:
    generator = torch.Generator().manual_seed(0)
    x, weight = scale * torch.randn(200, inputs, generator=generator), torch.randn(8, inputs, generator=generator)
    bias = scale * torch.randn(8, generator=generator)
    exact = x.double() @ weight.double().t() + bias
    lengths = x.norm(dim=1, keepdim=True) * weight.norm(dim=1) + bias.abs()
    bits = min(24, 29 - math.ceil(math.log2(inputs)))
    found = reproducible_linear(x, weight, bias)
    assert float(((found - exact).abs() / lengths).max()) < 2.0 ** -(bits - 1)
    order = torch.randperm(200, generator=generator)
    assert torch.equal(reproducible_linear(x[order], weight, bias), found[order])
    for row in range(0, 200, 31):
        assert torch.equal(reproducible_linear(x[row : row + 1], weight, bias)[0], found[row])


def test_zeros_and_what_is_not_finite() -> None:
    x = torch.tensor([[0.0, 0.0], [math.nan, 1.0], [1.0, 2.0]])
    found = reproducible_linear(x, torch.eye(2))
    assert found[0].tolist() == [0.0, 0.0]
    assert bool(found[1].isnan().any())
    assert found[2].tolist() == [1.0, 2.0]
    assert bool(reproducible_tanh(torch.tensor(math.nan)).isnan())
    assert reproducible_tanh(torch.tensor([-math.inf, math.inf])).tolist() == [-1.0, 1.0]
    assert reproducible_linear(torch.zeros(0, 2), torch.eye(2)).shape == (0, 2)


def test_the_tangent_is_that_of_the_standard_library() -> None:
    x = torch.linspace(-50, 50, 20001, dtype=torch.float64)
    wanted = torch.tensor([math.tanh(value) for value in x.tolist()], dtype=torch.float64)
    assert float((reproducible_tanh(x) - wanted).abs().max()) < 3e-16
    wide = torch.stack([x, x], dim=1)[:, 0]
    assert torch.equal(reproducible_tanh(wide), reproducible_tanh(x))


def test_gradients_are_those_of_the_functions() -> None:
    torch.manual_seed(0)
    x, weight, bias = (torch.randn(*size, requires_grad=True) for size in ((5, 3), (2, 3), (2,)))
    own = torch.autograd.grad(reproducible_linear(x, weight, bias).square().sum(), (x, weight, bias))
    plain = torch.autograd.grad(torch.nn.functional.linear(x, weight, bias).square().sum(), (x, weight, bias))
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(own, plain, strict=True))
    (slope,) = torch.autograd.grad(reproducible_tanh(x).sum(), x)
    assert torch.allclose(slope, 1 - torch.tanh(x).square(), atol=1e-6)
