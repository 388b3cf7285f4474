"""The first codebooks of a stack alone: the indices of a rate below the highest, without searching for the others."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

from vqkit.quantizers.base import Quantizer


@runtime_checkable
class EncodesFirst(Protocol):
    """Protocol of quantizers of several codebooks whose first indices do not depend on the others.

    Example:
        >>> from vqkit.quantizers import EMAVectorQuantizer, ResidualQuantizer
        >>> from vqkit.quantizers.first_codebooks import EncodesFirst
        >>> isinstance(ResidualQuantizer([EMAVectorQuantizer(16, 8) for _ in range(3)]), EncodesFirst)
        True
    """

    def encode_first(self, latents: Tensor, codebooks: int | None) -> Tensor:
        """Return indices ``[batch, *grid, codebooks]`` of latents ``[batch, code_dim, *grid]``; None: of all."""


def encode_first(quantizer: Quantizer, latents: Tensor, codebooks: int | None) -> Tensor:
    """Return ``quantizer.encode(latents)[..., :codebooks]``, where it can be without the work of the others.

    Args:
        quantizer: nested, or one of which all codebooks are asked for.
        latents: ``[batch, code_dim, *grid]``.
        codebooks: how many; None: all.

    Example:
        >>> import torch
        >>> from vqkit.quantizers import EMAVectorQuantizer, ResidualQuantizer
        >>> from vqkit.quantizers.first_codebooks import encode_first
        >>> layer, latents = ResidualQuantizer([EMAVectorQuantizer(16, 8) for _ in range(3)]), torch.randn(2, 8, 5)
        >>> torch.equal(encode_first(layer, latents, 2), layer.encode(latents)[..., :2])
        True
    """
    if codebooks is not None and isinstance(quantizer, EncodesFirst):
        return quantizer.encode_first(latents, codebooks)
    return quantizer.encode(latents)[..., :codebooks]
