"""A lapped transform at the two ends of a network for sound: a transform codec, which the blocks beside it improve.

A network that is asked for the waveform spends most of a training on what a linear transform does at once. With the
transform in place it begins there, as the networks of images begin as PCA with ``linear_path``: the encoder gives the
lowest coefficients of the modified discrete cosine transform (Princen, Johnson and Bradley 1987), companded by the
level of the frame so that soft frames are coded as finely as loud ones, and the decoder adds its inverse.
"""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from vqkit.networks.sound import layers as parts
from vqkit.networks.sound.fixed_point import ONE, in_range, on_grid, rounded
from vqkit.networks.sound.layers import Convolution, Layer, Upsampling
from vqkit.networks.sound.passes import Pass
from vqkit.pretrained.groups import ParameterGroup

_FLOOR = 1e-3
"""Added to the power of a frame, where the signal has power 1: 30 dB below it."""
_MOST_LOG = 4.0
_SQUARES = 11
"""Bits of the fraction of what is squared, for sums of 2^11: ``2 * 11 + 20 + 11`` are the bits of a float64."""


def lapped_basis(stride: int, count: int) -> Tensor:
    """The first functions of the modified discrete cosine transform under a sine window, ``[count, 2 * stride]``.

    float64, orthonormal, and a signal's overlapping windows of two strides give it back where all ``stride`` are kept.
    Of more than ``stride`` the others are zero.

    Example:
        >>> import torch
        >>> from vqkit.networks.sound.lapped import lapped_basis
        >>> basis = lapped_basis(8, 8)
        >>> torch.allclose(basis @ basis.T, torch.eye(8, dtype=torch.float64))
        True
    """
    time = torch.arange(2 * stride, dtype=torch.float64) + 0.5
    number = torch.arange(min(count, stride), dtype=torch.float64) + 0.5
    waves = (math.pi / stride * torch.outer(number, time + stride / 2)).cos() * math.sqrt(2 / stride)
    return functional.pad(waves * (math.pi * time / (2 * stride)).sin(), (0, 0, 0, max(0, count - stride)))


def _weights(channels: int, count: int, stride: int, *, causal: bool, synthesis: bool) -> Tensor:
    """``[count, channels, 2 * stride]``: of each channel its share of ``count`` functions, the lowest ones.

    A window that ends with its frame and one that begins with it do not overlap as those of a lapped transform: for
    these the cosines of the frame alone (DCT-IV).
    """
    weights = torch.zeros(count, channels, 2 * stride)
    for channel in range(channels):
        basis = lapped_basis(stride, len(range(channel, count, channels)))
        if causal:
            block = _cosines(stride, len(basis))
            basis = functional.pad(block, (0, stride) if synthesis else (stride, 0))
        elif stride % 2 and not synthesis:
            basis = functional.pad(basis, (1, -1))  # the window begins a sample earlier
        weights[channel::channels, channel] = basis.float()
    return weights


def _cosines(stride: int, count: int) -> Tensor:
    """The first functions of the DCT-IV, ``[count, stride]``; of more than ``stride`` the others are zero."""
    numbers = torch.arange(min(count, stride), dtype=torch.float64) + 0.5
    time = torch.arange(stride, dtype=torch.float64) + 0.5
    waves = (math.pi / stride * torch.outer(numbers, time)).cos() * math.sqrt(2 / stride)
    return functional.pad(waves, (0, 0, 0, max(0, count - stride)))


@final
class Companding(Layer):
    """The fourth root of the mean power of the frames of a signal: what latents are divided by.

    Args:
        channels: of the signal.
        stride: samples of a frame; a window has two.
        causal: whether a window ends with its stride; else its center is the stride's.
    """

    def __init__(self, channels: int, stride: int, *, causal: bool) -> None:
        super().__init__()
        self.stride = stride
        self.right = 0 if causal else stride // 2
        self.left = stride - self.right
        terms = 2 * stride * channels
        self._terms = terms
        self._step = 2.0 ** -(_SQUARES - max(0, math.ceil((math.log2(terms) - _SQUARES) / 2)))

    def forward(self, x: Tensor, way: Pass) -> Tensor:
        """``[batch, channels, time]`` to ``[batch, 1, time / stride]``."""
        x = functional.pad(way.with_context(self, way.ended(x), self.left), (0, self.right))
        squares = rounded(x, self._step).square() if way.exact else x.square()
        sums = squares.sum(dim=1, keepdim=True).unflatten(2, (-1, self.stride)).sum(dim=3)
        return self._root(sums[:, :, :-1] + sums[:, :, 1:])

    def _root(self, sums: Tensor) -> Tensor:
        return (sums / self._terms + _FLOOR).sqrt().sqrt()

    def evaluate(self, x: Tensor, way: Pass) -> Tensor:
        """See ``Layer.evaluate``; ``[batch, time / stride, 1]``, not on the grid."""
        x = way.padded(self, x, self.left, self.right)
        squares = (x * (1 / (ONE * self._step))).round_().mul_(self._step).square_()
        sums = squares.sum(dim=2, keepdim=True).unflatten(1, (-1, self.stride)).sum(dim=2)
        return self._root(sums[:, :-1] + sums[:, 1:])


@final
class LappedAnalysis(Layer):
    """Latents of a signal: of its frames by the companded transform, plus those of layers beside it.

    Args:
        channels: of the signal.
        outputs: latents.
        stride: samples of a frame.
        beside: layers, from the signal to as many latents.
        causal: see ``Convolution``.
    """

    def __init__(self, channels: int, outputs: int, stride: int, beside: parts.Sequence, *, causal: bool) -> None:
        super().__init__()
        self.stride = stride
        self.transform = Convolution(
            channels, outputs, 2 * stride, stride=stride, causal=causal, weight_norm=False, gain=0.0
        )
        with torch.no_grad():
            self.transform.weight.copy_(_weights(channels, outputs, stride, causal=causal, synthesis=False))
        self.companding = Companding(channels, stride, causal=causal)
        self.beside = beside

    def parameter_groups(self) -> list[ParameterGroup]:
        """See ``OwnGroups``: the transform begins as one that is known, and stays near it."""
        return [ParameterGroup([self.transform.weight], orthogonal=False)]

    def forward(self, x: Tensor, way: Pass) -> Tensor:
        """``[batch, channels, time]`` to ``[batch, outputs, time / stride]``."""
        y = self.transform(x, way) / self.companding(x, way)
        y = (on_grid(y) if way.exact else y) + self.beside(x, way)
        return on_grid(y) if way.exact else y

    def spans(self) -> list[tuple[int, int, float]]:
        """See ``Layer.spans``: those of the layers beside it, which see more."""
        return self.beside.spans()

    def evaluate(self, x: Tensor, way: Pass) -> Tensor:
        """See ``Layer.evaluate``."""
        y = self.transform.evaluate(x, way).div_(self.companding.evaluate(x, way))
        return in_range(in_range(y.round_()).add_(self.beside.evaluate(x, way)))


@final
class LappedSynthesis(Layer):
    """A signal of latents: by the inverse transform, times a gain of each frame, plus that of layers beside it.

    Args:
        inputs: latents.
        channels: of the signal.
        stride: samples of a frame.
        frames: layers at the rate of latents.
        gain: layers from what these emit to the logarithm of the gain.
        beside: layers from what these emit to the signal.
        causal: see ``Convolution``.
    """

    def __init__(
        self,
        inputs: int,
        channels: int,
        stride: int,
        *,
        frames: parts.Sequence,
        gain: parts.Sequence,
        beside: parts.Sequence,
        causal: bool,
    ) -> None:
        super().__init__()
        self.emitted = stride
        self.transform = Upsampling(inputs, channels, stride, causal=causal, weight_norm=False)
        with torch.no_grad():
            self.transform.weight.copy_(_weights(channels, inputs, stride, causal=causal, synthesis=True))
        self.frames, self.gain, self.beside = frames, gain, beside

    def parameter_groups(self) -> list[ParameterGroup]:
        """See ``OwnGroups``: the transform begins as one that is known, and stays near it."""
        return [ParameterGroup([self.transform.weight], orthogonal=False)]

    def forward(self, x: Tensor, way: Pass) -> Tensor:
        """``[batch, inputs, frames]`` to ``[batch, channels, frames * stride]``."""
        features = self.frames(x, way)
        gain = self.gain(features, way).clamp(-_MOST_LOG, _MOST_LOG).exp()
        if way.exact:
            gain = on_grid(gain)
        scaled = x * gain
        y = self.transform(on_grid(scaled) if way.exact else scaled, way) + self.beside(features, way)
        return on_grid(y) if way.exact else y

    def spans(self) -> list[tuple[int, int, float]]:
        """See ``Layer.spans``: those of the layers beside it, which see more."""
        return self.frames.spans() + self.beside.spans()

    def evaluate(self, x: Tensor, way: Pass) -> Tensor:
        """See ``Layer.evaluate``."""
        features = self.frames.evaluate(x, way)
        gain = (self.gain.evaluate(features, way) * (1 / ONE)).clamp_(-_MOST_LOG, _MOST_LOG).exp_().mul_(ONE).round_()
        scaled = in_range((x * gain).mul_(1 / ONE).round_())
        return in_range(self.transform.evaluate(scaled, way).add_(self.beside.evaluate(features, way)))
