"""The network of ``PixelPrior``: indices and known pixels to the integers of a mixture of logistics."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor, nn

from vqkit.exact import LOGIT, SIGNED, STREAM, ExactBlock, ExactConv, ExactEmbedding, ExactRescale, quantized_activation
from vqkit.exact.formats import Format
from vqkit.exact.logistic import LOG_SCALE, UNIT_BITS, Mixture
from vqkit.pixels.neighbors import offsets

_FIRST_SCALE = 8.0
"""Levels: the scale of the likelihood of a new network."""

_FIRST_SLOPE = 0.3
"""Of a channel's mean in an earlier channel's surprise, in a new network: 0.3 * 2 = 0.6 levels a level."""

SURPRISE = Format(SIGNED.bits, -127, 127)


class PixelNetwork(nn.Module):
    """Three parts: indices to features of each pixel, what is known of a pixel to a stream, the stream to mixtures.

    The first channels of the stream are the means, in 1/32 level above the reference: they are linear in what is known,
    plus what the blocks add. A channel after the first reads the *surprises* of those before it: level - mean.

    Args:
        codebook_size: K.
        num_codebooks: of the indices.
        downsampling: pixels of a position on each axis.
        channels: of the images.
        hidden_channels: of the stream.
        layers: blocks that read one pixel's stream.
        neighbours: known pixels that are read.
        features: numbers that the indices give each pixel.
        components: logistics in a mixture.
        cell: see ``pattern``.
        token_channels: of the stream on the grid.
        token_layers: blocks on the grid, of 3x3 positions.
    """

    def __init__(
        self,
        *,
        codebook_size: int,
        num_codebooks: int,
        downsampling: int,
        channels: int,
        hidden_channels: int,
        layers: int,
        neighbours: int,
        features: int,
        components: int,
        cell: int,
        token_channels: int,
        token_layers: int,
    ) -> None:
        super().__init__()
        self.codebook_size, self.downsampling, self.components = codebook_size, downsampling, components
        self.features = features
        self.embedding = ExactEmbedding(
            codebook_size * num_codebooks, token_channels, std=num_codebooks**-0.5, target=STREAM
        )
        self.grid_blocks = nn.ModuleList(ExactBlock(token_channels, axes=2) for _ in range(token_layers))
        self.grid_leave = ExactRescale(token_channels)
        self.shuffle = ExactConv(token_channels, downsampling**2 * features, axes=2, target=SIGNED)
        self.enter = nn.ModuleList(
            ExactConv(len(known) * (channels + 1) + channels + features, hidden_channels, axes=0, target=STREAM)
            for known in offsets(cell, neighbours)
        )
        for each in self.enter:
            nn.init.zeros_(each.weight[:channels])  # type: ignore[index]
        self.blocks = nn.ModuleList(ExactBlock(hidden_channels, axes=0) for _ in range(layers))
        self.leave = ExactRescale(hidden_channels)
        self.heads = nn.ModuleList(PixelHead(hidden_channels, number, components) for number in range(channels))

    def pixel_features(self, indices: Tensor) -> Tensor:
        """int8 features of each pixel, ``[batch, h f, w f, features]``, from indices ``[batch, h, w, codebooks]``.

        An index of -1 (a codebook that is not used) adds nothing.
        """
        batch, height, width, codebooks = indices.shape
        used = (indices >= 0).unsqueeze(-1)
        first = torch.arange(codebooks, device=indices.device) * self.codebook_size
        x = (self.embedding(indices.clamp_min(0) + first) * used).sum(dim=3)
        x = _stream(x, self.training).permute(0, 3, 1, 2)
        for block in self.grid_blocks:
            x = block(x)
        x = self.shuffle(self.grid_leave(x))
        f = self.downsampling
        x = x.view(batch, f, f, self.features, height, width).permute(0, 4, 1, 5, 2, 3)
        return x.reshape(batch, height * f, width * f, self.features)

    def stream(self, told: Tensor, group: int) -> Tensor:
        """The stream ``[rows, hidden_channels]`` of a group's pixels before the blocks, from all that they are told."""
        found: Tensor = self.enter[group](told)
        return found

    def body(self, stream: Tensor) -> tuple[Tensor, Tensor]:
        """The last stream, and the same as int8, both ``[rows, hidden_channels]``."""
        for block in self.blocks:
            stream = block(stream)
        return stream, self.leave(stream)


@final
class PixelHead(nn.Module):
    """The mixture of one channel, from the stream and from the surprises of the channels before it.

    Args:
        hidden_channels: of the stream.
        number: of this channel in the order; so many are before it.
        components: M.
    """

    def __init__(self, hidden_channels: int, number: int, components: int) -> None:
        super().__init__()
        self.number, self.components = number, components
        self.hidden = ExactConv(hidden_channels + number, hidden_channels, axes=0)
        self.means = ExactConv(hidden_channels + number, components, axes=0, target=STREAM, zero=True)
        self.shape = ExactConv(hidden_channels + number, 2 * components, axes=0, target=LOGIT, zero=True)
        with torch.no_grad():
            spread = (torch.arange(components) - (components - 1) / 2) * (_FIRST_SCALE / 2)
            self.means.bias.copy_(spread * 2.0 ** (UNIT_BITS - STREAM.bits))
            self.means.weight[:, hidden_channels:] = _FIRST_SLOPE
            self.shape.bias[:components] = math.log(_FIRST_SCALE)

    def forward(self, mean: Tensor, active: Tensor, surprises: list[Tensor]) -> Mixture:
        """Integers of the mixture.

        Args:
            mean: ``[rows]`` in 1/32 level, what the offsets are added to.
            active: int8 ``[rows, hidden_channels]``.
            surprises: int8 ``[rows]`` of each channel before.
        """
        told = torch.stack(surprises, dim=1) if surprises else active[:, :0]
        hidden = torch.cat([self.hidden(torch.cat([active, told], dim=1)), told], dim=1)
        shape = self.shape(hidden)
        log_scales, logits = shape[:, : self.components], shape[:, self.components :]
        log_scales = (
            quantized_activation(log_scales, LOG_SCALE)
            if self.training
            else log_scales.clamp(LOG_SCALE.low, LOG_SCALE.high)
        )
        return Mixture(mean.unsqueeze(1) + self.means(hidden), log_scales, logits)


def surprise(levels: Tensor, mean: Tensor, training: bool) -> Tensor:
    """Level - mean, rounded to levels, int8 ``[rows]``; the mean in 1/32 level."""
    exact = levels.to(mean.dtype) - mean * 2.0**-UNIT_BITS
    if training:
        return quantized_activation(exact, SURPRISE)
    return (exact + 0.5).floor_().clamp_(SURPRISE.low, SURPRISE.high)


def _stream(x: Tensor, training: bool) -> Tensor:
    return quantized_activation(x, STREAM) if training else x.clamp(STREAM.low, STREAM.high)
