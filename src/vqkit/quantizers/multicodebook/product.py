"""Product quantization of vectors: the numbers cut into parts, a k-means codebook for each (Jegou et al. 2011)."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from vqkit.errors import ConfigError
from vqkit.ops import code_sums, index_histogram, kmeans, nearest_code
from vqkit.ops.assignment.seeding import spread_points
from vqkit.ops.reproducible import reproducible_linear, reproducible_sum
from vqkit.quantizers.multicodebook.base import MultiCodebookQuantizer


@final
class ProductCodebooks(MultiCodebookQuantizer):
    """Part m of a vector is quantized by codebook m (Jegou, Douze and Schmid 2011).

    The parts are of ``D / M`` numbers, those that come first of one more where it does not divide.

    Args:
        iterations: of Lloyd's algorithm.

    Raises:
        ConfigError: more codebooks than numbers in a vector.

    Example:
        >>> import torch
        >>> from vqkit.quantizers.multicodebook.product import ProductCodebooks
        >>> layer = ProductCodebooks(16, 5, num_codebooks=2)  # numbers 0 to 2, and 3 to 4
        >>> layer.learn(torch.randn(400, 5), torch.Generator().manual_seed(0))
        >>> layer.encode(torch.randn(3, 5)).shape
        torch.Size([3, 2])
    """

    def __init__(self, codebook_size: int, code_dim: int, *, num_codebooks: int = 8, iterations: int = 25) -> None:
        if num_codebooks > code_dim:
            raise ConfigError(
                f"num_codebooks={num_codebooks} of vectors of {code_dim} numbers: a product gives each codebook one "
                "number at least"
            )
        super().__init__(codebook_size, code_dim, num_codebooks, -(-code_dim // max(num_codebooks, 1)))
        self.iterations = iterations
        short, more = divmod(code_dim, num_codebooks)
        self.widths = [short + (number < more) for number in range(num_codebooks)]

    @torch.no_grad()
    def learn(self, vectors: Tensor, generator: torch.Generator) -> None:
        """Set each codebook by k-means of its part, from points far from one another."""
        for number, part in enumerate(self.pieces(vectors)):
            self._learn_part(number, part, generator, self.iterations)

    @torch.no_grad()
    def start(self, vectors: Tensor, generator: torch.Generator) -> None:
        """Set each codebook to parts of vectors that lie far from one another, after two rounds of k-means."""
        for number, part in enumerate(self.pieces(vectors)):
            self._learn_part(number, part, generator, 2)

    def _learn_part(self, number: int, part: Tensor, generator: torch.Generator, iterations: int) -> None:
        size = self.codebook_size
        start = spread_points(part, size, generator) if len(part) >= size else None  # fewer: kmeans adds noise
        self.set_part(number, kmeans(part, size, generator=generator, iterations=iterations, start=start)[0])

    @torch.no_grad()
    def improve(self, vectors: Tensor, indices: Tensor) -> None:
        """Move each code to the mean of the vectors ``[N, code_dim]`` that have its index; others stay."""
        for number, part in enumerate(self.pieces(vectors)):
            counts = index_histogram(indices[:, number], self.codebook_size)
            means = code_sums(part, indices[:, number], self.codebook_size) / counts.clamp_min(1).unsqueeze(1)
            self.set_part(number, torch.where(counts.unsqueeze(1) > 0, means, self.part(number)))

    def search(self, vectors: Tensor) -> Tensor:
        """See ``MultiCodebookQuantizer.search``: the nearest code of each part, exactly."""
        found = [nearest_code(part, self.part(number)) for number, part in enumerate(self.pieces(vectors))]
        return torch.stack(found, dim=1)

    def sums(self, indices: Tensor) -> Tensor:
        """See ``MultiCodebookQuantizer.sums``: the parts one after the other."""
        return torch.cat([self.part(number)[indices[:, number]] for number in range(indices.shape[1])], dim=1)

    def left(self, vectors: Tensor, prefix: Tensor) -> Tensor:
        """See ``MultiCodebookQuantizer.left``: the next part, followed by zeros where it is shorter than others."""
        part = self.pieces(vectors)[prefix.shape[1]]
        return torch.nn.functional.pad(part, (0, self.codebooks.shape[2] - part.shape[1]))

    def offers(self, vectors: Tensor) -> Tensor:
        """See ``MultiCodebookQuantizer.offers``."""
        found = []
        for number, part in enumerate(self.pieces(vectors)):
            codes = self.part(number)
            norms = reproducible_sum(codes.double().square(), dim=1).to(codes.dtype)
            found.append(reproducible_linear(part, codes).mul_(-2).add_(norms))
        return torch.stack(found, dim=1)

    def pieces(self, vectors: Tensor) -> list[Tensor]:
        """Return the parts of vectors ``[N, code_dim]``."""
        return [part.contiguous() for part in vectors.split(self.widths, dim=1)]

    def part(self, number: int) -> Tensor:
        """Return a codebook ``[K, width]``, without the zeros behind a short part."""
        return self.codebooks[number, :, : self.widths[number]]

    def set_part(self, number: int, codes: Tensor) -> None:
        """Set a codebook ``[K, width]``."""
        self.codebooks[number, :, : self.widths[number]] = codes
