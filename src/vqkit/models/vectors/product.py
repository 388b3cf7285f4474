"""Product quantization, and with a rotation learned beside it (Jegou et al. 2011; Ge et al. 2013)."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from vqkit.models.vectors.base import VectorCodebooks
from vqkit.ops.linear.rotation import balanced_directions, nearest_rotation
from vqkit.ops.reproducible import reproducible_linear
from vqkit.quantizers.multicodebook.product import ProductCodebooks
from vqkit.recording import recorded


@final
class ProductQuantization(VectorCodebooks):
    """Product quantization (PQ; Jegou, Douze and Schmid 2011): parts of a vector, each with a k-means codebook.

    Args:
        codebook_size: K; an index costs log2 K bits, 256 is a byte.
        num_codebooks: M, indices (of 256: bytes) a vector.
        iterations: of k-means.
        seed: of the first codes, and of the sample that is learned from.

    Raises:
        ConfigError: a value out of range.

    Example:
        >>> import torch
        >>> from vqkit.models import ProductQuantization
        >>> model = ProductQuantization(16, num_codebooks=2, channels=6)
        >>> vectors = torch.randn(500, 6)
        >>> model.fit(lambda: vectors.split(100))
        >>> model.encode(vectors[:3]).shape
        torch.Size([3, 2])
    """

    model_type: ClassVar[str] = "pq"

    def __init__(
        self,
        codebook_size: int = 256,
        *,
        num_codebooks: int = 8,
        iterations: int = 25,
        seed: int = 0,
        channels: int = 64,
        axes: int = 0,
        channel_means: bool = False,
        kind: str | None = None,
    ) -> None:
        config = recorded(ProductQuantization.__init__, locals())
        codebooks = ProductCodebooks(codebook_size, channels, num_codebooks=num_codebooks, iterations=iterations)
        super().__init__(codebooks, config)


@final
class OptimizedProductQuantization(VectorCodebooks):
    """Optimized product quantization (OPQ; Ge, He, Ke and Sun 2013): a rotation learned with the codebooks.

    The rotation begins with principal directions, dealt out so that all parts have the same product of variances
    (section 3.2), and is then, in turn with the codes, the one that brings vectors nearest to their codewords (3.1).

    Args:
        codebook_size: K; an index costs log2 K bits, 256 is a byte.
        num_codebooks: M, indices (of 256: bytes) a vector.
        iterations: in which rotation, indices and codebooks are improved in turn.
        seed: of the first codes, and of the sample that is learned from.

    Raises:
        ConfigError: a value out of range.

    Example:
        >>> import torch
        >>> from vqkit.models import OptimizedProductQuantization
        >>> model = OptimizedProductQuantization(16, num_codebooks=2, channels=6, iterations=10)
        >>> vectors = torch.randn(500, 6)
        >>> model.fit(lambda: vectors.split(100))
        >>> torch.allclose(model.rotation @ model.rotation.T, torch.eye(6), atol=1e-5)
        True
    """

    model_type: ClassVar[str] = "opq"
    quantizer: ProductCodebooks
    directions: Tensor

    def __init__(
        self,
        codebook_size: int = 256,
        *,
        num_codebooks: int = 8,
        iterations: int = 100,
        seed: int = 0,
        channels: int = 64,
        axes: int = 0,
        channel_means: bool = False,
        kind: str | None = None,
    ) -> None:
        config = recorded(OptimizedProductQuantization.__init__, locals())
        codebooks = ProductCodebooks(codebook_size, channels, num_codebooks=num_codebooks, iterations=iterations)
        super().__init__(codebooks, config)
        self.register_buffer("directions", torch.eye(channels))

    @property
    def rotation(self) -> Tensor:
        """See ``VectorCodebooks.rotation``."""
        return self.directions

    def learn(self, vectors: Tensor, generator: torch.Generator) -> None:
        """See ``VectorCodebooks.learn``."""
        quantizer = self.quantizer
        self.directions.copy_(balanced_directions(vectors, quantizer.widths))
        rotated = reproducible_linear(vectors, self.directions)
        quantizer.start(rotated, generator)
        for _ in range(quantizer.iterations):
            indices = quantizer.search(rotated)
            quantizer.improve(rotated, indices)
            self.directions.copy_(nearest_rotation(vectors, quantizer.sums(indices)))
            rotated = reproducible_linear(vectors, self.directions)
        quantizer.improve(rotated, quantizer.search(rotated))
