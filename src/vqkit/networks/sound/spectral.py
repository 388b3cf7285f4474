"""Short-time Fourier transform at the two ends of a network for sound: log magnitudes in, magnitudes and phases out.

The error of hearing is one of log magnitudes, so a network that reads and emits them has little to learn at its ends.
The head is that of Vocos (Siuzdak 2023, arXiv 2306.00814, section 3.2). Both are matrices of fixed numbers, exact in
fixed point as every other convolution; the logarithm is a table of 4096 entries and the exponent of the float.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from vqkit.networks.sound.fixed_point import ONE, in_range, on_grid, rounded_weight
from vqkit.networks.sound.layers import Layer
from vqkit.networks.sound.passes import Pass
from vqkit.networks.sound.products import Window
from vqkit.ops.precision import at_least_float32
from vqkit.ops.reproducible import exponent_of

OVERLAP = 4
"""Strides in a window."""
FLOOR = 2.0**-20
"""Added to the power, where noise has power 1 on average: 60 dB below it."""
_TABLE_BITS = 12
_MOST_LOG = 6.5
"""Of a magnitude that is emitted: exp(6.5) is below the 2^10 of fixed point."""
_MOST_PHASE = 31.0
_LN2 = round(math.log(2) * 2.0**30) * 2.0**-30


@lru_cache(maxsize=16)
def fourier_basis(window: int) -> tuple[Tensor, Tensor]:
    """Real and imaginary part of the Fourier transform under a Hann window, each ``[window // 2 + 1, window]``.

    float64; noise of variance 1 has coefficients of mean square 1.

    Example:
        >>> from vqkit.networks.sound.spectral import fourier_basis
        >>> fourier_basis(640)[0].shape
        torch.Size([321, 640])
    """
    time = torch.arange(window, dtype=torch.float64)
    angles = 2 * math.pi / window * torch.outer(torch.arange(window // 2 + 1, dtype=torch.float64), time)
    hann = _hann(window)
    return angles.cos() * hann, -angles.sin() * hann


@lru_cache(maxsize=16)
def _rounded_basis(window: int, device: torch.device, *, inverse: bool = False) -> Tensor:
    """``fourier_basis`` in fixed point, ``[2 * bins, window]``; of the inverse transform with its factors."""
    with torch.inference_mode(False):
        waves = torch.stack(fourier_basis(window))
        if inverse:
            waves = waves * (2 / OVERLAP)
            waves[:, [0, -1]] *= 0.5  # every other stands for two frequencies, f and -f
        return rounded_weight(waves.flatten(0, 1), OVERLAP * 2 * waves.shape[1] if inverse else window).to(device)


@lru_cache(maxsize=16)
def _window(window: int, stride: int, device: torch.device) -> Window:
    """Of the transform, for products of whole numbers."""
    with torch.inference_mode(False):
        return Window.of(_rounded_basis(window, device).unsqueeze(1), stride)


def _hann(window: int) -> Tensor:
    """Periodic, of norm 1."""
    hann = torch.hann_window(window, dtype=torch.float64)
    return hann / hann.square().sum().sqrt()


def log_power(power: Tensor) -> Tensor:
    """The natural logarithm of ``power + 2^-20`` for multiples of 2^-30 in float64, the same on every machine.

    The fraction is rounded to 12 bits and looked up: at most 1.3e-4 from the true value.

    Example:
        >>> import torch
        >>> from vqkit.networks.sound.spectral import log_power
        >>> log_power(torch.tensor([1.0, 0.0], dtype=torch.float64)).round(decimals=3)
        tensor([  0.0000, -13.8630], dtype=torch.float64)
    """
    if torch.compiler.is_exporting():
        exponent = exponent_of(power + FLOOR)
        fraction = (power + FLOOR) * torch.pow(2.0, -exponent.double())
    else:
        fraction, exponent = torch.frexp(power + FLOOR)
    number = ((fraction - 0.5) * 2.0 ** (_TABLE_BITS + 1)).floor().long()
    return on_grid(_logarithms(power.device)[number] + exponent.double() * _LN2)


@lru_cache(maxsize=4)
def _logarithms(device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        steps = torch.arange(1 << _TABLE_BITS, dtype=torch.float64)
        return on_grid(((steps + 0.5) * 2.0 ** -(_TABLE_BITS + 1) + 0.5).log()).to(device)


@final
class LogSpectrum(Layer):
    """Log magnitudes of the short-time Fourier transform, one frame for each stride.

    Args:
        channels: of the signal.
        stride: samples from frame to frame; a window has four.
        causal: whether a window ends with its stride; else its center is the stride's.
    """

    def __init__(self, channels: int, stride: int, *, causal: bool) -> None:
        super().__init__()
        self.stride, self.window = stride, OVERLAP * stride
        padding = self.window - stride
        self.right = 0 if causal else padding // 2
        self.left = padding - self.right
        self.bins = self.window // 2 + 1
        self.outputs = channels * self.bins

    def forward(self, x: Tensor, way: Pass) -> Tensor:
        """``[batch, channels, time]`` to ``[batch, channels * bins, time / stride]``, of about unit size."""
        x = at_least_float32(x)
        batch, channels = x.shape[:2]
        x = functional.pad(way.with_context(self, way.ended(x), self.left), (0, self.right))
        if not way.exact:
            frames = x.unfold(2, self.window, self.stride) * _hann(self.window).to(x)
            spectra = torch.fft.rfft(frames)
            power = spectra.real.square() + spectra.imag.square()
            return ((power + FLOOR).log() / 4 + 1).permute(0, 1, 3, 2).flatten(1, 2)
        parts = on_grid(
            functional.conv1d(
                x.flatten(0, 1).unsqueeze(1), _rounded_basis(self.window, x.device).unsqueeze(1), stride=self.stride
            )
        )
        power = parts[:, : self.bins].square() + parts[:, self.bins :].square()
        return on_grid(log_power(power) / 4 + 1).reshape(batch, channels * self.bins, -1)

    def evaluate(self, x: Tensor, way: Pass) -> Tensor:
        """See ``Layer.evaluate``."""
        batch, time, channels = x.shape
        x = way.padded(self, x, self.left, self.right).mT.reshape(batch * channels, -1, 1)
        sums = _window(self.window, self.stride, x.device).sums(x, time // self.stride)
        real, imaginary = in_range(sums.round_()).mul_(1 / ONE).split(self.bins, dim=2)
        logs = log_power(real.square() + imaginary.square()).mul_(ONE / 4).add_(ONE).round_()
        return logs.unflatten(0, (batch, channels)).transpose(1, 2).flatten(2)


@final
class OverlapAdd(Layer):
    """A signal of log magnitudes and phases: the inverse short-time Fourier transform, frames added where they overlap.

    Args:
        channels: of the signal.
        stride: samples from frame to frame; a window has four.
        causal: whether a window begins with its stride; else its center is the stride's.
    """

    def __init__(self, channels: int, stride: int, *, causal: bool) -> None:
        super().__init__()
        self.emitted, self.window = stride, OVERLAP * stride
        self._channels, self.bins = channels, self.window // 2 + 1
        self.inputs = 2 * channels * self.bins
        before = 0 if causal else (self.window - stride) // 2  # samples before the stride at which a window begins
        self.left = -(-(self.window - stride - before) // stride)
        self.right = -(-before // stride)
        self._offset = self.left * stride + before

    def forward(self, x: Tensor, way: Pass) -> Tensor:
        """``[batch, 2 * channels * bins, frames]`` to ``[batch, channels, frames * stride]``."""
        x, count = at_least_float32(x), x.shape[2] * self.emitted  # phases and transforms, whatever the run's precision
        logs, phases = x.unflatten(1, (self._channels, 2, self.bins)).unbind(2)
        sizes = (4 * logs - 2).clamp(max=_MOST_LOG).exp()
        phases = phases.clamp(-_MOST_PHASE, _MOST_PHASE)
        parts = [sizes, phases.cos(), phases.sin()]
        if way.exact:
            parts = [on_grid(part) for part in parts]
        spectra = torch.cat([parts[0] * parts[1], parts[0] * parts[2]], dim=2).flatten(1, 2)
        if way.exact:
            spectra = on_grid(spectra)
        spectra = functional.pad(way.with_context(self, way.ended(spectra), self.left), (0, self.right))
        frames = spectra.unflatten(1, (self._channels, 2 * self.bins)).flatten(0, 1)
        wide = self._added(frames) if way.exact else self._transformed(frames)
        signal = wide[:, self._offset : self._offset + count].unflatten(0, (len(x), self._channels))
        return on_grid(signal) if way.exact else signal

    def _added(self, frames: Tensor) -> Tensor:
        """``[items, 2 * bins, frames]`` to ``[items, samples]`` by the matrix."""
        basis = _rounded_basis(self.window, frames.device, inverse=True)
        return functional.conv_transpose1d(frames, basis.unsqueeze(1), stride=self.emitted)[:, 0]

    def evaluate(self, x: Tensor, way: Pass) -> Tensor:
        """See ``Layer.evaluate``."""
        batch, count = x.shape[:2]
        logs, phases = (x * (1 / ONE)).unflatten(2, (self._channels, 2, self.bins)).unbind(3)
        sizes = (4 * logs - 2).clamp_(max=_MOST_LOG).exp_().mul_(ONE).round_()
        phases = phases.clamp(-_MOST_PHASE, _MOST_PHASE)
        parts = [(wave * ONE).round_().mul_(sizes).mul_(1 / ONE).round_() for wave in (phases.cos(), phases.sin())]
        spectra = in_range(torch.stack(parts, dim=3)).flatten(3)
        windows = (spectra @ _rounded_basis(self.window, x.device, inverse=True)).flatten(2)
        windows = way.padded(self, windows, self.left, self.right)  # of a stream those that came before, not once more
        windows = windows.unflatten(2, (self._channels, OVERLAP, self.emitted)).transpose(1, 2)
        frames = windows.shape[2]
        wide = windows.new_zeros(batch, self._channels, frames + OVERLAP - 1, self.emitted)
        for number in range(OVERLAP):
            wide[:, :, number : number + frames] += windows[:, :, :, number]
        first = self._offset
        return in_range(wide.flatten(2)[:, :, first : first + count * self.emitted].mT.round()).contiguous()

    def _transformed(self, frames: Tensor) -> Tensor:
        """The same by the fast Fourier transform."""
        real, imaginary = frames.unflatten(1, (2, self.bins)).transpose(2, 3).unbind(1)
        windows = torch.fft.irfft(torch.complex(real, imaginary), self.window)
        windows = windows * (_hann(self.window) * self.window / OVERLAP).to(frames)
        parts = windows.unflatten(2, (OVERLAP, self.emitted)).unbind(2)
        shifted = [functional.pad(part, (0, 0, number, OVERLAP - 1 - number)) for number, part in enumerate(parts)]
        return torch.stack(shifted).sum(0).flatten(1)
