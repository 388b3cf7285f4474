"""Channel-last layout around a quantizer: vectors in the last axis, as sequence models have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from vqkit.deprecation import keep_old_names
from vqkit.quantizers.base import Quantization, Quantizer


class ChannelsLast(nn.Module):
    """A quantizer of latents ``[batch, *grid, code_dim]`` (a sequence: ``[batch, n, code_dim]``).

    The same numbers as the quantizer gives for ``[batch, code_dim, *grid]``; any number of grid axes, none included.

    Args:
        quantizer: any.

    Example:
        >>> import torch
        >>> from vqkit.quantizers import ChannelsLast, EMAVectorQuantizer
        >>> layer = ChannelsLast(EMAVectorQuantizer(codebook_size=512, code_dim=32))
        >>> quantized, indices, loss = layer(torch.randn(8, 100, 32))
        >>> quantized.shape, indices.shape
        (torch.Size([8, 100, 32]), torch.Size([8, 100]))
    """

    def __init__(self, quantizer: Quantizer) -> None:
        super().__init__()
        self.quantizer = quantizer

    def forward(self, latents: Tensor, mask: Tensor | None = None) -> Quantization:
        """Quantize latents.

        Args:
            latents: ``[batch, *grid, code_dim]``, floating.
            mask: ``[batch, *grid]`` bool, False at positions that count in no loss and no statistic; None: all count.

        Raises:
            ValueError: latents or a mask of another shape.
        """
        self._check(latents)
        found: Quantization = self.quantizer(latents.movedim(-1, 1), mask)
        return Quantization(found.quantized.movedim(1, -1), found.indices, found.losses)

    if TYPE_CHECKING:

        def __call__(self, latents: Tensor, mask: Tensor | None = None) -> Quantization: ...  # noqa: D102

    def encode(self, latents: Tensor) -> Tensor:
        """Return indices ``[batch, *grid]`` (of several codebooks ``[batch, *grid, num_codebooks]``)."""
        self._check(latents)
        return self.quantizer.encode(latents.movedim(-1, 1))

    def lookup(self, indices: Tensor) -> Tensor:
        """Return codewords ``[batch, *grid, code_dim]`` of indices."""
        return self.quantizer.lookup(indices).movedim(1, -1)

    def _check(self, latents: Tensor) -> None:
        dim = self.quantizer.code_dim
        if latents.ndim < 2 or latents.shape[-1] != dim:
            raise ValueError(
                f"latents have shape {tuple(latents.shape)}; expected [batch, *grid, {dim}], since code_dim={dim} "
                "(with channels in the second axis, call the quantizer itself)"
            )


keep_old_names(ChannelsLast, {"codes": "lookup"})
