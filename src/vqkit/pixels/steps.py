"""Through an image group by group and channel by channel: what encoder and decoder do alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from vqkit.deprecation import keep_old_names
from vqkit.exact.logistic import PART, UNIT_BITS, Mixture, coarse_frequencies, fine_frequencies
from vqkit.ops import evaluating
from vqkit.pixels.neighbors import Canvas, Offsets, border
from vqkit.pixels.network import PixelNetwork, surprise
from vqkit.priors.coding_order import groups

COARSE, FINE = 0, 1

_ROWS = 1 << 13
"""Pixels whose probabilities are computed at once."""


@final
@dataclass(frozen=True)
class PixelStep:
    """Symbols that are independent given all steps before: coded at once.

    Attributes:
        group: of the positions, within the pattern of a cell.
        channel: of the image.
        part: ``COARSE``: level // 16, or ``FINE``: level % 16.
        positions: int64 ``[n]``, flat in reading order, ascending; at least one.

    Example:
        >>> import torch
        >>> from vqkit.pixels import PixelStep
        >>> PixelStep(group=0, channel=1, part=0, positions=torch.tensor([0, 2])).channel
        1
    """

    group: int
    channel: int
    part: int
    positions: Tensor


@final
class PixelState:
    """Incremental state of coding images: their groups of pixels in order, in evaluation mode, without gradient.

    ::

        for group in range(cell ** 2):
            if state.begin_group(group):                     # False: no pixel is in it
                for channel in order:
                    mixture = state.mixture(channel)   # of state.positions
                    ... decode the levels of state.positions
                    state.commit(channel, levels)       # so that later channels and groups know them

    Args:
        network: whose probabilities.
        features: ``[batch, H W, features]``, what the indices give each pixel.
        pixels: uint8 ``[batch, channels, H, W]``; read only where something is already known.
        order: of the channels.
        cell: see ``pattern``.
        known: offsets of each group, see ``offsets``.

    Example:
        >>> import torch
        >>> import vqkit
        >>> prior = vqkit.PixelPrior(16, 4, channels=1, hidden_channels=16, token_channels=16).eval()
        >>> state = prior.incremental_state(torch.zeros(1, 2, 2, dtype=torch.int64), (8, 8))
        >>> state.begin_group(0), len(state.positions)
        (True, 4)
    """

    def __init__(
        self,
        network: PixelNetwork,
        features: Tensor,
        pixels: Tensor,
        *,
        order: tuple[int, ...],
        cell: int,
        known: tuple[Offsets, ...],
    ) -> None:
        self.network, self.features, self.order, self.cell, self.known = network, features, order, cell, known
        self.storage_dtype = network.shuffle.storage_dtype
        self.canvas = Canvas.of(pixels, border(known), self.storage_dtype)
        self.positions = torch.zeros(0, dtype=torch.int64)

    @torch.no_grad()
    def begin_group(self, group: int) -> bool:
        """Compute what the channels of a group share; False where the group has no pixels."""
        self.positions = positions_of(self.canvas.size, self.cell, group).to(self.features.device)
        if not len(self.positions):
            return False
        batch = len(self.features)
        found: tuple[list[Tensor], list[Tensor], list[Tensor]] = [], [], []
        with evaluating(self.network):
            for part in self.positions.split(max(1, _ROWS // batch)):
                told, reference = self.canvas.around(part, self.known[group])
                own = self.features.index_select(1, part).flatten(0, 1)
                stream, active = self.network.body(self.network.stream(torch.cat([told, own], dim=1), group))
                for each, into in zip((stream, active, reference), found, strict=True):
                    into.append(each.unflatten(0, (batch, -1)))
        self._stream, self._active, self._reference = (torch.cat(each, dim=1).flatten(0, 1) for each in found)
        self._surprises: list[Tensor] = []
        return True

    @torch.no_grad()
    def mixture(self, channel: int) -> Mixture:
        """The mixtures of a channel at the group's positions, rows ``[batch * n]``, given the channels before it."""
        number = self.order.index(channel)
        self._mean = self._reference[:, channel] * float(1 << UNIT_BITS) + self._stream[:, number]
        parts = []
        with evaluating(self.network):
            for start in range(0, len(self._mean), _ROWS):
                some = slice(start, start + _ROWS)
                before = [each[some] for each in self._surprises]
                parts.append(self.network.heads[number](self._mean[some], self._active[some], before))
        return Mixture(
            torch.cat([each.means for each in parts]),
            torch.cat([each.log_scales for each in parts]),
            torch.cat([each.logits for each in parts]),
        )

    def commit(self, channel: int, levels: Tensor) -> None:
        """Take the levels ``[batch, n]`` of a channel of the group."""
        self.canvas.fill(self.positions, channel, levels)
        self._surprises.append(surprise(levels.flatten().to(self.storage_dtype), self._mean, False))

    def levels(self, channel: int) -> Tensor:
        """int64 levels ``[batch, n]`` of a channel at the group's positions, as they are filled in."""
        return self.canvas.levels(self.positions)[:, :, channel].to(torch.int64)

    def symbols(self) -> Iterator[tuple[Tensor, Tensor]]:
        """All symbols with their frequencies, in the order of coding, where all pixels are known; see ``tables``."""
        for group in range(self.cell**2):
            if self.begin_group(group):
                for channel in self.order:
                    yield from self.tables(channel)

    def tables(self, channel: int) -> list[tuple[Tensor, Tensor]]:
        """Symbols int64 ``[batch * n]`` and frequencies ``[batch * n, 16]``, coarse and fine, where all is known."""
        levels = self.levels(channel)
        mixture = self.mixture(channel)
        self.commit(channel, levels)
        level = levels.flatten()
        coarse = level // PART
        return [(coarse, coarse_frequencies(mixture)), (level % PART, fine_frequencies(mixture, coarse))]


keep_old_names(PixelState, {"enter": "begin_group", "leave": "commit"})


def positions_of(size: tuple[int, int], cell: int, group: int) -> Tensor:
    """The positions of a group in an image of a size, int64, flat; none where the image is smaller than a cell."""
    return (groups(size, cell) == group).nonzero()[:, 0]
