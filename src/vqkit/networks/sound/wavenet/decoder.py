"""WaveNet: a decoder of dilated causal convolutions that predicts each sample from those before it and the latents.

Van den Oord et al. 2016 (arXiv 1609.03499); as the decoder of a VQ-VAE: arXiv 1711.00937, section 4.4. Latents
condition every layer ("local conditioning", section 2.5 there), repeated to the rate of samples.

In evaluation mode it computes in fixed point (``vqkit.networks.sound.fixed_point``), so that what it emits for a
sample is the same in any batch, in parts, and one sample at a time, to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from vqkit.errors import ConfigError
from vqkit.networks.autoregressive import AutoregressiveNetwork, Draw
from vqkit.networks.sound.fixed_point import on_grid
from vqkit.networks.sound.layers import Convolution
from vqkit.networks.sound.passes import Pass
from vqkit.networks.sound.wavenet.layers import FEATURES, Gate, Residual, Stack, features
from vqkit.networks.sound.wavenet.sampling import Sampler

_LONGEST_CYCLE = 16
_BLOCK = 1 << 15
"""Samples of all items that are computed at a time by ``in_parts``."""


@final
class WaveNetDecoder(AutoregressiveNetwork):
    """WaveNet decoder for sound of 1 axis: gated dilated causal convolutions over earlier samples, under latents.

    ``[batch, in_channels, grid]`` and the signal to ``[batch, out_channels, grid * downsampling]``.

    Args:
        in_channels: of the latents.
        out_channels: parameters of the likelihood of a sample.
        downsampling: samples in a frame, any whole number.
        signal_channels: of the signal.
        hidden_channels: of the layers after the sum over all layers (skip connections), and of those that read latents.
        residual_channels: of each dilated layer.
        residual_blocks: cycles of dilated layers.
        layers: in a cycle, with dilations 1, 2, 4 ...: it sees ``residual_blocks * (2 ** layers - 1) + 1`` samples.
        axes: of the signal; only 1.

    Raises:
        ConfigError: a value out of range.

    Example:
        >>> import torch
        >>> from vqkit.networks import WaveNetDecoder
        >>> decoder = WaveNetDecoder(16, 256, 64, hidden_channels=32, residual_channels=16)
        >>> decoder(torch.randn(2, 16, 5), torch.randn(2, 1, 320)).shape, decoder.receptive_field
        (torch.Size([2, 256, 320]), 511)
    """

    supported_axes: ClassVar[tuple[int, ...]] = (1,)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        downsampling: int = 64,
        *,
        signal_channels: int = 1,
        hidden_channels: int = 128,
        residual_channels: int = 32,
        residual_blocks: int = 2,
        layers: int = 8,
        axes: int = 1,
    ) -> None:
        super().__init__()
        _check(axes, in_channels, out_channels, downsampling, signal_channels)
        least = {"hidden_channels": hidden_channels, "residual_channels": residual_channels}
        for name, number in {**least, "residual_blocks": residual_blocks, "layers": layers}.items():
            if number < 1:
                raise ConfigError(f"{name}={number}: give 1 or more")
        if layers > _LONGEST_CYCLE:
            raise ConfigError(f"layers={layers}: dilations double with each; give {_LONGEST_CYCLE} or fewer")
        self.in_channels, self.out_channels, self.downsampling = in_channels, out_channels, downsampling
        self.signal_channels = signal_channels
        self.dilations = [2**number for number in range(layers)] * residual_blocks
        self.receptive_field = sum(self.dilations) + 1
        count, width = len(self.dilations), residual_channels
        self.first = _convolution(FEATURES * signal_channels, width, 1)
        self.condition = Stack(
            _convolution(in_channels, hidden_channels, 3), _convolution(hidden_channels, hidden_channels, 3),
            _convolution(hidden_channels, 2 * width * count, 1),
        )  # fmt: skip
        self.gates = nn.ModuleList(Gate(width, dilation) for dilation in self.dilations)
        self.residual = nn.ModuleList(Residual(width) for _ in self.dilations[1:])
        self.skip = _convolution(width * count, hidden_channels, 1)
        self.head = Stack(
            _convolution(hidden_channels, hidden_channels, 1), _convolution(hidden_channels, out_channels, 1)
        )

    def forward(self, latents: Tensor, signal: Tensor) -> Tensor:
        """See ``AutoregressiveNetwork.forward``."""
        way = Pass(self._exact(latents))
        return self._run(_before(signal), self._conditions(latents, way), way).to(latents.dtype)

    def in_parts(self, latents: Tensor, signal: Tensor) -> Iterator[Tensor]:
        """See ``AutoregressiveNetwork.in_parts``: some frames at a time, with what layers have kept of those before."""
        way, step = Pass(self._exact(latents)), self.downsampling
        conditions, signal = self._conditions(latents, way), _before(signal)
        frames, contexts = max(1, _BLOCK // (step * len(latents))), list[Tensor]()
        for start in range(0, latents.shape[2], frames):
            some, samples = slice(start, start + frames), slice(start * step, (start + frames) * step)
            yield self._run(signal[:, :, samples], conditions[:, :, some], way, contexts).to(latents.dtype)

    @torch.no_grad()
    def generate(self, latents: Tensor, draw: Draw) -> Tensor:
        """See ``AutoregressiveNetwork.generate``: a sample is one step through the layers, which keep what they need.

        It computes on the CPU, to the last bit what ``forward`` gives in evaluation mode for the samples drawn.
        """
        conditions = self._conditions(latents, Pass(self._exact(latents)))
        sampler = Sampler(self.first, self.gates, self.residual, self.skip, self.head, on_grid(conditions.cpu()))
        return sampler.run(self.downsampling, draw, latents.dtype).to(latents.device)

    def _exact(self, latents: Tensor) -> bool:
        return not self.training and latents.device.type != "mps"  # which has no float64

    def _conditions(self, latents: Tensor, way: Pass) -> Tensor:
        """What the latents add to each layer's gates, ``[batch, layers * 2 * residual_channels, grid]``."""
        found: Tensor = self.condition(on_grid(latents) if way.exact else latents, way)
        return found

    def _run(self, before: Tensor, conditions: Tensor, way: Pass, contexts: list[Tensor] | None = None) -> Tensor:
        """What is emitted for samples, given the one before each.

        Args:
            before: ``[batch, signal_channels, time]``.
            conditions: ``[batch, layers * 2 * residual_channels, frames]`` of the same time.
            way: how to compute.
            contexts: of each layer what it has read before; it is changed. None: the samples are the first ones.
        """
        x = self.first(features(before, way.exact), way)
        kept = [] if contexts is None else contexts
        if not kept:
            kept += [x.new_zeros(*x.shape[:2], dilation) for dilation in self.dilations]
        skipped: Tensor | None = None
        weights = self.skip._weight(way).split(x.shape[1], dim=1)
        for number, gate in enumerate(self.gates):
            joined = torch.cat([kept[number], x], dim=2)
            kept[number] = joined[:, :, -self.dilations[number] :]
            condition = conditions.chunk(len(self.dilations), dim=1)[number]
            active = gate(joined, condition.repeat_interleave(self.downsampling, dim=2), way)
            told = functional.conv1d(active, weights[number])
            skipped = told if skipped is None else skipped + told
            if number < len(self.residual):  # nothing reads the last one's
                x = self.residual[number](x, active, way)
        assert skipped is not None, "there is one layer or more"
        emitted: Tensor = self.head(self.skip._biased(skipped, way).relu(), way)
        return emitted


def _before(signal: Tensor) -> Tensor:
    """The sample before each; before the first, 0."""
    return functional.pad(signal, (1, -1))


def _convolution(inputs: int, outputs: int, kernel: int) -> Convolution:
    return Convolution(inputs, outputs, kernel, causal=False, weight_norm=False)


def _check(axes: int, *counts: int) -> None:
    if axes != 1:
        raise ConfigError(f"axes={axes}: a WaveNetDecoder is for signals of 1 axis, such as sound")
    for name, number in zip(("in_channels", "out_channels", "downsampling", "signal_channels"), counts, strict=True):
        if not isinstance(number, int) or number < 1:
            raise ConfigError(f"{name}={number}: give a whole number of 1 or more")
