"""From features of a position to the distributions of its indices, one codebook after another."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class CodebookHead(nn.Module):
    """p(i_c | features, i_1 .. i_(c-1)) for the codebooks c = 1 .. C of a position.

    With E_j the embedding of codebook j's index at this position,

        a_c = relu(F features + b_c + sum over j < c of E_j[i_j])
        logits_c = O_c relu(W_c a_c + w_c) + o_c

    so the C distributions together are an exact autoregressive factorisation over the codebooks. For a residual
    quantizer the sum plays the part of the reconstruction so far. O and o start at zero: the untrained head gives
    log K nats for every index.

    In training all codebooks are known at once and could be one batched product; one after the other is faster on a
    CPU, where what belongs to one codebook stays in the cache.

    Args:
        features: numbers that describe a position (that is, everything before it).
        hidden_channels: width of the two hidden layers.
        codebook_size: K.
        num_codebooks: C.
    """

    def __init__(self, features: int, hidden_channels: int, codebook_size: int, num_codebooks: int) -> None:
        super().__init__()
        self.num_codebooks = num_codebooks
        self.first = nn.Linear(features, hidden_channels, bias=False)
        self.first_bias = nn.Parameter(torch.zeros(num_codebooks, hidden_channels))
        self.second = nn.Parameter(torch.empty(num_codebooks, hidden_channels, hidden_channels))
        self.second_bias = nn.Parameter(torch.zeros(num_codebooks, hidden_channels))
        self.last = nn.Parameter(torch.zeros(num_codebooks, hidden_channels, codebook_size))
        self.last_bias = nn.Parameter(torch.zeros(num_codebooks, codebook_size))
        nn.init.normal_(self.second, std=(2.0 / hidden_channels) ** 0.5)
        if num_codebooks > 1:
            self.embedding = nn.Parameter(torch.empty(num_codebooks - 1, codebook_size, hidden_channels))
            nn.init.normal_(self.embedding, std=num_codebooks**-0.5)

    def forward(self, features: Tensor, indices: Tensor) -> Iterator[Tensor]:
        """Logits ``[positions, K]`` of each codebook in turn.

        An entry of ``indices`` is read only after the logits of its codebook have been handed out, so sampling fills
        them in as it goes and training has them all from the start: one code for both.

        Args:
            features: ``[positions, features]``, of everything before each position.
            indices: int64 ``[positions, codebooks]``.
        """
        known = self.first(features)
        tables = self.embedding.unbind() if self.num_codebooks > 1 else ()
        layers = (self.first_bias, self.second, self.second_bias, self.last, self.last_bias)
        for codebook, (bias, second, second_bias, last, last_bias) in enumerate(
            zip(*(each.unbind() for each in layers), strict=True)
        ):
            hidden = torch.addmm(second_bias, (known + bias).relu(), second).relu()
            yield torch.addmm(last_bias, hidden, last)
            if codebook < self.num_codebooks - 1:
                known = known + F.embedding(indices[:, codebook], tables[codebook])

    def nats(self, features: Tensor, indices: Tensor) -> Tensor:
        """``-log p`` of the indices of each position, ``[positions]``, summed over the codebooks; as ``forward``."""
        each = zip(self(features, indices), indices.unbind(dim=1), strict=True)
        return torch.stack([F.cross_entropy(logits, index, reduction="none") for logits, index in each]).sum(dim=0)


def embed_indices(indices: Tensor, tables: Tensor) -> Tensor:
    """``[..., features]``: the sum over codebooks of each index's row, from ``[..., C]`` and ``[C, K, features]``."""
    first, *rest = zip(indices.unbind(dim=-1), tables.unbind(), strict=True)
    x = F.embedding(*first)
    for index, table in rest:
        x = x + F.embedding(index, table)
    return x
