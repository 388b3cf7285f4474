"""The paper's encoder and decoder on a fine grid, whose cells are positions of a coarse one: for levels of codes."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from vqkit.errors import ConfigError
from vqkit.networks.base import Network
from vqkit.networks.decoder import Decoder
from vqkit.networks.encoder import Encoder
from vqkit.ops.cells import fold_cells, unfold_cells


class FoldedEncoder(Network):
    """The paper's encoder with ``downsampling / cell``, its cells folded: ``[batch, code_dim, *(size/downsampling)]``.

    ``code_dim`` is ``cell^axes`` times the latents of a position of the fine grid. For quantizers of several levels
    (``HierarchicalQuantizer``, ``MultiScaleQuantizer``), which unfold the cells again.

    Args:
        cell: positions of the fine grid on each axis of a position of the coarse one.
        axes, channels, code_dim, downsampling: see ``Encoder``.
        hidden_channels, residual_blocks, residual_channels, widths: see ``Encoder``.

    Raises:
        ConfigError: a downsampling or a code_dim that the cell does not divide.

    Example:
        >>> import torch
        >>> from vqkit.networks import FoldedEncoder
        >>> encoder = FoldedEncoder(cell=2, axes=2, channels=3, code_dim=32, downsampling=8, hidden_channels=16,
        ...                         residual_blocks=1, residual_channels=8)
        >>> encoder(torch.rand(2, 3, 32, 32)).shape
        torch.Size([2, 32, 4, 4])
    """

    supported_axes = (1, 2, 3)
    mirrored = ("cell",)

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
        cell: int = 2,
    ) -> None:
        super().__init__()
        fine, dim = _divided(downsampling, code_dim, cell, axes)
        self.inner = Encoder(
            axes=axes,
            channels=channels,
            code_dim=dim,
            downsampling=fine,
            hidden_channels=hidden_channels,
            residual_blocks=residual_blocks,
            residual_channels=residual_channels,
            widths=widths,
        )
        self.in_channels, self.out_channels, self.downsampling, self.cell = channels, code_dim, downsampling, cell

    def forward(self, x: Tensor) -> Tensor:
        """Folded latents of a signal."""
        return fold_cells(self.inner(x), self.cell)


class FoldedDecoder(Network):
    """The mirror of ``FoldedEncoder``: cells are unfolded, and the paper's decoder reads the fine grid.

    Args:
        cell: see ``FoldedEncoder``; in a model it is the encoder's.
        axes, channels, code_dim, downsampling: see ``Decoder``.
        hidden_channels, residual_blocks, residual_channels, widths, upsampling, head_channels: see ``Decoder``.

    Raises:
        ConfigError: a downsampling or a code_dim that the cell does not divide.

    Example:
        >>> import torch
        >>> from vqkit.networks import FoldedDecoder
        >>> decoder = FoldedDecoder(cell=2, axes=2, channels=3, code_dim=32, downsampling=8, hidden_channels=16,
        ...                         residual_blocks=1, residual_channels=8)
        >>> decoder(torch.randn(2, 32, 4, 4)).shape
        torch.Size([2, 3, 32, 32])
    """

    supported_axes = (1, 2, 3)
    mirrored = ("cell",)

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
        cell: int = 2,
    ) -> None:
        super().__init__()
        fine, dim = _divided(downsampling, code_dim, cell, axes)
        self.inner = Decoder(
            axes=axes,
            channels=channels,
            code_dim=dim,
            downsampling=fine,
            hidden_channels=hidden_channels,
            residual_blocks=residual_blocks,
            residual_channels=residual_channels,
            widths=widths,
            upsampling=upsampling,
            head_channels=head_channels,
        )
        self.in_channels, self.out_channels, self.downsampling, self.cell = code_dim, channels, downsampling, cell

    def forward(self, quantized: Tensor) -> Tensor:
        """The signal of folded latents."""
        signal: Tensor = self.inner(unfold_cells(quantized, self.cell))
        return signal


def _divided(downsampling: int, code_dim: int, cell: int, axes: int) -> tuple[int, int]:
    if cell < 2 or downsampling % cell:
        raise ConfigError(f"downsampling={downsampling} with cells of {cell}: give a multiple of it, and cells of 2 up")
    if code_dim % cell**axes:
        raise ConfigError(f"code_dim={code_dim} with cells of {cell}: give a multiple of {cell**axes}")
    return downsampling // cell, code_dim // cell**axes
