"""Entropies of independent bits and of the codes that they spell, exactly, without a table of N x 2^bits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

_BLOCK = 1 << 20
MOST_BITS = 20
"""Codes of up to so many bits have their mean distribution written out (2^20 numbers)."""


def bit_entropy(logits: Tensor) -> Tensor:
    """Entropy of a bit that is 1 with probability ``sigmoid(logits)``, in nats; any shape, floating.

    ``H = softplus(l) - l sigmoid(l)``, which has no logarithm of zero.

    Example:
        >>> import torch
        >>> from vqkit.ops import bit_entropy
        >>> bit_entropy(torch.zeros(1))  # log 2
        tensor([0.6931])
    """
    return functional.softplus(logits) - logits * torch.sigmoid(logits)


def mean_code_probabilities(logits: Tensor, weights: Tensor | None = None) -> Tensor:
    """The mean, over latents, of the distribution over the codes of d independent bits.

    Bit i of latent n is 1 with probability ``sigmoid(logits[n, i])``, so a code's probability is a product over bits,
    and the table ``[N, 2^d]`` of them is the outer product of two half tables ``[N, 2^(d/2)]``. Their mean over n is
    one matrix product: ``O(N 2^d)`` work, ``O(2^d)`` memory and a block of latents at a time, where the direct way
    (Yu et al. 2023, arXiv 2310.05737, eq. 5) takes ``O(N 2^d d)`` and holds all of it.

    Args:
        logits: ``[N, d]`` float32 or float64, d in [1, 20]; the last bit is the lowest of the code's number.
        weights: ``[N]``, summing to 1; None for equal ones.

    Returns:
        ``[2^d]``; sums to 1; with a gradient.

    Raises:
        ValueError: more bits than that.

    Example:
        >>> import torch
        >>> from vqkit.ops import mean_code_probabilities
        >>> mean_code_probabilities(torch.zeros(3, 2))  # 3 latents of 2 undecided bits: 4 codes alike
        tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """
    if not 1 <= logits.shape[1] <= MOST_BITS:
        raise ValueError(f"{logits.shape[1]} bits: the distribution of all codes is for 1 to {MOST_BITS} bits")
    if weights is None:
        weights = logits.new_full((logits.shape[0],), 1.0 / max(logits.shape[0], 1))
    run = torch.ops.vqkit.mean_code_probabilities if torch.compiler.is_compiling() else _Eager.apply
    found: Tensor = run(logits.contiguous(), weights)
    return found.reshape(-1)


def _patterns(bits: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """``[bits, 2^bits]`` zeros and ones: which codes have a bit set, and which have not."""
    codes = torch.arange(1 << bits, device=like.device)
    places = torch.arange(bits - 1, -1, -1, device=like.device).unsqueeze(1)
    ones = ((codes >> places) & 1).to(like.dtype)
    return ones, 1 - ones


def _half(logits: Tensor, patterns: tuple[Tensor, Tensor]) -> Tensor:
    """``[n, 2^h]``: probabilities of the codes of these bits."""
    logs = functional.logsigmoid(logits) @ patterns[0]
    return logs.addmm_(functional.logsigmoid(-logits), patterns[1]).exp_()


def _through_half(change: Tensor, half: Tensor, logits: Tensor, patterns: tuple[Tensor, Tensor]) -> Tensor:
    """The gradient of the logits from that of their codes' probabilities."""
    change = change * half
    return (change @ patterns[0].t()) * torch.sigmoid(-logits) - (change @ patterns[1].t()) * torch.sigmoid(logits)


def _forward(logits: Tensor, weights: Tensor) -> Tensor:
    bits = logits.shape[1]
    high = bits // 2
    upper, lower = _patterns(high, logits), _patterns(bits - high, logits)
    mean = logits.new_zeros(1 << high, 1 << (bits - high))
    rows = _BLOCK >> (bits - high)
    for block, part in zip(logits.split(rows), weights.split(rows), strict=True):
        weighted = _half(block[:, :high], upper).mul_(part.unsqueeze(1))
        mean.addmm_(weighted.t(), _half(block[:, high:], lower))
    return mean


_forward_node = torch.library.custom_op("vqkit::mean_code_probabilities", _forward, mutates_args=())


@_forward_node.register_fake
def _(logits: Tensor, weights: Tensor) -> Tensor:
    del weights
    bits = logits.shape[1]
    return logits.new_empty(1 << (bits // 2), 1 << (bits - bits // 2))


def _backward(of_mean: Tensor, logits: Tensor, weights: Tensor) -> Tensor:
    bits = logits.shape[1]
    high = bits // 2
    upper, lower = _patterns(high, logits), _patterns(bits - high, logits)
    rows = _BLOCK >> (bits - high)
    found = []
    for block, part in zip(logits.split(rows), weights.split(rows), strict=True):
        first, second = block[:, :high], block[:, high:]
        a, b = _half(first, upper), _half(second, lower)
        part = part.unsqueeze(1)
        of_a, of_b = (b @ of_mean.t()).mul_(part), (a @ of_mean).mul_(part)
        found.append(torch.cat([_through_half(of_a, a, first, upper), _through_half(of_b, b, second, lower)], dim=1))
    return torch.cat(found) if found else torch.zeros_like(logits)


_backward_node = torch.library.custom_op("vqkit::mean_code_probabilities_backward", _backward, mutates_args=())


@_backward_node.register_fake
def _(of_mean: Tensor, logits: Tensor, weights: Tensor) -> Tensor:
    del of_mean, weights
    return torch.empty_like(logits)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    del output
    ctx.save_for_backward(*inputs)


def _gradients(ctx: Any, of_mean: Tensor) -> tuple[Any, ...]:
    logits, weights = ctx.saved_tensors
    backward = torch.ops.vqkit.mean_code_probabilities_backward if torch.compiler.is_compiling() else _backward
    with torch.autocast(logits.device.type, enabled=False):
        return backward(of_mean.contiguous(), logits, weights), None


_forward_node.register_autograd(_gradients, setup_context=_keep)


class _Eager(torch.autograd.Function):
    """The same without the cost of an operation that compilers know."""

    @staticmethod
    def forward(*inputs: Any) -> Any:
        return _forward(*inputs)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        _keep(ctx, inputs, output)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return _gradients(ctx, *gradients)
