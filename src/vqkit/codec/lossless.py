"""Pixels to bytes and back under a pixel prior, given the indices: bit for bit.

The steps are coded in the prior's order (group, channel, coarse part, fine part), of all images of a batch together, in
one stream. The payload holds no sizes, no indices and no checksum: those are the container's.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from vqkit.coding import Decoder, Encoder, digest
from vqkit.errors import ConfigError, DataError
from vqkit.exact.logistic import PART, coarse_frequencies, fine_frequencies
from vqkit.pixels import PixelPrior
from vqkit.pretrained.folder import content_hash


@torch.no_grad()
def encode_pixels(model: PixelPrior, indices: Tensor, pixels: Tensor) -> bytes:
    """The residual: what indices do not say of pixels.

    Args:
        model: the pixel prior.
        indices: int64 ``[batch, h, w]``, or ``[batch, h, w, codebooks]``: any, though with the tokenizer's own the
            bytes are fewest.
        pixels: uint8 ``[batch, channels, H, W]``.

    Raises:
        DataError: pixels or indices of another dtype, shape or range.

    Example:
        >>> import torch
        >>> from vqkit import PixelPrior
        >>> from vqkit.codec import decode_pixels, encode_pixels
        >>> prior = PixelPrior(16, 4, channels=1, hidden_channels=16, token_channels=16).eval()
        >>> indices = torch.zeros(1, 2, 2, dtype=torch.int64)
        >>> pixels = torch.arange(64, dtype=torch.uint8).view(1, 1, 8, 8)
        >>> torch.equal(decode_pixels(prior, indices, encode_pixels(prior, indices, pixels), (8, 8), 1), pixels)
        True
    """
    if pixels.dtype != torch.uint8 or pixels.ndim != 4:
        raise DataError(
            f"pixels are {pixels.dtype} of shape {list(pixels.shape)}; lossless files hold torch.uint8 "
            "[batch, channels, height, width]: round floats yourself, so that you know what is kept"
        )
    state = model.incremental_state(indices, (int(pixels.shape[2]), int(pixels.shape[3])), pixels)
    encoder = Encoder()
    for symbols, table in state.symbols():
        encoder.encode(symbols.cpu().numpy(), table.cpu().numpy())
    return encoder.bytes()


@torch.no_grad()
def decode_pixels(model: PixelPrior, indices: Tensor, payload: bytes, size: tuple[int, int], channels: int) -> Tensor:
    """uint8 ``[batch, channels, H, W]``, the very pixels that were encoded.

    Args:
        model: the pixel prior that encoded them.
        indices: those that they were encoded with.
        payload: of ``encode_pixels``.
        size: (H, W).
        channels: of the images; the model's.

    Raises:
        ConfigError: another number of channels than the model's.
        DataError: indices of another dtype, shape or range.
        BitstreamError: the payload is damaged, or of another model, other indices or another size.

    Example:
        >>> import torch
        >>> from vqkit import PixelPrior
        >>> from vqkit.codec import decode_pixels, encode_pixels
        >>> prior = PixelPrior(16, 4, channels=1, hidden_channels=16, token_channels=16).eval()
        >>> indices, pixels = torch.zeros(1, 2, 2, dtype=torch.int64), torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
        >>> decode_pixels(prior, indices, encode_pixels(prior, indices, pixels), (8, 8), 1).shape
        torch.Size([1, 1, 8, 8])
    """
    if channels != model.channels:
        raise ConfigError(f"channels={channels}: this model restores images of {model.channels}; give its own number")
    state = model.incremental_state(indices, size)
    decoder = Decoder(payload)

    def decoded(table: Tensor) -> Tensor:
        return torch.from_numpy(decoder.decode(table.cpu().numpy())).to(table.device, torch.int64)

    for group in range(model.cell**2):
        if state.begin_group(group):
            for channel in model.order:
                mixture = state.mixture(channel)
                coarse = decoded(coarse_frequencies(mixture))
                level = coarse * PART + decoded(fine_frequencies(mixture, coarse))
                state.commit(channel, level.view(len(state.features), -1))
    decoder.finish()
    return state.canvas.pixels()


@final
class PixelCoder:
    """A pixel prior as what ``Compressor`` and ``Decompressor`` code pixels with (a ``PixelModel``)."""

    def __init__(self, prior: PixelPrior) -> None:
        self.prior = prior.eval()

    @property
    def digest(self) -> bytes:
        """See ``PixelModel.digest``; the network's integers are derived anew, so that they are of this content."""
        return digest(content_hash(self.prior.eval()))

    def encode(self, indices: Tensor, images: Tensor) -> bytes:
        """See ``PixelModel.encode``."""
        return encode_pixels(self.prior, self._own(indices), images.to(self.prior.device))

    def decode(self, indices: Tensor, data: bytes, size: tuple[int, ...], channels: int) -> Tensor:
        """See ``PixelModel.decode``."""
        height, width = size
        return decode_pixels(self.prior, self._own(indices), data, (height, width), channels).cpu()

    def _own(self, indices: Tensor) -> Tensor:
        """Indices ``[n, *grid, C]`` as the prior reads them: codebooks that a file leaves out are refused."""
        own = indices.to(self.prior.device)
        return own[..., 0] if self.prior.num_codebooks == 1 else own
