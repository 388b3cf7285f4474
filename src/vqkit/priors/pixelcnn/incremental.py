"""The gated PixelCNN one position after another: every activation is computed once and kept."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vqkit.priors.head import embed_indices
from vqkit.priors.pixelcnn.layers import GatedLayer, gate


class PixelCNNState:
    """A ``IncrementalState`` through a batch of grids: two small products a layer for each position.

    Kept are, of every layer's input, the rows that its vertical window reaches (a ring, moved on when a row is
    complete), and the current row (each position's activations are written once and read by the windows to the right).
    What the vertical stack gives to the horizontal one, and what the condition adds, is computed for a whole row at
    once. The contributions to the skip connections are left to the end and are one product over all layers.

    The same sums as the convolutions of ``GatedLayer``, in another order.

    Args:
        layers: of the network.
        embedding: ``[C, K, inputs]``.
        position: ``[height, width, inputs]``.
        rows: grids.
        condition: ``[rows]`` of them; None: without.
    """

    def __init__(
        self,
        layers: Sequence[GatedLayer],
        embedding: Tensor,
        position: Tensor,
        rows: int,
        condition: Tensor | None,
    ) -> None:
        self._embedding, self._position = embedding, position
        self._width = position.shape[1]
        self._horizontal = [_Horizontal(layer, rows, self._width, condition) for layer in layers]
        tall = position.shape[0] > 1
        self._vertical = [_Vertical(layer, rows, self._width, condition) for layer in layers] if tall else []
        self._line = embedding.new_zeros(rows, self._width, embedding.shape[2])
        channels = layers[0].channels
        self._gated = embedding.new_empty(rows, len(layers), channels)
        skips = layers[-1].out.out_channels
        weights = [_matrix(layer.out)[:skips] for layer in layers]
        self._skip_weight = torch.cat(weights, dim=1).t().contiguous()
        self._skip_bias = torch.stack([_bias(layer.out)[:skips] for layer in layers]).sum(dim=0)

    def features(self, position: int, previous: Tensor | None) -> Tensor:
        """See ``IncrementalState.features``."""
        column = position % self._width
        if previous is not None:
            self._take_in(position - 1, previous)
        if column == 0:
            self._next_row()
        x: Tensor | None = None
        for number, (layer, following) in enumerate(zip(self._horizontal, [*self._horizontal[1:], None], strict=True)):
            gated = layer.gated(column)
            self._gated[:, number] = gated
            if following is not None:
                x = layer.residual(gated, x)
                following.put(column, x)
        return torch.addmm(self._skip_bias, self._gated.flatten(1), self._skip_weight).relu_()

    def window(self, start: int, end: int, items: Tensor) -> Tensor:
        """See ``WindowState.window``: of one row of the grid."""
        if start:
            self._take_in(start - 1, items[:, start - 1])
        row, column = divmod(start, self._width)
        if column == 0:
            self._next_row()
        rows, width = len(items), end - start
        if width > 1:
            ahead = slice(column, column + width - 1)
            tokens = embed_indices(items[:, start : end - 1], self._embedding) + self._position[row, ahead]
            self._horizontal[0].put_several(column, tokens)
            if self._vertical:
                self._line[:, ahead] = tokens
        x: Tensor | None = None
        every = []
        for layer, following in zip(self._horizontal, [*self._horizontal[1:], None], strict=True):
            gated = layer.gated_window(column, width)
            every.append(gated)
            if following is not None:
                x = layer.residual(gated, x)
                following.put_several(column, x.view(rows, width, -1))
        total = torch.addmm(self._skip_bias, torch.cat(every, dim=1), self._skip_weight).relu_()
        return total.view(rows, width, -1)

    def reach(self, start: int) -> int:
        """See ``WindowState.reach``: the end of the row, whose vertical stack is all there."""
        return (start // self._width + 1) * self._width

    def _take_in(self, position: int, indices: Tensor) -> None:
        row, column = divmod(position, self._width)
        x = embed_indices(indices, self._embedding) + self._position[row, column]
        self._horizontal[0].put(column, x)
        if self._vertical:
            self._line[:, column] = x

    def _next_row(self) -> None:
        """The vertical stack's row, from the complete rows above; the first layer alone takes in a new one."""
        if not self._vertical:
            return
        x: Tensor = self._line.movedim(2, 1)
        for vertical, horizontal in zip(self._vertical, self._horizontal, strict=True):
            x, contribution = vertical.row(x)
            horizontal.take_vertical(contribution)


class _Vertical:
    """One layer's vertical stack, a row at a time."""

    def __init__(self, layer: GatedLayer, rows: int, width: int, condition: Tensor | None) -> None:
        down = layer.down.convolution
        self._layer = layer
        self._side = down.kernel_size[1] // 2
        self._window = down.weight.new_zeros(rows, down.in_channels, down.kernel_size[0], width + 2 * self._side)
        self._added = _bias(down) + (0.0 if layer.down_class is None else layer.down_class(condition))

    def row(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """From the newest row of the input, ``[rows, inputs, width]``: the row of the output, and for the horizontal.

        The newest row is the one above in the first layer, which excludes its own, and its own row in the others.
        """
        window = self._window
        if window.shape[2] > 1:
            window[:, :, :-1] = window[:, :, 1:].clone()
        window[:, :, -1, self._side : window.shape[3] - self._side] = x
        pre = F.conv2d(window, self._layer.down.convolution.weight) + self._added.view(-1, self._added.shape[-1], 1, 1)
        contribution = self._layer.across(pre)[:, :, 0]
        return gate(pre)[:, :, 0], contribution


class _Horizontal:
    """One layer's horizontal stack, a position at a time."""

    def __init__(self, layer: GatedLayer, rows: int, width: int, condition: Tensor | None) -> None:
        right = layer.right.convolution
        taps = right.kernel_size[1]
        self._taps = taps
        self._shift = int(layer.first)
        # column c of the input lies at c + taps - 1 (+ 1 in the first layer, whose window ends one earlier)
        self._buffer = right.weight.new_zeros(rows, width + taps, right.in_channels)
        self._weight = right.weight[:, :, 0].permute(2, 1, 0).flatten(0, 1).contiguous()
        added = _bias(right) + (0.0 if layer.right_class is None else layer.right_class(condition))
        self._own = added.expand(rows, -1)
        self._added = self._own.unsqueeze(1).expand(-1, width, -1)
        own = slice(layer.out.out_channels - layer.channels, None)
        self._residual_weight = _matrix(layer.out)[own].t().contiguous()
        self._residual_bias = _bias(layer.out)[own]

    def take_vertical(self, contribution: Tensor) -> None:
        """The vertical stack's contribution to a row, ``[rows, 2p, width]``."""
        self._added = contribution.transpose(1, 2) + self._own.unsqueeze(1)

    def put(self, column: int, x: Tensor) -> None:
        """Keep the input ``[rows, inputs]`` at a column."""
        self._buffer[:, column + self._taps - 1 + self._shift] = x

    def gated(self, column: int) -> Tensor:
        """The gated output ``[rows, p]`` of a column, whose window has been put."""
        window = self._buffer[:, column : column + self._taps].flatten(1)
        return gate(torch.addmm(self._added[:, column], window, self._weight))

    def put_several(self, column: int, x: Tensor) -> None:
        """Keep the inputs ``[rows, w, inputs]`` at the columns from one on."""
        first = column + self._taps - 1 + self._shift
        self._buffer[:, first : first + x.shape[1]] = x

    def gated_window(self, column: int, width: int) -> Tensor:
        """The gated outputs ``[rows * width, p]`` of the columns from one on, whose windows have been put."""
        windows = torch.cat([self._buffer[:, column + tap : column + tap + width] for tap in range(self._taps)], dim=2)
        added = self._added[:, column : column + width].flatten(0, 1)
        return gate(torch.addmm(added, windows.flatten(0, 1), self._weight))

    def residual(self, gated: Tensor, x: Tensor | None) -> Tensor:
        """The input of the next layer: the residual connection's sum; without one in the first layer."""
        out = torch.addmm(self._residual_bias, gated, self._residual_weight)
        return out if x is None else out.add_(x)


def _matrix(convolution: nn.Conv2d) -> Tensor:
    """The weight of a 1 x 1 convolution, ``[outputs, inputs]``."""
    return convolution.weight.flatten(1)


def _bias(convolution: nn.Conv2d) -> Tensor:
    assert convolution.bias is not None
    return convolution.bias
