"""Rate-distortion optimized indices: each chosen by its squared error and the bits that the entropy model then asks.

As RDOQ of video coders (Karczewicz, Ye and Chong 2008): indices are chosen in the order in which the entropy model
codes them, so that the bits of each under all chosen before are known, and the cheapest by
``|z - sum of codewords|^2 + rate_weight * bits`` is taken. What a choice leaves to later codebooks is foreseen with the
bits that those codes cost on average. A reader decodes such a file like any other.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vqkit.codec.entropy.models import EntropyModel, Indices
from vqkit.coding.frequencies import TOTAL_BITS
from vqkit.errors import ConfigError
from vqkit.models import IndexModel
from vqkit.models.tiling import weighing
from vqkit.ops import evaluating, nearest_code
from vqkit.ops.reproducible import reproducible_linear, reproducible_sum
from vqkit.quantizers.codeword_sums import CodewordSum, codeword_sum, placed_vectors
from vqkit.spelling import option, spelled

_CANDIDATES = 4
"""Codes of a position whose consequences for later codebooks are looked at: 12 brought nothing more."""
_ROWS = 1 << 14
"""Vectors that are searched at once."""


def check_optimizable(model: IndexModel, entropy: EntropyModel, rate_weight: float | None) -> None:
    """Raise ``ConfigError`` unless indices can be optimized for files of this model under this entropy model."""
    told = option("optimize", True)
    if entropy.kind == "uniform":
        learning = spelled(python="vqkit.ContextPrior", command="vqkit prior RUN --kind context")
        raise ConfigError(f"{told}: without a prior every code costs the same bits; learn one ({learning})")
    trained = codeword_sum(model.quantizer).weights
    if not all(trained if rate_weight is None else [rate_weight]):
        raise ConfigError(
            f"{told}: bits weigh nothing in this model as it was trained; say how much they do "
            f"({option('rate_weight', 0.4)}, for one) or how many there may be ({option('rate', 0.3)})"
        )


@torch.no_grad()
def optimized_indices(
    model: IndexModel, entropy: EntropyModel, latents: Tensor, rate_weight: float | None, codebooks: int
) -> Indices:
    """Indices int64 ``[n, *grid, codebooks]`` of latents ``[n, D, *grid]``, cheap under an entropy model.

    Args:
        model: the tokenizer.
        entropy: what the indices will be coded under.
        latents: of a tile, which is coded by itself.
        rate_weight: the squared distance that one bit is worth; None: as the model was trained.
        codebooks: the first so many.

    Raises:
        ConfigError: see ``codeword_sum``.
    """
    grid = tuple(latents.shape[2:])
    with evaluating(model), weighing(model, rate_weight):
        words = codeword_sum(model.quantizer)
        left = placed_vectors(model.quantizer, latents).reshape(len(latents), math.prod(grid), -1).clone()
    search = _Search(words, codebooks)
    items = np.zeros((len(latents), *grid, codebooks), np.int64)
    flat = items.reshape(len(latents), -1, codebooks)
    entropy.grid = grid
    for where, table in entropy.parts(flat, 0, codebooks):
        here: tuple[Any, ...] = where[:2]
        for book in np.atleast_1d(np.arange(codebooks)[where[2]]).tolist():
            own = left[here]
            bits = TOTAL_BITS - torch.from_numpy(table).to(left.device).double().log2().to(left.dtype)
            chosen = search(book, own.reshape(-1, own.shape[-1]), bits.expand(own.shape[:-1].numel(), -1))
            flat[(*here, book)] = chosen.view(own.shape[:-1]).cpu().numpy()
            left[here] = own - words.codewords[book][chosen].view(own.shape)
    return items


class _Search:
    """The code of each vector, of one codebook after another."""

    def __init__(self, words: CodewordSum, codebooks: int) -> None:
        self._words, self._codebooks = words, codebooks
        self._norms = reproducible_sum(words.codewords.square(), dim=2)
        prices = torch.tensor(words.weights, device=words.bits.device, dtype=words.bits.dtype)[:, None] * words.bits
        self._priced = torch.cat([words.codewords, prices.sqrt().unsqueeze(2)], dim=2)
        self._prices = prices

    def __call__(self, book: int, vectors: Tensor, bits: Tensor) -> Tensor:
        """Codes ``[N]`` of one codebook, of what the ones before have left ``[N, D]``, at ``[N, K]`` bits each."""
        last = book == self._codebooks - 1 or self._words.apart
        rows = _ROWS // (1 if last else _CANDIDATES)
        parts = zip(vectors.split(rows), bits.split(rows), strict=True)
        return torch.cat([self._chosen(book, *part, last) for part in parts])

    def _chosen(self, book: int, vectors: Tensor, bits: Tensor, last: bool) -> Tensor:
        words = self._words.codewords[book]
        costs = self._norms[book] - 2 * reproducible_linear(vectors, words) + self._words.weights[book] * bits
        if last:
            return costs.argmin(dim=1)
        few = costs.topk(min(_CANDIDATES, costs.shape[1]), dim=1, largest=False).indices
        own = self._words.weights[book] * bits.gather(1, few)
        left = (vectors.unsqueeze(1) - words[few]).flatten(0, 1)
        whole = own + self._later(book + 1, left).view(few.shape)
        return few.gather(1, whole.argmin(dim=1, keepdim=True)).squeeze(1)

    def _later(self, first: int, left: Tensor) -> Tensor:
        """The squared rest of vectors ``[N, D]`` after later codebooks, and what their codes usually cost: ``[N]``."""
        total = left.new_zeros(len(left))
        for book in range(first, self._codebooks):
            chosen = nearest_code(functional.pad(left, (0, 1)), self._priced[book])
            total = total + self._prices[book][chosen]
            left = left - self._words.codewords[book][chosen]
        return total + reproducible_sum(left.square(), dim=1)
