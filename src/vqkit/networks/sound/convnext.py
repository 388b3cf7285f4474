"""ConvNeXt: an encoder and a decoder for sound whose layers work at the rate of frames, not of samples.

Liu et al. 2022 (arXiv 2201.03545), over time as in Vocos (Siuzdak 2023, arXiv 2306.00814): the short-time Fourier
transform and one strided convolution take samples to the features of frames, blocks of depthwise convolutions follow,
and the inverse transform of magnitudes and phases gives the samples back. Nearly all multiplications are matrix
products of a frame, so that a training step costs a small part of that of a SEANet with as many parameters.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from vqkit.checking import shown
from vqkit.errors import ConfigError
from vqkit.networks.sound import layers as parts
from vqkit.networks.sound.blocks import Block, RMSNorm
from vqkit.networks.sound.fixed_point import in_range, on_grid
from vqkit.networks.sound.lapped import LappedAnalysis, LappedSynthesis
from vqkit.networks.sound.layers import Convolution, Layer, Upsampling, reach_of
from vqkit.networks.sound.network import LayeredNetwork
from vqkit.networks.sound.orthogonal import make_orthogonal
from vqkit.networks.sound.passes import Pass
from vqkit.networks.sound.spectral import LogSpectrum, OverlapAdd
from vqkit.networks.sound.strides import check_strides

_MOST_CHANNELS = 1 << 11
_LITTLE = 0.1
"""Of what blocks add at first, where stages are not normalized."""
_SOFT = -0.5
"""Bias of the magnitudes beside a lapped transform: exp(4 * -0.5 - 2), they begin 35 dB below the signal."""


@final
class Analysis(Layer):
    """Features of the frames of a signal: of its samples by a strided convolution, plus of its log spectrum.

    Args:
        inputs: channels of the signal.
        outputs: features.
        stride: samples of a frame.
        causal: see ``Convolution``.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, *, causal: bool) -> None:
        super().__init__()
        ways = {"causal": causal, "weight_norm": False}
        self.samples = Convolution(inputs, outputs, 2 * stride, stride=stride, **ways)
        spectrum = LogSpectrum(inputs, stride, causal=causal)
        self.spectrum = parts.Sequence(spectrum, Convolution(spectrum.outputs, outputs, 1, **ways))

    def forward(self, x: Tensor, way: Pass) -> Tensor:
        """``[batch, inputs, time]`` to ``[batch, outputs, time / stride]``."""
        y: Tensor = self.samples(x, way) + self.spectrum(x, way)
        return on_grid(y) if way.exact else y

    def spans(self) -> list[tuple[int, int, float]]:
        """See ``Layer.spans``: of the wider of both, the spectrum."""
        return self.spectrum.spans()

    def evaluate(self, x: Tensor, way: Pass) -> Tensor:
        """See ``Layer.evaluate``."""
        return in_range(self.samples.evaluate(x, way).add_(self.spectrum.evaluate(x, way)))


class ConvNeXt(LayeredNetwork):
    """What the encoder and the decoder share.

    Args:
        in_channels: of the signal (of a decoder: of the latents).
        out_channels: of the latents (of a decoder: parameters of the likelihood of a sample).
        downsampling: samples in a frame, any whole number; ``strides`` say it where they are given.
        strides: whole numbers, in the order of the encoder: the first cuts the signal, the others come between blocks;
            None: see ``split_downsampling``.
        hidden_channels: width at every rate.
        residual_blocks: blocks at each rate.
        kernel: of the depthwise convolutions, odd.
        expansion: channels inside a block, as a multiple of ``hidden_channels``.
        causal: whether nothing depends on later frames, so that a stream needs no look-ahead.
        activation: ``"elu"`` or ``"snake"``.
        lapped: whether a lapped transform goes beside the blocks, so that both begin as a transform codec
            (``vqkit.networks.sound.lapped``): far better sound after a training of an hour or less.
        stage_norms: whether features are normalized between the stages and before the last layer; False passes them on
            and begins as a rotation (``vqkit.networks.sound.orthogonal``): without a lapped transform it learns faster.
        exact: see ``SequenceNetwork``; False computes in float32 throughout.
        axes: of the signal; only 1.

    Raises:
        ConfigError: a value out of range.
    """

    block_samples = 1 << 16
    mirrored: ClassVar[tuple[str, ...]] = (
        "strides",
        "hidden_channels",
        "residual_blocks",
        "kernel",
        "expansion",
        "causal",
        "activation",
        "lapped",
        "stage_norms",
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
        residual_blocks: int = 2,
        kernel: int = 7,
        expansion: int = 4,
        causal: bool = True,
        activation: str = "elu",
        lapped: bool = False,
        stage_norms: bool = True,
        exact: bool = True,
        axes: int = 1,
    ) -> None:
        super().__init__()
        if axes not in self.supported_axes:
            raise ConfigError(f"axes={axes}: a {type(self).__name__} is for signals of 1 axis, such as sound")
        numbers = {
            "in_channels": (in_channels, 1),
            "out_channels": (out_channels, 1),
            "hidden_channels": (hidden_channels, 1),
            "residual_blocks": (residual_blocks, 0),
            "expansion": (expansion, 1),
        }
        for name, (number, least) in numbers.items():
            if number < least:
                raise ConfigError(f"{name}={number}: give {least} or more")
        if hidden_channels > _MOST_CHANNELS:
            raise ConfigError(f"hidden_channels={hidden_channels}: give {_MOST_CHANNELS} or fewer")
        if kernel < 1 or kernel % 2 == 0:
            raise ConfigError(f"kernel={shown(kernel)}: give an odd number")
        self.in_channels, self.out_channels, self.causal, self.exact = in_channels, out_channels, causal, exact
        self._strides = split_downsampling(downsampling) if strides is None else check_strides(strides) or [1]
        self.downsampling = math.prod(self._strides)
        self._width, self._blocks = hidden_channels, residual_blocks
        self._kernel, self._expansion, self._activation, self._lapped = kernel, expansion, activation, lapped
        self._stage_norms = stage_norms
        self.layers = parts.Sequence(*self._make_layers())
        if not stage_norms:
            for layer in self.layers.modules():
                if isinstance(layer, Upsampling) or (isinstance(layer, Convolution) and layer.weight.shape[2] > 1):
                    make_orthogonal(layer)
        self.halo = reach_of(self.layers)

    @abstractmethod
    def _make_layers(self) -> list[Layer]:
        """The layers, first to last."""

    def _make_blocks(self) -> list[Layer]:
        count = len(self._strides) * self._blocks
        gain = (1.0 if self._stage_norms else _LITTLE) / math.sqrt(max(1, count))
        return [
            Block(self._width, self._kernel, self._expansion, self._activation, causal=self.causal, gain=gain)
            for _ in range(self._blocks)
        ]

    def _norm(self) -> list[Layer]:
        return [RMSNorm(self._width)] if self._stage_norms else []

    def _convolution(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> Convolution:
        return Convolution(inputs, outputs, kernel, stride=stride, causal=self.causal, weight_norm=False)


@final
class ConvNeXtEncoder(ConvNeXt):
    """ConvNeXt encoder for sound of 1 axis: frames of samples to features, blocks at the rate of frames, to latents.

    ``[batch, in_channels, time]`` to ``[batch, out_channels, time / downsampling]``.

    Example:
        >>> import torch
        >>> from vqkit.networks import ConvNeXtEncoder
        >>> encoder = ConvNeXtEncoder(1, 16, strides=[80, 4], hidden_channels=32)
        >>> encoder(torch.randn(2, 1, 3200)).shape, encoder.downsampling
        (torch.Size([2, 16, 10]), 320)
    """

    @property
    def read(self) -> int:
        """See ``LayeredNetwork.read``."""
        return self.downsampling

    def _make_layers(self) -> list[Layer]:
        width, first = self._width, self._strides[0]
        layers: list[Layer] = [Analysis(self.in_channels, width, first, causal=self.causal), *self._make_blocks()]
        for stride in self._strides[1:]:
            layers += [*self._norm(), self._convolution(width, width, 2 * stride, stride), *self._make_blocks()]
        last = Convolution(
            width, self.out_channels, 1, causal=self.causal, weight_norm=False, gain=0.1 if self._lapped else 1.0
        )
        layers += [*self._norm(), last]
        if not self._lapped:
            return layers
        beside = parts.Sequence(*layers)
        return [LappedAnalysis(self.in_channels, self.out_channels, self.downsampling, beside, causal=self.causal)]


@final
class ConvNeXtDecoder(ConvNeXt):
    """ConvNeXt decoder for sound of 1 axis, the mirror of the encoder: blocks at the rate of frames, then overlap-add.

    ``[batch, in_channels, grid]`` to ``[batch, out_channels, grid * downsampling]``.

    Example:
        >>> import torch
        >>> from vqkit.networks import ConvNeXtDecoder
        >>> decoder = ConvNeXtDecoder(16, 1, strides=[80, 4], hidden_channels=32)
        >>> decoder(torch.randn(2, 16, 10)).shape
        torch.Size([2, 1, 3200])
    """

    @property
    def training_defaults(self) -> Mapping[str, Any]:  # type: ignore[override]
        """See ``Network``: beside a lapped transform the waveform is learned, without one only magnitudes are."""
        if self._lapped:
            objective = "compressed(phase=0.1) + 2*envelope"
            return {"objective": objective, "optimizer": "muon", "batch_size": 16, "learning_rate": 1e-3}
        return {"objective": "mel + 0.5*stft", "batch_size": 8, "learning_rate": 7e-4}

    @property
    def read(self) -> int:
        """See ``LayeredNetwork.read``."""
        return 1

    def _make_layers(self) -> list[Layer]:
        width = self._width
        ways = {"causal": self.causal, "weight_norm": False}
        frames: list[Layer] = [self._convolution(self.in_channels, width, self._kernel), *self._make_blocks()]
        layers: list[Layer] = []
        for stride in reversed(self._strides[1:]):
            layers += [*self._norm(), self._upsampling(width, stride), *self._make_blocks()]
        synthesis = OverlapAdd(self.out_channels, self._strides[0], causal=self.causal)
        last = Convolution(width, synthesis.inputs, 1, gain=0.25, **ways)
        layers += [*self._norm(), last, synthesis]
        if not self._lapped:
            return [*frames, *layers]
        with torch.no_grad():
            last.bias.view(self.out_channels, 2, -1)[:, 0] = _SOFT
        gain = parts.Sequence(RMSNorm(width), Convolution(width, 1, 1, gain=0.1, **ways))
        return [
            LappedSynthesis(
                self.in_channels,
                self.out_channels,
                self.downsampling,
                frames=parts.Sequence(*frames),
                gain=gain,
                beside=parts.Sequence(*layers),
                causal=self.causal,
            )
        ]

    def _upsampling(self, outputs: int, stride: int) -> Upsampling:
        return Upsampling(self._width, outputs, stride, causal=self.causal, weight_norm=False)


def split_downsampling(downsampling: int) -> list[int]:
    """Two strides of a downsampling: the second is its smallest factor of 2 to 8 (blocks are at both rates), else one.

    Example:
        >>> from vqkit.networks.sound.convnext import split_downsampling
        >>> split_downsampling(320), split_downsampling(49), split_downsampling(11)
        ([160, 2], [7, 7], [11])
    """
    if not isinstance(downsampling, int) or isinstance(downsampling, bool) or downsampling < 1:
        raise ConfigError(f"downsampling={downsampling}: give a whole number of 1 or more, one axis has one")
    second = next((number for number in range(2, 9) if downsampling % number == 0 and downsampling > number), 1)
    return [downsampling // second, second] if second > 1 else [downsampling]
