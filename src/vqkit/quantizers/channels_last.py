"""Channel-last layout around a quantizer: vectors in the last axis, as sequence models have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from torch import Tensor, nn

from vqkit.deprecation import keep_old_names
from vqkit.quantizers.base import Quantization, Quantizer
from vqkit.quantizers.layout import check_last


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
        quantizer.channels_first = True
        self.quantizer = quantizer

    def forward(self, latents: Tensor, mask: Tensor | None = None, *, update: bool = True) -> Quantization:
        """Quantize latents.

        Args:
            latents: ``[batch, *grid, code_dim]``, floating.
            mask: ``[batch, *grid]`` bool, False at positions that count in no loss and no statistic; None: all count.
            update: False: codes and their statistics stay as they are in this call, in training mode too.

        Raises:
            ValueError: latents or a mask of another shape.
        """
        return self.quantizer(latents, mask, channel_last=True, update=update)

    if TYPE_CHECKING:

        def __call__(self, latents: Tensor, mask: Tensor | None = None, *, update: bool = True) -> Quantization: ...  # noqa: D102

    def encode(self, latents: Tensor) -> Tensor:
        """Return indices ``[batch, *grid]`` (of several codebooks ``[batch, *grid, num_codebooks]``)."""
        check_last(latents, self.quantizer.code_dim)
        return self.quantizer.encode(latents.movedim(-1, 1))

    def lookup(self, indices: Tensor) -> Tensor:
        """Return codewords ``[batch, *grid, code_dim]`` of indices."""
        return self.quantizer.lookup(indices).movedim(1, -1)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """See ``Quantizer.requires_grad_``: False also freezes what is learned without a gradient."""
        self.quantizer.requires_grad_(requires_grad)
        return self

    def freeze(self) -> Self:
        """See ``Quantizer.freeze``."""
        return self.requires_grad_(False)

    def unfreeze(self) -> Self:
        """See ``Quantizer.unfreeze``."""
        return self.requires_grad_(True)


keep_old_names(ChannelsLast, {"codes": "lookup"})
