"""SEANet: an encoder of strided convolutions and dilated residual units, and its mirror, for sound.

Tagliasacchi et al. 2020 (arXiv 2009.02095) and SoundStream (arXiv 2107.03312), figure 3; EnCodec (arXiv 2210.13438) and
DAC (arXiv 2306.06546) have the same layers with other activations and widths. ``hidden_channels=512`` with strides
2, 4, 5, 8 are the widths of EnCodec; its LSTM is left out.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, final

from vqkit.errors import ConfigError
from vqkit.networks.sound import layers as parts
from vqkit.networks.sound.layers import Convolution, Layer, ResidualUnit, Upsampling, make_activation, reach_of
from vqkit.networks.sound.network import LayeredNetwork
from vqkit.networks.sound.strides import check_strides, choose_strides, stride_widths


class SEANet(LayeredNetwork):
    """What the encoder and the decoder share.

    Args:
        in_channels: of the signal (of a decoder: of the latents).
        out_channels: of the latents (of a decoder: parameters of the likelihood of a sample).
        downsampling: samples in a frame, any whole number; ``strides`` say it where they are given.
        strides: whole numbers, in the order of the encoder; None: ``choose_strides(downsampling)``.
        hidden_channels: width at the frames' rate; halved with each stride towards the signal, down to 16.
        widths: channels after each stride, from the signal inwards, in place of these.
        residual_blocks: residual units at each rate, with dilations 1, 3, 9 ...
        kernel: window of the first and the last convolution, odd.
        residual_kernel: window of residual units, odd.
        causal: whether nothing depends on later frames, so that a stream needs no look-ahead.
        activation: ``"elu"`` (EnCodec) or ``"snake"`` (DAC).
        weight_norm: whether weights are a direction and a length (arXiv 1602.07868).
        exact: see ``SequenceNetwork``; False computes in float32 throughout.
        axes: of the signal; only 1.

    Raises:
        ConfigError: a value out of range.
    """

    mirrored: ClassVar[tuple[str, ...]] = (
        "strides",
        "hidden_channels",
        "widths",
        "residual_blocks",
        "kernel",
        "residual_kernel",
        "causal",
        "activation",
        "weight_norm",
        "exact",
    )

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        downsampling: int = 320,
        *,
        strides: Sequence[int] | None = None,
        hidden_channels: int = 128,
        widths: Sequence[int] | None = None,
        residual_blocks: int = 2,
        kernel: int = 7,
        residual_kernel: int = 3,
        causal: bool = True,
        activation: str = "elu",
        weight_norm: bool = True,
        exact: bool = True,
        axes: int = 1,
    ) -> None:
        super().__init__()
        if axes not in self.supported_axes:
            raise ConfigError(f"axes={axes}: a {type(self).__name__} is for signals of 1 axis, such as sound")
        least = {"in_channels": 1, "out_channels": 1, "hidden_channels": 2, "residual_blocks": 0}
        for name, number in zip(least, (in_channels, out_channels, hidden_channels, residual_blocks), strict=True):
            if number < least[name]:
                raise ConfigError(f"{name}={number}: give {least[name]} or more")
        for name, number in (("kernel", kernel), ("residual_kernel", residual_kernel)):
            if number < 1 or number % 2 == 0:
                raise ConfigError(f"{name}={number}: give an odd number")
        self.in_channels, self.out_channels, self.causal, self.exact = in_channels, out_channels, causal, exact
        self._strides = choose_strides(downsampling) if strides is None else check_strides(strides)
        self.downsampling = math.prod(self._strides)
        self._widths = stride_widths(len(self._strides), hidden_channels, widths)
        self._units, self._kernel, self._residual_kernel = residual_blocks, kernel, residual_kernel
        self._activation, self._weight_norm = activation, weight_norm
        self.layers = parts.Sequence(*self._make_layers())
        self.halo = reach_of(self.layers)

    @abstractmethod
    def _make_layers(self) -> list[Layer]:
        """The layers, first to last."""

    def _convolution(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> Convolution:
        return Convolution(inputs, outputs, kernel, stride=stride, causal=self.causal, weight_norm=self._weight_norm)

    def _upsampling(self, inputs: int, outputs: int, stride: int) -> Upsampling:
        return Upsampling(inputs, outputs, stride, causal=self.causal, weight_norm=self._weight_norm)

    def _activate(self, channels: int) -> Layer:
        return make_activation(self._activation, channels)

    def _residual_units(self, channels: int) -> list[Layer]:
        kernel, name = self._residual_kernel, self._activation
        ways = {"causal": self.causal, "weight_norm": self._weight_norm}
        return [ResidualUnit(channels, kernel, 3**number, name, **ways) for number in range(self._units)]


@final
class SEANetEncoder(SEANet):
    """SEANet encoder for sound of 1 axis: strided convolutions with dilated residual units before each, to latents.

    ``[batch, in_channels, time]`` to ``[batch, out_channels, time / downsampling]``.

    Example:
        >>> import torch
        >>> from vqkit.networks import SEANetEncoder
        >>> encoder = SEANetEncoder(1, 16, strides=[2, 4, 5, 8], hidden_channels=32)
        >>> encoder(torch.randn(2, 1, 3200)).shape, encoder.downsampling
        (torch.Size([2, 16, 10]), 320)
    """

    @property
    def read(self) -> int:
        """See ``LayeredNetwork.read``."""
        return self.downsampling

    def _make_layers(self) -> list[Layer]:
        width = self._widths[0]
        layers: list[Layer] = [self._convolution(self.in_channels, width, self._kernel)]
        for stride, wider in zip(self._strides, self._widths[1:], strict=True):
            layers += [*self._residual_units(width), self._activate(width)]
            layers.append(self._convolution(width, wider, 2 * stride, stride))
            width = wider
        return [*layers, self._activate(width), self._convolution(width, self.out_channels, self._kernel)]


@final
class SEANetDecoder(SEANet):
    """SEANet decoder for sound of 1 axis, the mirror of the encoder: transposed convolutions and residual units.

    ``[batch, in_channels, grid]`` to ``[batch, out_channels, grid * downsampling]``.

    Example:
        >>> import torch
        >>> from vqkit.networks import SEANetDecoder
        >>> decoder = SEANetDecoder(16, 1, strides=[2, 4, 5, 8], hidden_channels=32)
        >>> decoder(torch.randn(2, 16, 10)).shape
        torch.Size([2, 1, 3200])
    """

    @property
    def read(self) -> int:
        """See ``LayeredNetwork.read``."""
        return 1

    def _make_layers(self) -> list[Layer]:
        width = self._widths[-1]
        layers: list[Layer] = [self._convolution(self.in_channels, width, self._kernel)]
        for stride, narrower in zip(reversed(self._strides), reversed(self._widths[:-1]), strict=True):
            layers += [self._activate(width), self._upsampling(width, narrower, stride)]
            layers += self._residual_units(narrower)
            width = narrower
        return [*layers, self._activate(width), self._convolution(width, self.out_channels, self._kernel)]
