"""Discriminators of sound: of the waveform at several periods, and of the complex spectrogram at several windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from vqkit.objectives.adversaries.patches import time_logits
from vqkit.ops.spectra import stft

_SLOPE = 0.1
_MOST_WIDTH = 512


@final
class SoundDiscriminator(nn.Module):
    """Multi-period and multi-scale STFT discriminators: logits along time of each of them.

    A period p looks at every p-th sample, as a picture of p columns (Kong et al. 2020, arXiv 2010.05646, section 2.3);
    a window looks at the real and imaginary parts of the short-time Fourier transform (Défossez et al. 2022, arXiv
    2210.13438, section 3.4). Beyond its ends a sound is zero, so that it may have any length.

    Args:
        channels: of the sounds.
        width: channels of the first layers.
        periods: in samples.
        windows: in samples; hops are a quarter.

    Example:
        >>> import torch
        >>> from vqkit.objectives.adversaries.sounds import SoundDiscriminator
        >>> network = SoundDiscriminator(1, width=4, periods=[2, 3], windows=[64])
        >>> [each.shape[0] for each in network(torch.rand(2, 1, 500))]
        [2, 2, 2]
    """

    def __init__(self, channels: int, *, width: int, periods: Sequence[int], windows: Sequence[int]) -> None:
        super().__init__()
        self.periods, self.windows = list(periods), list(windows)
        self.of_periods = nn.ModuleList(_period_network(channels, width) for _ in self.periods)
        self.of_windows = nn.ModuleList(_window_network(2 * channels, width) for _ in self.windows)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Logits ``[batch, rows, patches along time]`` of sounds ``[batch, channels, time]``."""
        found = []
        for period, network in zip(self.periods, self.of_periods, strict=True):
            padded = functional.pad(x, (0, -x.shape[2] % period))
            rows: Tensor = network(padded.unflatten(2, (-1, period)))
            found.append(rows.squeeze(1).transpose(1, 2))
        for window, network in zip(self.windows, self.of_windows, strict=True):
            spectra = stft(x, window, window // 4) * (2.0 / window**0.5)
            parts = torch.cat([spectra.real, spectra.imag], dim=1)
            found.append(time_logits(network(parts)))
        return found


def _period_network(channels: int, width: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(3):
        layers += [nn.Conv2d(channels, width, (5, 1), (3, 1), (2, 0)), nn.LeakyReLU(_SLOPE)]
        channels, width = width, min(4 * width, _MOST_WIDTH)
    layers += [nn.Conv2d(channels, channels, (5, 1), padding=(2, 0)), nn.LeakyReLU(_SLOPE)]
    return nn.Sequential(*layers, nn.Conv2d(channels, 1, (3, 1), padding=(1, 0)))


def _window_network(channels: int, width: int) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(channels, width, (9, 3), padding=(4, 1)), nn.LeakyReLU(_SLOPE)]
    for dilation in (1, 2, 4):
        padding = (4, dilation)
        layers.append(nn.Conv2d(width, width, (9, 3), stride=(2, 1), dilation=(1, dilation), padding=padding))
        layers.append(nn.LeakyReLU(_SLOPE))
    return nn.Sequential(*layers, nn.Conv2d(width, 1, 3, padding=1))
