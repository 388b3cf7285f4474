"""Softmax over a codebook in blocks, and entropies of bits, against the dense tables that they do without."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from vqkit.ops import bit_entropy, mean_code_probabilities, soft_assignment

BLOCKS = sys.modules["vqkit.ops.assignment.soft"]
BITS = sys.modules["vqkit.ops.binary_entropy"]


def doubles(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def dense(
    x: Tensor, keys: Tensor, values: Tensor, offsets: Tensor, weights: Tensor, temperature: float, noise: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    logits = x @ keys.t() + offsets
    shown = torch.softmax(logits / temperature if noise is None else logits, dim=1)
    relaxed = shown if noise is None else torch.softmax((logits + noise) / temperature, dim=1)
    indices = (logits if noise is None else logits + noise).argmax(dim=1)
    hard = functional.one_hot(indices, len(keys)).double()
    quantized = (hard + relaxed - relaxed.detach()) @ values.detach() + hard @ (values - values.detach())
    entropy = -(weights * (shown * shown.log()).sum(dim=1)).sum()
    return indices, quantized, weights @ shown, entropy


@pytest.mark.parametrize("seed", [None, 3])
def test_values_and_gradients_are_those_of_the_dense_table(seed: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BLOCKS, "_BLOCK", 500)  # 10 rows at a time
    x, keys, values, offsets = (
        doubles(37, 6, seed=0),
        doubles(50, 6, seed=1),
        doubles(50, 4, seed=2),
        doubles(50, seed=3),
    )
    inputs = [each.requires_grad_() for each in (x, keys, values, offsets)]
    weights = doubles(37, seed=4).softmax(0)
    noise = None
    if seed is not None:
        noise = torch.cat([BLOCKS._noise(x.new_empty(min(10, 37 - s), 50), seed, s) for s in range(0, 37, 10)])
    found = soft_assignment(
        x,
        keys,
        values,
        offsets=offsets,
        weights=weights,
        temperature=0.7,
        noise_seed=None if seed is None else torch.tensor(seed),
    )
    wanted = dense(x, keys, values, offsets, weights, 0.7, noise)
    pairs = list(zip((found.indices, found.quantized, found.mean_probabilities, found.entropy), wanted, strict=True))
    for mine, theirs in pairs:
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)
    assert torch.equal(found.quantized, values[found.indices])
    pushes = [doubles(37, 4, seed=5), doubles(50, seed=6), torch.tensor(2.0, dtype=torch.float64)]
    mine, theirs = (
        torch.autograd.grad(
            sum((push * pair[side]).sum() for push, pair in zip(pushes, pairs[1:], strict=True)), inputs
        )
        for side in (0, 1)
    )
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-11)


def test_noisy_choices_come_as_often_as_their_probabilities() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0]])
    found = soft_assignment(
        logits.expand(20_000, 3), torch.eye(3), torch.zeros(3, 1), noise_seed=torch.tensor(1)
    ).indices
    shares = torch.bincount(found, minlength=3) / len(found)
    assert torch.allclose(shares, logits.softmax(1)[0], atol=0.015)  # four standard deviations


def test_the_noise_is_another_one_with_another_seed_and_the_same_with_the_same() -> None:
    x, keys = torch.zeros(100, 2), torch.zeros(50, 2)
    one, again, other = (soft_assignment(x, keys, keys, noise_seed=torch.tensor(seed)).indices for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_a_temperature_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="temperature"):
        soft_assignment(torch.zeros(1, 2), torch.zeros(2, 2), torch.zeros(2, 2), temperature=0)


@pytest.mark.parametrize("bits", [1, 2, 5, 8])
def test_the_mean_over_all_codes_is_that_of_the_enumeration(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BITS, "_BLOCK", 64)
    logits = doubles(31, bits, seed=7).requires_grad_()
    weights = doubles(31, seed=8).softmax(0)
    digits = ((torch.arange(2**bits)[:, None] >> torch.arange(bits - 1, -1, -1)) & 1).double()
    on = torch.sigmoid(logits)[:, None]
    table = (on * digits + (1 - on) * (1 - digits)).prod(dim=2)
    found, wanted = mean_code_probabilities(logits, weights), weights @ table
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-14)
    push = doubles(2**bits, seed=9)
    (mine,), (theirs,) = (torch.autograd.grad((each * push).sum(), logits) for each in (found, wanted))
    torch.testing.assert_close(mine, theirs, rtol=1e-11, atol=1e-13)
    entropy = -(table * table.log()).sum(dim=1)
    torch.testing.assert_close(bit_entropy(logits).sum(dim=1), entropy, rtol=1e-11, atol=1e-12)


def test_certain_bits_have_no_entropy_and_no_nan() -> None:
    logits = torch.tensor([-1e4, -90.0, 90.0, 1e4], requires_grad=True)
    entropy = bit_entropy(logits)
    entropy.sum().backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert torch.allclose(entropy, torch.zeros(4), atol=1e-6)


def test_more_bits_than_can_be_written_out_are_refused() -> None:
    with pytest.raises(ValueError, match="20 bits"):
        mean_code_probabilities(torch.zeros(2, 21))
