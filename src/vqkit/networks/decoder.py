"""The paper's decoder, for signals of 0 to 3 axes."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from vqkit.networks.layers import ConvNetwork, ResidualBlock, convolution, doubling, layer_widths


class Decoder(ConvNetwork):
    """The paper's decoder: a 3x3 convolution, residual blocks, and one doubling per halving of the encoder.

    The mirror of ``Encoder``: ``[batch, code_dim, *grid]`` to ``[batch, channels, *(grid * downsampling)]``. With
    ``head_channels`` one more non-linear layer at full resolution, for the many parameters of a likelihood.

    Example:
        >>> import torch
        >>> from vqkit.networks import Decoder
        >>> decoder = Decoder(axes=2, channels=3, code_dim=8, downsampling=4, hidden_channels=16,
        ...                   residual_blocks=1, residual_channels=8)
        >>> decoder(torch.randn(2, 8, 8, 8)).shape
        torch.Size([2, 3, 32, 32])
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
        upsampling: str = "transposed",
        head_channels: int = 0,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [convolution(axes, code_dim, hidden_channels, 3)]
        layers += [ResidualBlock(axes, hidden_channels, residual_channels) for _ in range(residual_blocks)]
        layers.append(nn.ReLU(inplace=True))
        inwards = layer_widths(downsampling, hidden_channels, widths)
        last = head_channels or channels
        outwards = [*reversed(inwards[:-1]), last] if inwards else []
        current = hidden_channels
        for number, width in enumerate(outwards):
            if number:
                layers.append(nn.ReLU(inplace=True))
            layers.append(doubling(axes, current, width, upsampling))
            current = width
        if not outwards:
            layers.append(convolution(axes, current, last, 3))
        if head_channels:
            layers += [nn.ReLU(inplace=True), convolution(axes, head_channels, channels, 1)]
        self.layers = nn.Sequential(*layers)
        self._describe(code_dim, channels, axes, downsampling, residual_blocks)

    def forward(self, quantized: Tensor) -> Tensor:
        """The signal of quantized latents, in the normalised units that the encoder reads."""
        signal: Tensor = self.layers(quantized)
        return signal
