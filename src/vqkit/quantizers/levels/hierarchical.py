"""The levels of a VQ-VAE-2: codes of the whole above, codes of the detail below, learned networks between them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from vqkit.errors import ConfigError
from vqkit.quantizers.base import Quantizer
from vqkit.quantizers.levels.base import LevelQuantizer

_CONVOLUTION: tuple[type[nn.Module], ...] = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED: tuple[type[nn.Module], ...] = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


@final
class HierarchicalQuantizer(LevelQuantizer):
    """Levels as in VQ-VAE-2 (Razavi, van den Oord and Vinyals 2019, arXiv 1906.00446, algorithm 1).

    Strided convolutions take the latents to the grids of the coarser levels. The coarsest is quantized first; each
    further level quantizes a map of its own features and of what the codes above it decode to, and the decoder reads
    the sum of that and of its codewords. All are trained jointly, by the straight-through gradient of every level.
    With ``dropout`` the levels above learn to stand alone as well, for files of which only a part is there.

    Args:
        stages: of each level, equal in size, each of one codebook.
        scales: positions of each level on each axis of a cell; each an even multiple of the one before.
        axes: of the grid.
        hidden_channels: of the networks between the levels.
        dropout: see ``LevelQuantizer``.

    Raises:
        ConfigError: see ``LevelQuantizer``; scales that do not grow so, or no channels.

    Example:
        >>> import torch
        >>> from vqkit.quantizers import EMAVectorQuantizer, HierarchicalQuantizer
        >>> layer = HierarchicalQuantizer([EMAVectorQuantizer(16, 4) for _ in range(2)], scales=(1, 2))
        >>> layer(torch.randn(2, 16, 3, 3)).indices.shape  # 1 + 4 indices for each cell of 2 x 2
        torch.Size([2, 3, 3, 5])
    """

    learns_from_output = True

    def __init__(
        self,
        stages: Sequence[Quantizer],
        *,
        scales: Sequence[int] = (1, 2),
        axes: int = 2,
        hidden_channels: int = 64,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(stages, scales, axes, dropout)
        steps = [(after // before, after % before) for before, after in itertools.pairwise(scales)]
        if any(rest or step % 2 for step, rest in steps):
            raise ConfigError(f"scales={list(scales)}: each has to be an even multiple of the one before, as 1 2 4")
        if hidden_channels < 1:
            raise ConfigError(f"hidden_channels={hidden_channels}: give 1 or more")
        plain, turned = _CONVOLUTION[axes - 1], _TRANSPOSED[axes - 1]
        dim = self.level_dim
        self.down, self.up, self.merge = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for step, _ in steps:
            kernel = {"kernel_size": 2 * step, "stride": step, "padding": step // 2}
            self.down.append(
                nn.Sequential(
                    plain(dim, hidden_channels, **kernel),
                    nn.ReLU(),
                    plain(hidden_channels, hidden_channels, 3, padding=1),
                    nn.ReLU(),
                    plain(hidden_channels, dim, 1),
                )
            )
            self.up.append(
                nn.Sequential(
                    plain(dim, hidden_channels, 3, padding=1),
                    nn.ReLU(),
                    turned(hidden_channels, hidden_channels, **kernel),
                    nn.ReLU(),
                    plain(hidden_channels, dim, 1),
                )
            )
            self.merge.append(plain(2 * dim, dim, 1))

    def targets(self, fine: Tensor, codes: Sequence[Tensor]) -> Tensor:
        """See ``LevelQuantizer.targets``: features of the level's grid and, below the first, of the codes above."""
        own, number = fine.to(next(self.merge.parameters()).dtype), len(codes)
        for down in list(self.down)[number:][::-1]:
            own = down(own)
        if not number:
            return own
        above: Tensor = self.up[number - 1](self._summed(codes))
        merged: Tensor = self.merge[number - 1](torch.cat([own, above], dim=1))
        return merged

    def compose(self, codes: Sequence[Tensor]) -> Tensor:
        """See ``LevelQuantizer.compose``."""
        return self._summed(codes)

    def _summed(self, codes: Sequence[Tensor]) -> Tensor:
        total = codes[0]
        for up, each in zip(self.up, codes[1:], strict=False):
            total = up(total) + each
        return total
