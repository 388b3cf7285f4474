"""The paper's encoder, for signals of 0 to 3 axes."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from vqkit.networks.layers import ConvNetwork, ResidualBlock, convolution, halving, layer_widths


class Encoder(ConvNetwork):
    """The paper's encoder: strided convolutions, a 3x3 one, residual blocks, and a 1x1 one to the latents.

    Section 4.1 of arXiv 1711.00937 in the widths of sonnet's example: ``[batch, channels, *size]`` to
    ``[batch, code_dim, *(size / downsampling)]``. Every axis of the input must be a multiple of ``downsampling``
    (see ``pad_to_multiple``).

    Example:
        >>> import torch
        >>> from vqkit.networks import Encoder
        >>> encoder = Encoder(axes=2, channels=3, code_dim=8, downsampling=4, hidden_channels=16,
        ...                   residual_blocks=1, residual_channels=8)
        >>> encoder(torch.rand(2, 3, 32, 32)).shape, encoder.in_channels, encoder.out_channels
        (torch.Size([2, 8, 8, 8]), 3, 8)
    """

    def __init__(
        self,
        *,
        axes: int,
        channels: int,
        code_dim: int,
        downsampling: int,
        hidden_channels: int,
        residual_blocks: int,
        residual_channels: int,
        widths: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        current = channels
        for width in layer_widths(downsampling, hidden_channels, widths):
            layers += [halving(axes, current, width), nn.ReLU(inplace=True)]
            current = width
        layers.append(convolution(axes, current, hidden_channels, 3))
        layers += [ResidualBlock(axes, hidden_channels, residual_channels) for _ in range(residual_blocks)]
        layers += [nn.ReLU(inplace=True), convolution(axes, hidden_channels, code_dim, 1)]
        self.layers = nn.Sequential(*layers)
        self._describe(channels, code_dim, axes, downsampling, residual_blocks)

    def forward(self, x: Tensor) -> Tensor:
        """Latents of a signal."""
        latents: Tensor = self.layers(x)
        return latents
