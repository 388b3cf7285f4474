"""Codewords that add up to what is quantized: residual codebooks, products, a single codebook, as one thing to search.

The squared error of indices i is then ``|z - sum_c e_{c, i_c}|^2``, whatever the quantizer is called, and what an index
costs besides may be anything: the bits of a context model, say (``vqkit.codec``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from vqkit.errors import ConfigError
from vqkit.ops.precision import at_least_float32
from vqkit.quantizers.base import Quantizer, flatten_grid
from vqkit.quantizers.codebook.base import CodebookQuantizer
from vqkit.quantizers.composite.product import ProductQuantizer
from vqkit.quantizers.composite.residual import ResidualQuantizer


@final
@dataclass(frozen=True)
class CodewordSum:
    """Codebooks whose codewords add up.

    Attributes:
        codewords: ``[C, K, D]``; of a product zero outside of their part.
        bits: ``[C, K]``, what a code costs by how often it is used (``CodebookQuantizer.code_bits``).
        weights: the squared distance that one bit is worth, of each codebook.
        apart: whether the codewords of one codebook are orthogonal to those of all others.
    """

    codewords: Tensor
    bits: Tensor
    weights: tuple[float, ...]
    apart: bool


@torch.no_grad()
def codeword_sum(quantizer: Quantizer) -> CodewordSum:
    """Return the codebooks of a quantizer as they are now.

    Raises:
        ConfigError: codewords that are no sum of such as codebooks hold.

    Example:
        >>> from vqkit.quantizers import EMAVectorQuantizer, ResidualQuantizer
        >>> from vqkit.quantizers.codeword_sums import codeword_sum
        >>> layer = ResidualQuantizer([EMAVectorQuantizer(16, 8) for _ in range(3)])
        >>> codeword_sum(layer).codewords.shape
        torch.Size([3, 16, 8])
    """
    apart = isinstance(quantizer, ProductQuantizer)
    books = _codebooks(quantizer)
    codewords = torch.stack([at_least_float32(book.table().detach()) for book in books])
    if apart:
        count, size, width = codewords.shape
        whole = codewords.new_zeros(count, size, count, width)
        whole[torch.arange(count), :, torch.arange(count)] = codewords
        codewords = whole.flatten(2)
    bits = torch.stack([book.code_bits().detach() for book in books]).to(codewords.dtype)
    return CodewordSum(codewords, bits, tuple(float(book.rate_weight) for book in books), apart)


@torch.no_grad()
def placed_vectors(quantizer: Quantizer, latents: Tensor) -> Tensor:
    """Return latents ``[batch, D, *grid]`` as the rows ``[batch * positions, D]`` that codewords are compared with.

    Example:
        >>> import torch
        >>> from vqkit.quantizers import EMAVectorQuantizer
        >>> from vqkit.quantizers.codeword_sums import placed_vectors
        >>> placed_vectors(EMAVectorQuantizer(16, 8), torch.zeros(2, 8, 3, 3)).shape
        torch.Size([18, 8])
    """
    return flatten_grid(quantizer.place(at_least_float32(latents)))


def _codebooks(quantizer: Quantizer) -> list[CodebookQuantizer]:
    parts: list[nn.Module] = [quantizer]
    if isinstance(quantizer, ResidualQuantizer):
        parts = list(quantizer.stages)
    elif isinstance(quantizer, ProductQuantizer):
        parts = list(quantizer.parts)
    books = [part for part in parts if isinstance(part, CodebookQuantizer)]
    if len(books) < len(parts):
        raise ConfigError(
            f"{type(parts[0]).__name__}: its codes are no rows of a codebook, whose distances could be weighed against "
            "bits; quantizer=ema has such, alone or with stacking=residual or product"
        )
    return books
