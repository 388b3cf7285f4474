"""Softmax over a whole codebook, a block of latents at a time: probabilities of 65,536 codes without the N x K table.

Forward and backward each make the probabilities of a few latents, use them, and forget them. What remains is
``[N]``-, ``[K]``- and ``[N, D]``-sized. Both are opaque to ``torch.compile``, which sees one node for each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_BLOCK = 1 << 21
"""Probabilities that exist at one time, on the CPU; eight times as many elsewhere."""


@dataclass(frozen=True)
class SoftAssignment:
    """Soft assignment of latents to a codebook.

    Attributes:
        indices: ``[N]`` int64, the most probable code of each latent (with noise: of this draw).
        quantized: ``[N, V]``, the values of those codes; the gradient reaches latents and keys through the
            probabilities of all codes, and the chosen values directly.
        mean_probabilities: ``[K]``, the weighted mean over latents; with a gradient.
        entropy: the weighted mean over latents of the entropy of their probabilities, nats; with a gradient.

    Example:
        >>> import torch
        >>> from vqkit.ops import soft_assignment
        >>> found = soft_assignment(torch.eye(2), 9 * torch.eye(2), torch.eye(2))
        >>> found.indices.tolist(), found.quantized.shape
        ([0, 1], torch.Size([2, 2]))
    """

    indices: Tensor
    quantized: Tensor
    mean_probabilities: Tensor
    entropy: Tensor


def soft_assignment(
    latents: Tensor,
    keys: Tensor,
    values: Tensor,
    *,
    offsets: Tensor | None = None,
    indices: Tensor | None = None,
    weights: Tensor | None = None,
    temperature: float = 1.0,
    noise_seed: Tensor | None = None,
) -> SoftAssignment:
    """Choose a code for each latent by its logits ``latents @ keys.T + offsets``, differentiably.

    The probabilities of a latent are ``p = softmax(logits / temperature)``. The chosen value is returned as it is, and
    backwards the one-hot choice is replaced by p: ``onehot - sg[p] + p`` (the straight-through estimator over the
    codebook's indices; Shi et al. 2024, arXiv 2412.02692, eq. 3 and 4). With noise, the choice is the greatest of
    ``logits + Gumbel noise``, backwards ``softmax((logits + noise) / temperature)`` takes its place (straight-through
    Gumbel-softmax: Jang et al. 2016, arXiv 1611.01144, section 2.2), and mean and entropy are those of
    ``softmax(logits)``.

    Work is ``O(N K (D + V))``; memory beside inputs and results about 60 MiB on a CPU at any size, or three rows of
    K numbers where that is more.

    Args:
        latents: ``[N, D]`` float32 or float64.
        keys: ``[K, D]``, the same dtype.
        values: ``[K, V]``; V may be 0 where only the statistics are wanted.
        offsets: ``[K]``; None for none. ``-|key|^2 / 2`` makes the logits order codes by Euclidean distance.
        indices: ``[N]`` int64, when the choice has been made already; None chooses the most probable.
        weights: ``[N]``, of each latent in the statistics, summing to 1; None for equal ones.
        temperature: above 0.
        noise_seed: of the Gumbel noise, a scalar int64 on the CPU (a number would be a constant of a compiled graph);
            None for no noise.

    Raises:
        ValueError: a temperature that is not above 0.

    Example:
        >>> import torch
        >>> from vqkit.ops import soft_assignment
        >>> soft_assignment(torch.eye(2), 9 * torch.eye(2), torch.eye(2)).mean_probabilities
        tensor([0.5000, 0.5000])
    """
    if not temperature > 0:
        raise ValueError(f"temperature={temperature}: give a number above 0")
    if offsets is None:
        offsets = keys.new_zeros(keys.shape[0])
    if weights is None:
        weights = latents.new_full((latents.shape[0],), 1.0 / max(latents.shape[0], 1))
    chosen = latents.new_empty(0, dtype=torch.int64) if indices is None else indices
    seed = torch.tensor(-1) if noise_seed is None else noise_seed
    inputs = (latents.contiguous(), keys, values, offsets, chosen, weights, 1.0 / temperature, seed)
    found = torch.ops.vqkit.soft_assignment(*inputs) if torch.compiler.is_compiling() else _Eager.apply(*inputs)
    return SoftAssignment(*found)


def _rows(keys: Tensor) -> int:
    block = _BLOCK * (1 if keys.device.type == "cpu" else 8)
    return max(1, block // keys.shape[0])


def _noise(like: Tensor, seed: int, start: int) -> Tensor:
    """Gumbel noise of the block that begins at row ``start``; the same in the forward and in the backward pass."""
    generator = torch.Generator(like.device).manual_seed((seed * 0x9E3779B1 + start) % (1 << 62))
    return torch.empty_like(like).exponential_(generator=generator).log_().neg_()


def _log_softmax(logits: Tensor) -> Tensor:
    return torch.log_softmax(logits, dim=1)


def _forward(
    latents: Tensor,
    keys: Tensor,
    values: Tensor,
    offsets: Tensor,
    indices: Tensor,
    weights: Tensor,
    scale: float,
    noise_seed: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    count, rows, seed = latents.shape[0], _rows(keys), int(noise_seed)
    found = torch.empty(count, dtype=torch.int64, device=latents.device)
    mean = torch.zeros_like(offsets)
    entropy = torch.zeros((), dtype=latents.dtype, device=latents.device)
    for start in range(0, count, rows):
        logits = torch.addmm(offsets, latents[start : start + rows], keys.t())
        part = weights[start : start + rows]
        if indices.numel() == 0:
            found[start : start + rows] = (logits + _noise(logits, seed, start) if seed >= 0 else logits).argmax(dim=1)
        if seed < 0:
            logits *= scale
        logs = _log_softmax(logits)
        probabilities = torch.exp(logs, out=logits)
        mean += part @ probabilities
        entropy -= part @ (probabilities * logs).sum(dim=1)
    if indices.numel():
        found.copy_(indices)
    return found, values[found], mean, entropy


_forward_node = torch.library.custom_op("vqkit::soft_assignment", _forward, mutates_args=())


@_forward_node.register_fake
def _(
    latents: Tensor,
    keys: Tensor,
    values: Tensor,
    offsets: Tensor,
    indices: Tensor,
    weights: Tensor,
    scale: float,
    noise_seed: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    del keys, indices, weights, scale, noise_seed
    count = latents.shape[0]
    return (
        latents.new_empty(count, dtype=torch.int64),
        values.new_empty(count, values.shape[1]),
        torch.empty_like(offsets),
        latents.new_empty(()),
    )


def _backward(
    of_quantized: Tensor,
    of_mean: Tensor,
    of_entropy: Tensor,
    latents: Tensor,
    keys: Tensor,
    values: Tensor,
    offsets: Tensor,
    weights: Tensor,
    scale: float,
    noise_seed: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    count, rows, seed = latents.shape[0], _rows(keys), int(noise_seed)
    of_latents = torch.zeros_like(latents)
    of_keys = torch.zeros_like(keys)
    of_offsets = torch.zeros_like(offsets)
    for start in range(0, count, rows):
        block = latents[start : start + rows]
        logits = torch.addmm(offsets, block, keys.t())
        noisy = (logits + _noise(logits, seed, start)).mul_(scale) if seed >= 0 else None
        logs = _log_softmax(logits if noisy is not None else logits.mul_(scale))
        probabilities = logs.exp()
        # statistics: d mean/dp_k = w, d entropy/dp_k = -w (log p_k + 1); the 1 and all else that is constant cancels
        part = weights[start : start + rows].unsqueeze(1)
        change = torch.mul(logs, -of_entropy, out=logs).add_(of_mean).mul_(part)
        if noisy is None:
            change.addmm_(of_quantized[start : start + rows], values.t())
        _through_softmax_(change, probabilities)
        if noisy is None:
            change *= scale
        else:
            drawn = torch.softmax(noisy, dim=1)
            change += _through_softmax_(of_quantized[start : start + rows] @ values.t(), drawn).mul_(scale)
        torch.mm(change, keys, out=of_latents[start : start + rows])
        of_keys.addmm_(change.t(), block)
        of_offsets += change.sum(dim=0)
    return of_latents, of_keys, of_offsets


_backward_node = torch.library.custom_op("vqkit::soft_assignment_backward", _backward, mutates_args=())


@_backward_node.register_fake
def _(
    of_quantized: Tensor,
    of_mean: Tensor,
    of_entropy: Tensor,
    latents: Tensor,
    keys: Tensor,
    values: Tensor,
    offsets: Tensor,
    weights: Tensor,
    scale: float,
    noise_seed: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    del of_quantized, of_mean, of_entropy, values, weights, scale, noise_seed
    return torch.empty_like(latents), torch.empty_like(keys), torch.empty_like(offsets)


def _through_softmax_(change: Tensor, probabilities: Tensor) -> Tensor:
    """The gradient of the logits from that of the probabilities, in its place."""
    inner = torch.linalg.vecdot(change, probabilities, dim=1).unsqueeze(1)
    return change.sub_(inner).mul_(probabilities)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Any, ...]) -> None:
    latents, keys, values, offsets, _, weights, ctx.scale, seed = inputs
    ctx.save_for_backward(latents, keys, values, offsets, weights, output[0], seed)


def _gradients(ctx: Any, _: Any, of_quantized: Tensor, of_mean: Tensor, of_entropy: Tensor) -> tuple[Any, ...]:
    latents, keys, values, offsets, weights, indices, seed = ctx.saved_tensors
    of_quantized = of_quantized.contiguous()
    backward = torch.ops.vqkit.soft_assignment_backward if torch.compiler.is_compiling() else _backward
    with torch.autocast(latents.device.type, enabled=False):
        of_latents, of_keys, of_offsets = backward(
            of_quantized, of_mean, of_entropy, latents, keys, values, offsets, weights, ctx.scale, seed
        )
    of_values = torch.zeros_like(values).index_add(0, indices, of_quantized)
    return of_latents, of_keys, of_values, of_offsets, None, None, None, None


_forward_node.register_autograd(_gradients, setup_context=_keep)


class _Eager(torch.autograd.Function):
    """The same without the cost of an operation that compilers know."""

    @staticmethod
    def forward(*inputs: Any) -> Any:
        return _forward(*inputs)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Any, ...]) -> None:
        ctx.mark_non_differentiable(output[0])
        _keep(ctx, inputs, output)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return _gradients(ctx, *gradients)
