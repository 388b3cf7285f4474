"""Base of autoregressive decoders: p(x | z) as a product over positions, each given the ones before it."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import ClassVar

import torch
from torch import Tensor

from vqkit.networks.base import Network

Draw = Callable[[Tensor, int], Tensor]
"""Values of a position, ``[batch, channels]``, of what the decoder emits for it, ``[batch, out_channels]``."""


class AutoregressiveNetwork(Network):
    """Base of decoders that also read the signal: what they emit for a position depends on earlier ones alone.

    ``p(x | z) = prod_t p(x_t | x_1 .. x_(t-1), z)``, as in PixelCNN and WaveNet (arXiv 1606.05328, 1609.03499). A model
    with such a decoder is trained by teacher forcing, all positions at once, and decodes by drawing a value at a time.
    Positions have the order of ``flatten``: rows, then columns.

    ``__init__`` takes ``signal_channels`` where it wants to know how many channels the signal has.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from vqkit.networks import AutoregressiveNetwork
        >>> class Last(AutoregressiveNetwork):  # each value is expected to be the one before it
        ...     def __init__(self) -> None:
        ...         super().__init__()
        ...         self.in_channels = self.out_channels = self.downsampling = 1
        ...
        ...     def forward(self, latents, signal):
        ...         return nn.functional.pad(signal, (1, -1)) + latents
        >>> Last().generate(torch.ones(1, 1, 3), lambda emitted, position: emitted)
        tensor([[[1., 2., 3.]]])
    """

    autoregressive: ClassVar[bool] = True
    signal_channels: int = 1
    """Channels of the signal that it reads."""

    @abstractmethod
    def forward(self, latents: Tensor, signal: Tensor) -> Tensor:
        """The parameters of each value's distribution, given the values before it.

        Args:
            latents: ``[batch, in_channels, *grid]``.
            signal: in a network's numbers, ``[batch, signal_channels, *(grid * downsampling)]``.

        Returns:
            ``[batch, out_channels, *(grid * downsampling)]``; what is at a position has seen earlier positions only.
        """

    def in_parts(self, latents: Tensor, signal: Tensor) -> Iterator[Tensor]:
        """What ``forward`` gives, in parts of the first axis that need less memory, one after the other."""
        yield self(latents, signal)

    @torch.no_grad()
    def generate(self, latents: Tensor, draw: Draw) -> Tensor:
        """Draw a signal value by value, in evaluation mode: here by a whole pass for each.

        Args:
            latents: ``[batch, in_channels, *grid]``.
            draw: gives the values of a position, in a network's numbers.

        Returns:
            In a network's numbers, ``[batch, signal_channels, *(grid * downsampling)]``.
        """
        factors = self.downsampling if isinstance(self.downsampling, tuple) else (self.downsampling,) * latents.ndim
        size = [length * step for length, step in zip(latents.shape[2:], factors, strict=False)]
        signal = latents.new_zeros(len(latents), self.signal_channels, *size)
        for position in range(math.prod(size)):
            emitted = self(latents, signal).flatten(2)[:, :, position]
            signal.view(*signal.shape[:2], -1)[:, :, position] = draw(emitted, position)
        return signal


def is_autoregressive(network: object) -> bool:
    """Return whether a decoder (an instance or a class) also reads the signal: ``autoregressive = True``.

    Example:
        >>> from vqkit.networks import SEANetDecoder, WaveNetDecoder, is_autoregressive
        >>> is_autoregressive(WaveNetDecoder), is_autoregressive(SEANetDecoder)
        (True, False)
    """
    return bool(getattr(network, "autoregressive", False))
