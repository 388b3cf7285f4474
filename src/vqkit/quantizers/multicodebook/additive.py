"""Additive quantization of vectors: a sum of codewords, found by beam search, with codebooks refined together."""

from __future__ import annotations

from typing import Any, final

import torch
from torch import Tensor
from torch.nn import functional

from vqkit.errors import ConfigError
from vqkit.ops import index_histogram, nearest_code
from vqkit.ops.assignment.beam import Cross, beam_search, rows_at_once
from vqkit.ops.linear.additive import fitted_codebooks, summed_codes
from vqkit.ops.reproducible import reproducible_linear, reproducible_sum
from vqkit.quantizers.multicodebook.base import MultiCodebookQuantizer

_MOST_PRODUCTS = 1 << 26
"""Products of codes with codes that are kept, at most (256 MiB); of more codes they are computed for each vector."""
_SETTLING = 0.2
"""Of the rounds, those at the end without noise."""


@final
class AdditiveCodebooks(MultiCodebookQuantizer):
    """The codeword is a sum of one code of each codebook; its first m terms alone are a coarser one.

    A vector is encoded by a beam search over the codebooks in order: residual quantization where ``beam`` is 1. The
    codebooks are learned together: in turn the indices of all vectors are searched for and the codebooks solved for by
    least squares (Babenko and Lempitsky 2014), with noise on the codes that falls to nothing (Martinez et al. 2018,
    LSQ++), since without it the alternation ends in the first optimum.

    Args:
        beam: prefixes that the search keeps for a vector.
        rounds: of search and least squares.
        noise: standard deviation of the noise of the first round, in those of the data over M.

    Raises:
        ConfigError: a value out of range.

    Example:
        >>> import torch
        >>> from vqkit.quantizers.multicodebook.additive import AdditiveCodebooks
        >>> layer = AdditiveCodebooks(16, 8, num_codebooks=3)
        >>> layer.learn(torch.randn(400, 8), torch.Generator().manual_seed(0))
        >>> layer.lookup(layer.encode(torch.randn(5, 8))[:, :2]).shape  # of the first two codebooks
        torch.Size([5, 8])
    """

    nested = True

    def __init__(
        self,
        codebook_size: int,
        code_dim: int,
        *,
        num_codebooks: int = 8,
        beam: int = 16,
        rounds: int = 25,
        noise: float = 1.0,
    ) -> None:
        if beam < 1 or rounds < 1 or not 0 <= noise < 100:
            raise ConfigError(f"beam={beam}, rounds={rounds}, noise={noise}: give 1 or more, and noise from 0")
        super().__init__(codebook_size, code_dim, num_codebooks, code_dim)
        self.beam, self.rounds, self.noise = beam, rounds, noise
        self._tables: tuple[int, Any, list[Tensor | None]] | None = None

    @torch.no_grad()
    def learn(self, vectors: Tensor, generator: torch.Generator) -> None:
        """Set the codebooks, from random indices on, by rounds of beam search and least squares."""
        vectors = vectors.to(self.codebooks)
        size, shape = self.codebook_size, (len(vectors), self.num_codebooks)
        indices = torch.randint(size, shape, generator=generator, device="cpu").to(vectors.device)
        found = fitted_codebooks(vectors, indices, torch.zeros_like(self.codebooks))
        spread = vectors.std(dim=0, correction=0) * self.noise / self.num_codebooks
        heated = self.rounds - max(1, round(_SETTLING * self.rounds))
        for number in range(self.rounds):
            share = max(0.0, 1 - (number + 1) / max(heated, 1)) ** 0.5
            shaken = torch.randn(found.shape, generator=generator, dtype=found.dtype, device="cpu").to(found.device)
            self._set(found + shaken * spread * share)
            indices = self._search(vectors, max(1, self.beam // 4))
            if number + 1 < self.rounds:
                found = self._refilled(vectors, indices, self.codebooks)
            found = self._centered(fitted_codebooks(vectors, indices, found), indices)
        self._set(found)

    def _refilled(self, vectors: Tensor, indices: Tensor, codebooks: Tensor) -> Tensor:
        """The codebooks, each code without vectors moved to where it makes one of the worst vectors exact."""
        left = vectors - summed_codes(codebooks, indices)
        worst = left.square().sum(dim=1).argsort(descending=True, stable=True)
        codebooks, taken = codebooks.clone(), 0
        for level in range(self.num_codebooks):
            empty = torch.nonzero(index_histogram(indices[:, level], self.codebook_size) == 0).squeeze(1)
            rows = worst[taken : taken + len(empty)]
            empty = empty[: len(rows)]
            codebooks[level, empty] = left[rows] + codebooks[level][indices[rows, level]]
            indices[rows, level] = empty
            taken += len(rows)
        return codebooks

    def _centered(self, codebooks: Tensor, indices: Tensor) -> Tensor:
        """The same sums, with all codebooks but the first of mean 0 over the vectors, and by falling variance.

        So the first codes alone are as good a codeword as they can be, and a search that goes by them sees most.
        """
        counts = torch.stack([index_histogram(own, self.codebook_size) for own in indices.t()]).double()
        weights = (counts / counts.sum(dim=1, keepdim=True)).unsqueeze(2)
        wide = codebooks.double()
        means = (weights * wide).sum(dim=1, keepdim=True)
        energy = (weights * (wide - means).square()).sum(dim=(1, 2))
        order = energy.argsort(descending=True, stable=True)
        wide = (wide - means)[order]
        wide[0] += means.sum(dim=0)
        return wide.to(codebooks.dtype)

    def search(self, vectors: Tensor) -> Tensor:
        """See ``MultiCodebookQuantizer.search``."""
        return self._search(vectors, self.beam)

    def _search(self, vectors: Tensor, beam: int) -> Tensor:
        if self.num_codebooks == 1:
            return nearest_code(vectors, self.codebooks[0]).unsqueeze(1)
        cross = self.cross()
        if torch.compiler.is_exporting():  # rows in parts would bind their number
            return beam_search(self.offers(vectors), cross, beam)[0][:, 0]
        parts = vectors.split(rows_at_once(beam, self.codebook_size))
        return torch.cat([beam_search(self.offers(part), cross, beam)[0][:, 0] for part in parts])

    def sums(self, indices: Tensor) -> Tensor:
        """See ``MultiCodebookQuantizer.sums``."""
        return summed_codes(self.codebooks, indices)

    def left(self, vectors: Tensor, prefix: Tensor) -> Tensor:
        """See ``MultiCodebookQuantizer.left``: the residual."""
        return vectors - self.sums(prefix) if prefix.shape[1] else vectors

    def offers(self, vectors: Tensor) -> Tensor:
        """See ``MultiCodebookQuantizer.offers``."""
        norms = self._prepared()[0]
        products = reproducible_linear(vectors, self.codebooks.flatten(0, 1))
        return products.view(vectors.shape[0], *norms.shape).mul_(-2).add_(norms)

    def cross(self) -> Cross:
        """See ``MultiCodebookQuantizer.cross``: looked up in tables, or computed where these would be too large."""
        _, tables = self._prepared()
        first = torch.arange(self.num_codebooks, device=self.codebooks.device) * self.codebook_size

        def products(level: int, chosen: Tensor) -> Tensor:
            table = tables[level]
            if table is None:
                return reproducible_linear(self.sums(chosen), self.codebooks[level]).mul_(2)
            if torch.compiler.is_exporting():
                return functional.embedding(chosen + first[:level], table).sum(dim=1)
            return functional.embedding_bag(chosen + first[:level], table, mode="sum")

        return products

    def _prepared(self) -> tuple[Tensor, list[Tensor | None]]:
        """The square norms of all codes, and twice their products with those of the codebooks before."""
        version = self.codebooks._version
        if self._tables is None or self._tables[0] != version or self._tables[1].device != self.codebooks.device:
            norms = reproducible_sum(self.codebooks.double().square(), dim=2).to(self.codebooks.dtype)
            kept = (self.num_codebooks * self.codebook_size) ** 2 <= 2 * _MOST_PRODUCTS
            tables: list[Tensor | None] = [None]
            for level in range(1, self.num_codebooks):
                before = self.codebooks[:level].flatten(0, 1)
                tables.append(reproducible_linear(before, self.codebooks[level]).mul_(2) if kept else None)
            self._tables = (version, norms, tables)
        return self._tables[1], self._tables[2]

    def _set(self, codebooks: Tensor) -> None:
        self.codebooks.copy_(codebooks)
