"""Base of quantizers whose codebooks are solved for from vectors: searches with distances, and lookups."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from vqkit.errors import ConfigError
from vqkit.ops import straight_through
from vqkit.ops.assignment.beam import Cross, beam_search, rows_at_once
from vqkit.ops.reproducible import reproducible_linear, reproducible_sum
from vqkit.quantizers.base import Quantization, Quantizer, flatten_grid, masked_mean


class MultiCodebookQuantizer(Quantizer):
    """Several codebooks, with an index each; the codeword of a vector is made of one code of every codebook.

    ``learn`` sets the codebooks from vectors; no gradient reaches them. The indices of a vector depend on the vector
    alone, to the last bit: not on the batch, nor on the number of threads.

    Args:
        codebook_size: K.
        code_dim: D of the vectors.
        num_codebooks: M.
        part_dim: numbers in a row of a codebook.

    Raises:
        ConfigError: a size out of range.
    """

    codebooks: Tensor

    def __init__(self, codebook_size: int, code_dim: int, num_codebooks: int, part_dim: int) -> None:
        super().__init__()
        for name, value in (("codebook_size", codebook_size), ("code_dim", code_dim), ("num_codebooks", num_codebooks)):
            if value < 1:
                raise ConfigError(f"{name}={value}: give 1 or more")
        self.codebook_size, self.code_dim, self.num_codebooks = codebook_size, code_dim, num_codebooks
        self.channels_first = True
        self.register_buffer("codebooks", torch.zeros(num_codebooks, codebook_size, part_dim))

    @abstractmethod
    def learn(self, vectors: Tensor, generator: torch.Generator) -> None:
        """Set the codebooks from vectors ``[N, code_dim]``, float32."""

    @abstractmethod
    def search(self, vectors: Tensor) -> Tensor:
        """Return the indices ``[N, M]`` of vectors ``[N, code_dim]``."""

    @abstractmethod
    def sums(self, indices: Tensor) -> Tensor:
        """Return the codewords ``[N, code_dim]`` of indices ``[N, m]`` of the first m codebooks."""

    @abstractmethod
    def left(self, vectors: Tensor, prefix: Tensor) -> Tensor:
        """Return what codebook m is to quantize once the ones before it have chosen ``prefix`` ``[N, m]``."""

    @abstractmethod
    def offers(self, vectors: Tensor) -> Tensor:
        """Return what each code adds to a squared distance where it is chosen alone, ``[N, M, K]``."""

    def cross(self) -> Cross | None:
        """Return what codes cost together (see ``ops.assignment.beam``); None where they are orthogonal."""
        return None

    @torch.no_grad()
    def candidates(self, vectors: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Return the best choices of indices for vectors ``[N, code_dim]``, with their squared distances.

        Args:
            vectors: as the codebooks know them (of a model: ``model.latents(x)``).
            count: of choices; also the prefixes that the search keeps at each level.

        Returns:
            Indices ``[N, count, M]`` int64, nearest first, and squared distances ``[N, count]``; fewer where there are
            no more. Of a product they are the nearest of all, of sums of codewords those that the search finds.

        Example:
            >>> import torch
            >>> from vqkit.quantizers.multicodebook.product import ProductCodebooks
            >>> layer = ProductCodebooks(16, 8, num_codebooks=2)
            >>> layer.learn(torch.randn(400, 8), torch.Generator().manual_seed(0))
            >>> indices, distances = layer.candidates(torch.randn(3, 8), 5)
            >>> indices.shape, distances.shape
            (torch.Size([3, 5, 2]), torch.Size([3, 5]))
        """
        if count < 1:
            raise ConfigError(f"count={count}: give 1 or more")
        cross, chosen, far = self.cross(), [], []
        for part in vectors.split(rows_at_once(count, self.codebook_size)):
            indices, costs = beam_search(self.offers(part), cross, count)
            chosen.append(indices)
            far.append(costs.add_(_squares(part)).clamp_min_(0))
        return torch.cat(chosen), torch.cat(far)

    @torch.no_grad()
    def distances(self, vectors: Tensor, prefix: Tensor) -> Tensor:
        """Return the squared distances ``[N, K]`` to each code of codebook m, after a choice of the ones before it.

        Args:
            vectors: ``[N, code_dim]``.
            prefix: int64 ``[N, m]``, the indices chosen so far, 0 <= m < M.
        """
        found, rows, codes = [], rows_at_once(1, self.codebook_size), self.codebooks[prefix.shape[1]]
        norms = _squares(codes).t()
        for part, chosen in zip(vectors.split(rows), prefix.split(rows), strict=True):
            left = self.left(part, chosen)
            far = reproducible_linear(left, codes).mul_(-2).add_(norms).add_(_squares(left))
            found.append(far.clamp_min_(0))
        return torch.cat(found)

    @torch.no_grad()
    def encode(self, latents: Tensor) -> Tensor:
        """Indices ``[batch, *grid, M]`` (of one codebook ``[batch, *grid]``) of ``[batch, code_dim, *grid]``."""
        self.check_latents(latents)
        with torch.autocast(latents.device.type, enabled=False):
            indices = self.search(flatten_grid(latents).to(self.codebooks.dtype))
        several = [self.num_codebooks] if self.num_codebooks > 1 else []
        return indices.view(latents.shape[0], *latents.shape[2:], *several)

    def lookup(self, indices: Tensor) -> Tensor:
        """Codewords ``[batch, code_dim, *grid]`` of indices ``[batch, *grid, m]``, as many as ``encode`` gives.

        Of sums of codewords also of the first m codebooks only.

        Raises:
            ValueError: another number of codebooks, or an index outside ``[0, codebook_size)``.
        """
        indices = self.check_indices(indices)
        if self.num_codebooks == 1:
            indices = indices.unsqueeze(-1)
        last = indices.shape[-1] if indices.ndim > 1 else 0
        if not (last == self.num_codebooks or (self.nested and 1 <= last <= self.num_codebooks)):
            raise ValueError(
                f"indices have shape {tuple(indices.shape)}; the last axis is "
                f"{'1 to ' if self.nested else 'the '}{self.num_codebooks} codebooks"
            )
        rows = self.sums(indices.reshape(-1, last))
        return rows.view(*indices.shape[:-1], self.code_dim).movedim(-1, 1)

    def forward(self, latents: Tensor, mask: Tensor | None = None) -> Quantization:
        """See ``Quantizer.forward``; the loss is the commitment of latents to their codewords."""
        latents = self.validate(latents, mask)
        indices = self.encode(latents)
        codewords = self.lookup(indices).to(latents.dtype)
        loss = masked_mean((latents - codewords).square(), mask, reduce_over_ranks=self.training)
        return Quantization(straight_through(latents, codewords), indices, {"commitment_loss": loss})


def _squares(rows: Tensor) -> Tensor:
    """Square norms ``[N, 1]``, each the same whatever the other rows are."""
    return reproducible_sum(rows.double().square(), dim=1).float().unsqueeze(1)
