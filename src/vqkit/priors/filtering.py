"""From logits to a drawn index: temperature, the likeliest k, the likeliest mass p, guidance. Pure functions."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_TINY = torch.finfo(torch.float32).tiny


def filtered(
    logits: Tensor, *, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Tensor:
    """Logits ``[..., K]`` of the distribution that is sampled: those of indices that are left out are -inf.

    In this order: softmax(logits / temperature); of it the ``top_k`` likeliest indices; of these, renormalised, the
    fewest likeliest ones that together have probability ``top_p`` (the nucleus of Holtzman et al. 2020,
    arXiv 1904.09751). Indices that tie with the last one kept are kept as well, so that the result does not depend on
    how a sort breaks ties; at least one index always stays.

    Args:
        logits: ``[..., K]`` float.
        temperature: above 0.
        top_k: 1 or more; None, or K and more, leaves nothing out.
        top_p: in (0, 1]; None, or 1, leaves nothing out.
    """
    if temperature != 1.0:
        logits = logits / temperature
    if top_k is not None and top_k < logits.shape[-1]:
        smallest = logits.topk(top_k, dim=-1, sorted=True).values[..., -1:]
        logits = logits.masked_fill(logits < smallest, -math.inf)
    if top_p is not None and top_p < 1.0:
        ordered = logits.sort(dim=-1, descending=True).values
        likelier = ordered.softmax(dim=-1).cumsum(dim=-1).roll(1, dims=-1)  # mass of the ones before each
        likelier[..., 0] = 0.0
        smallest = ordered.masked_fill(likelier >= top_p, math.inf).amin(dim=-1, keepdim=True)
        logits = logits.masked_fill(logits < smallest, -math.inf)
    return logits


def guided(conditional: Tensor, free: Tensor, guidance: float) -> Tensor:
    """Logits ``free + guidance * (conditional - free)``: classifier-free guidance (Ho and Salimans 2022, 2207.12598).

    1 gives the conditional distribution, 0 the unconditional one, more than 1 exaggerates what the condition says.

    Example:
        >>> import torch
        >>> from vqkit.priors import guided
        >>> guided(torch.tensor([0.0, 1.0]), torch.tensor([0.0, 0.5]), 2.0)
        tensor([0.0000, 1.5000])
    """
    return torch.lerp(free, conditional, guidance)


def draw(logits: Tensor, generator: torch.Generator | None) -> Tensor:
    """One index from each row of ``logits`` ``[rows, K]``, int64 ``[rows]``, by the Gumbel-max trick.

    argmax(logits + g) with independent g = -log(e), e ~ Exp(1), is distributed as softmax(logits). The noise is drawn
    on the generator's device, so one CPU generator gives one sequence of samples whatever the device of the prior.
    Nothing waits for the device.
    """
    return (logits - noise_like(logits, generator)).argmax(dim=-1)


def noise_like(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Independent log(Exp(1)) numbers, Gumbel noise with its sign turned, as ``draw`` subtracts them; as ``like``."""
    return exponential(like, generator).log_()


def exponential(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Independent Exp(1) numbers, float32, shaped as ``like`` and on its device; never 0, whose logarithm is -inf."""
    noise = torch.empty(like.shape, dtype=torch.float32, device=like.device if generator is None else generator.device)
    return noise.exponential_(generator=generator).clamp_min_(_TINY).to(like.device)
