"""The gated layer of PixelCNN (van den Oord et al. 2016, arXiv 1606.05328, section 2 and figure 2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vqkit.priors.conditions import Conditions


class CausalConvolution(nn.Module):
    """A convolution that reads the ``taps[0]`` rows that end at its own, or at the one above (``shift[0] = 1``).

    The same holds for the columns unless ``centered``: then ``taps[1]`` (odd) columns lie evenly around its own. The
    window is a rectangle and the causality lies in the padding, so no weight is masked and no product is wasted.

    Shapes: ``[batch, inputs, height, width]`` to ``[batch, outputs, height, width]``.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        taps: tuple[int, int],
        *,
        shift: tuple[int, int] = (0, 0),
        centered: bool = False,
    ) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, taps)
        side = taps[1] // 2
        columns = (side, side) if centered else (taps[1] - 1 + shift[1], -shift[1])
        self.padding = (*columns, taps[0] - 1 + shift[0], -shift[0])

    def forward(self, x: Tensor) -> Tensor:
        """The convolution of the padded (and cropped) input."""
        result: Tensor = self.convolution(F.pad(x, self.padding))
        return result


def gate(x: Tensor) -> Tensor:
    """``tanh(a / 2) * sigmoid(b)`` of the two halves a, b of the channels (equation 2; the weights absorb the 2).

    Written as ``(2 sigmoid(a) - 1) * sigmoid(b)``: one sigmoid of all channels takes half the time of a tanh and a
    sigmoid.
    """
    a, b = torch.sigmoid(x).chunk(2, dim=1)
    return (2.0 * a - 1.0) * b


class GatedLayer(nn.Module):
    """One layer of the two stacks: vertical (all rows above) and horizontal (this row, to the left).

    The vertical stack at (r, c) has seen rows < r, all columns within reach; the horizontal stack sees the columns
    < c of row r and takes in the vertical stack at its own position: together every earlier position, no blind spot.
    The first layer excludes its own row (column): mask A of the paper. Later layers may include it (mask B), since
    what they read there has itself seen only the past. Weights start with variance 1 / fan-in: with torch's default of
    a third of that, the gates shrink the signal from layer to layer and the first hundreds of steps learn far less.

    Args:
        inputs: channels of both stacks' inputs.
        channels: p, of each stack's output; the convolutions have 2p.
        skip_channels: of the contribution to the output.
        kernel: k, odd: windows of (k+1)/2 x k for the vertical and 1 x (k+1)/2 for the horizontal stack; one row
            (column) fewer in the first layer.
        first: mask A, no residual.
        last: has nothing to hand on, only the contribution to the output.
        tall: whether the grid has rows above: without, there is no vertical stack.
        conditions: what there is adds a bias to both stacks before the gates (equation 4).
        dropout: probability of dropping a value of the gated horizontal stack.
    """

    def __init__(
        self,
        inputs: int,
        channels: int,
        skip_channels: int,
        kernel: int,
        *,
        first: bool,
        last: bool,
        tall: bool,
        conditions: Conditions,
        dropout: float,
    ) -> None:
        super().__init__()
        self.first = first
        self.channels = channels
        taps = kernel // 2 if first else kernel // 2 + 1
        shift = int(first)
        self.last = last
        if tall:
            self.down = CausalConvolution(inputs, 2 * channels, (taps, kernel), shift=(shift, 0), centered=True)
            self.across = nn.Conv2d(2 * channels, 2 * channels, 1)
        self.right = CausalConvolution(inputs, 2 * channels, (1, taps), shift=(0, shift))
        self.out = nn.Conv2d(channels, skip_channels if last else skip_channels + channels, 1)
        self.dropout = nn.Dropout(dropout)
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                nn.init.normal_(module.weight, std=module.weight[0].numel() ** -0.5)
                nn.init.zeros_(module.bias)
        self.down_class = conditions.layer(2 * channels) if tall else None
        self.right_class = conditions.layer(2 * channels)

    def vertical(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        """``(output, contribution to the horizontal stack)``; the last layer's output is of no use."""
        x = _with_class(self.down(x), self.down_class, condition)
        return x if self.last else gate(x), self.across(x)

    def horizontal(self, x: Tensor, vertical: Tensor | None, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        """``(output, contribution to the skip connections)``; the last layer's output is its input."""
        pre = _with_class(self.right(x), self.right_class, condition)
        out = self.out(self.dropout(gate(pre if vertical is None else pre + vertical)))
        if self.last:
            return x, out
        skip, residual = out.split([out.shape[1] - self.channels, self.channels], dim=1)
        return (residual if self.first else x + residual), skip


def _with_class(x: Tensor, bias: nn.Module | None, condition: Tensor | None) -> Tensor:
    return x if bias is None else x + bias(condition)[:, :, None, None]
