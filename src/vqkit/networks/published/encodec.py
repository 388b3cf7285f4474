"""Networks of EnCodec: SEANet with reflected padding and LSTM layers at the frames' rate, for sound.

Défossez et al. 2022 (arXiv 2210.13438), section 3.1. The layers and the names of their tensors are those of
``EncodecModel`` of transformers. To train a network of sound from nothing take ``"seanet"`` or ``"convnext"``, whose
tokens do not depend on batch or device.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import final

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from vqkit.checking import shown
from vqkit.errors import ConfigError
from vqkit.networks.base import Network

_PADDINGS = ("reflect", "constant", "replicate")


class _EnCodec(Network):
    """What the encoder and the decoder share.

    Args:
        in_channels: of the signal (of a decoder: of the codewords).
        out_channels: of the latents (of a decoder: parameters of the likelihood).
        downsampling: samples in a frame; the product of ``strides``.
        strides: in the order of the encoder.
        filters: channels at the signal's rate, doubled with each stride.
        residual_blocks: residual units at each rate.
        dilation_growth: of the dilations of these units.
        kernel: window of the first convolution.
        last_kernel: window of the last convolution.
        residual_kernel: window of residual units.
        compress: by how much the residual units are narrower inside.
        lstm_layers: at the frames' rate.
        causal: whether convolutions see nothing behind a frame.
        padding: ``"reflect"``, ``"constant"`` or ``"replicate"``.
        shortcut: whether a convolution stands beside each residual unit.
        axes: of the signal; only 1.

    Raises:
        ConfigError: a value out of range.
    """

    supported_axes = (1,)
    signal_moments = (0.0, 1.0)
    mirrored = (
        "strides", "filters", "residual_blocks", "dilation_growth", "kernel", "last_kernel", "residual_kernel",
        "compress", "lstm_layers", "causal", "padding", "shortcut",
    )  # fmt: skip

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        downsampling: int = 320,
        *,
        strides: Sequence[int] = (2, 4, 5, 8),
        filters: int = 32,
        residual_blocks: int = 1,
        dilation_growth: int = 2,
        kernel: int = 7,
        last_kernel: int = 7,
        residual_kernel: int = 3,
        compress: int = 2,
        lstm_layers: int = 2,
        causal: bool = True,
        padding: str = "reflect",
        shortcut: bool = True,
        axes: int = 1,
    ) -> None:
        super().__init__()
        del downsampling
        if axes not in self.supported_axes:
            raise ConfigError(f"axes={axes}: a {type(self).__name__} is for signals of 1 axis, such as sound")
        if not strides or min(strides) < 1 or padding not in _PADDINGS:
            raise ConfigError(
                f"strides={shown(list(strides))}, padding={padding!r}: give whole numbers from 1, and one of "
                f"{', '.join(_PADDINGS)}"
            )
        least = {"filters": filters, "kernel": kernel, "last_kernel": last_kernel, "residual_kernel": residual_kernel,
                 "compress": compress, "dilation_growth": dilation_growth}  # fmt: skip
        for name, number in least.items():
            if number < 1:
                raise ConfigError(f"{name}={number}: give 1 or more")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.downsampling = math.prod(strides)
        self._causal, self._padding = causal, padding
        self._strides, self._filters, self._blocks, self._growth = (
            list(strides),
            filters,
            residual_blocks,
            dilation_growth,
        )
        self._kernels, self._residual_kernel = (kernel, last_kernel), residual_kernel
        self._compress, self._lstm_layers, self._shortcut = compress, lstm_layers, shortcut
        self.layers = nn.ModuleList(self._make_layers())

    @abstractmethod
    def _make_layers(self) -> list[nn.Module]:
        """The layers, first to last."""

    def _convolution(self, inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1) -> nn.Module:
        return _Convolution(inputs, outputs, kernel, stride, dilation, causal=self._causal, padding=self._padding)

    def _units(self, width: int) -> list[nn.Module]:
        found: list[nn.Module] = []
        for number in range(self._blocks):
            inner, dilation = width // self._compress, self._growth**number
            narrow = self._convolution(width, inner, self._residual_kernel, dilation=dilation)
            block = [nn.ELU(), narrow, nn.ELU(), self._convolution(inner, width, 1)]
            found.append(_Unit(block, self._convolution(width, width, 1) if self._shortcut else nn.Identity()))
        return found

    def forward(self, x: Tensor) -> Tensor:
        """Latents of a signal, or a signal of latents."""
        for layer in self.layers:
            x = layer(x)
        return x


@final
class EnCodecEncoder(_EnCodec):
    """EnCodec encoder: ``[batch, in_channels, time]`` to ``[batch, out_channels, time / downsampling]``.

    Example:
        >>> import torch
        >>> from vqkit.networks import EnCodecEncoder
        >>> encoder = EnCodecEncoder(1, 8, strides=[2, 4], filters=4)
        >>> encoder(torch.randn(2, 1, 80)).shape
        torch.Size([2, 8, 10])
    """

    def _make_layers(self) -> list[nn.Module]:
        layers, width = [self._convolution(self.in_channels, self._filters, self._kernels[0])], self._filters
        for stride in self._strides:
            layers += [*self._units(width), nn.ELU(), self._convolution(width, 2 * width, 2 * stride, stride)]
            width *= 2
        last = self._convolution(width, self.out_channels, self._kernels[1])
        return [*layers, _LSTM(width, self._lstm_layers), nn.ELU(), last]


@final
class EnCodecDecoder(_EnCodec):
    """EnCodec decoder: ``[batch, in_channels, grid]`` to ``[batch, out_channels, grid * downsampling]``.

    Example:
        >>> import torch
        >>> from vqkit.networks import EnCodecDecoder
        >>> decoder = EnCodecDecoder(8, 1, strides=[2, 4], filters=4)
        >>> decoder(torch.randn(2, 8, 10)).shape
        torch.Size([2, 1, 80])
    """

    def _make_layers(self) -> list[nn.Module]:
        width = self._filters * 2 ** len(self._strides)
        layers = [self._convolution(self.in_channels, width, self._kernels[0]), _LSTM(width, self._lstm_layers)]
        for stride in reversed(self._strides):
            layers += [nn.ELU(), _Transposed(width, width // 2, stride, causal=self._causal)]
            width //= 2
            layers += self._units(width)
        return [*layers, nn.ELU(), self._convolution(width, self.out_channels, self._kernels[1])]


class _Convolution(nn.Module):
    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int, dilation: int, *, causal: bool, padding: str
    ) -> None:
        super().__init__()
        self.conv = weight_norm(nn.Conv1d(inputs, outputs, kernel, stride, dilation=dilation))
        self._padding, total = padding, (kernel - 1) * dilation + 1 - stride
        self._before = total if causal else total - total // 2
        self._after = total - self._before

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.conv(_padded(x, self._before, self._after, self._padding))
        return found


def _padded(x: Tensor, before: int, after: int, mode: str) -> Tensor:
    """A signal padded on both sides; one too short to be reflected is followed by zeros first."""
    more = max(0, max(before, after) - x.shape[-1] + 1) if mode == "reflect" else 0
    padded = functional.pad(functional.pad(x, (0, more)) if more else x, (before, after), mode=mode)
    return padded[..., : padded.shape[-1] - more]


class _Transposed(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, *, causal: bool) -> None:
        super().__init__()
        self.conv = weight_norm(nn.ConvTranspose1d(inputs, outputs, 2 * stride, stride))
        self._after = stride if causal else stride // 2
        self._before = stride - self._after

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.conv(x)
        return found[..., self._before : found.shape[-1] - self._after]


class _LSTM(nn.Module):
    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(width, width, layers)

    def forward(self, x: Tensor) -> Tensor:
        steps = x.permute(2, 0, 1)
        found: Tensor = self.lstm(steps)[0] + steps
        return found.permute(1, 2, 0)


class _Unit(nn.Module):
    def __init__(self, block: list[nn.Module], shortcut: nn.Module) -> None:
        super().__init__()
        self.block, self.shortcut = nn.ModuleList(block), shortcut

    def forward(self, x: Tensor) -> Tensor:
        found = x
        for layer in self.block:
            found = layer(found)
        beside: Tensor = self.shortcut(x)
        return beside + found
