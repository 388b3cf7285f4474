"""Several choices of indices for a vector, the nearest codewords first: what a balanced assignment chooses from."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from vqkit.errors import ConfigError
from vqkit.ops.assignment.beam import beam_search, rows_at_once
from vqkit.ops.reproducible import reproducible_linear, reproducible_sum
from vqkit.quantizers.base import Quantizer

_NUMBERS = 1 << 21
"""Of codewords that distances are computed to at a time."""


@runtime_checkable
class ListsCandidates(Protocol):
    """Protocol of quantizers of several codebooks that search for more than one choice of indices.

    Example:
        >>> from vqkit.quantizers.candidates import ListsCandidates
        >>> from vqkit.quantizers.multicodebook.product import ProductCodebooks
        >>> isinstance(ProductCodebooks(16, 8, num_codebooks=2), ListsCandidates)
        True
    """

    def candidates(self, vectors: Tensor, count: int, width: int | None = None) -> tuple[Tensor, Tensor]:
        """Return indices ``[N, count, M]`` for vectors ``[N, code_dim]``, nearest first, and squared distances.

        ``width`` prefixes are kept on the way; None: as many as choices.
        """


@torch.no_grad()
def nearest_choices(
    quantizer: Quantizer, vectors: Tensor, count: int, width: int | None = None
) -> tuple[Tensor, Tensor]:
    """Return the best choices of indices for vectors, nearest first, and how far their codewords are.

    A row depends on its vector alone, to the last bit.

    Args:
        quantizer: of one codebook, or one that lists candidates.
        vectors: latents ``[N, code_dim]``.
        count: of choices.
        width: prefixes that the search for them keeps; None: as many.

    Returns:
        Indices ``[N, count, M]`` int64 and squared distances ``[N, count]`` float32; fewer where there are no more.

    Raises:
        ConfigError: a quantizer that knows no other choice than its own.

    Example:
        >>> import torch
        >>> from vqkit.quantizers import EMAVectorQuantizer
        >>> from vqkit.quantizers.candidates import nearest_choices
        >>> indices, far = nearest_choices(EMAVectorQuantizer(16, 4), torch.randn(3, 4), 5)
        >>> indices.shape, bool((far.diff(dim=1) >= 0).all())
        (torch.Size([3, 5, 1]), True)
    """
    if isinstance(quantizer, ListsCandidates):
        indices, far = quantizer.candidates(vectors, count, width)
    elif quantizer.num_codebooks == 1 and quantizer.follows_latents:
        every = torch.arange(quantizer.codebook_size, device=vectors.device)
        indices, far = nearest_sums(quantizer.place(vectors), quantizer.lookup(every).unsqueeze(0), count)
    else:
        raise ConfigError(
            f"{type(quantizer).__name__}: it finds one choice of indices for a vector and no next best, which balanced "
            "ids need: take models pq, opq, rq, or a VQVAE with stacking=residual or product"
        )
    return indices, far.float()


def nearest_sums(vectors: Tensor, codewords: Tensor, count: int, width: int | None = None) -> tuple[Tensor, Tensor]:
    """Return the choices whose sums of codewords are nearest, by a beam search.

    Args:
        vectors: ``[N, D]``.
        codewords: ``[M, K, D]``; of a product zero outside of their parts.
        count: of choices.
        width: prefixes that are kept at each level; None: as many.
    """
    width = count if width is None else width
    levels, size, _ = codewords.shape
    words = codewords.to(vectors.dtype)
    norms = reproducible_sum(words.double().square(), dim=2).to(words.dtype)

    def cross(level: int, chosen: Tensor) -> Tensor:
        total = words[0][chosen[:, 0]]
        for before in range(1, level):
            total = total + words[before][chosen[:, before]]
        return reproducible_linear(total, words[level]).mul_(2)

    indices, costs = [], []
    for part in vectors.split(rows_at_once(width, size)):
        products = reproducible_linear(part, words.flatten(0, 1)).view(len(part), levels, size)
        found = beam_search(norms - 2 * products, cross, width, count)
        indices.append(found[0])
        costs.append(found[1] + reproducible_sum(part.square(), dim=1).unsqueeze(1))
    return torch.cat(indices), torch.cat(costs).clamp_min(0)


@torch.no_grad()
def squared_distances(quantizer: Quantizer, vectors: Tensor, indices: Tensor) -> Tensor:
    """Return how far the codewords of indices ``[N, count, M]`` are from vectors ``[N, code_dim]``: ``[N, count]``."""
    count, found = indices.shape[1], []
    rows = max(1, _NUMBERS // (count * vectors.shape[1]))
    single = quantizer.num_codebooks == 1
    for part, own in zip(vectors.split(rows), indices.split(rows), strict=True):
        codes = quantizer.lookup(own.flatten(0, 1).squeeze(1) if single else own.flatten(0, 1))
        apart = codes.view(len(part), count, -1) - quantizer.place(part).unsqueeze(1)
        found.append(reproducible_sum(apart.square(), dim=2))
    return torch.cat(found).float()
