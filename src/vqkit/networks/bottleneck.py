"""From a grid of features to one vector for the whole signal, and back."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from vqkit.errors import DataError


class ToVector(nn.Module):
    """All positions of ``[batch, channels, *grid]`` through one linear layer to ``[batch, dimension]``.

    Example:
        >>> import torch
        >>> from vqkit.networks import ToVector
        >>> ToVector(32, (4, 4), 10)(torch.randn(2, 32, 4, 4)).shape
        torch.Size([2, 10])
    """

    def __init__(self, channels: int, grid: Sequence[int], dimension: int) -> None:
        super().__init__()
        self.grid = tuple(grid)
        self.linear = nn.Linear(channels * math.prod(grid), dimension)

    def forward(self, features: Tensor) -> Tensor:
        """The vector of a grid of features.

        Raises:
            DataError: another grid than the layer was made for (signals of another size).
        """
        if tuple(features.shape[2:]) != self.grid:
            raise DataError(
                f"the signal has a grid of {tuple(features.shape[2:])} positions, but a vector of latents belongs to "
                f"signals of one size, here a grid of {self.grid}; latent='grid' takes any size"
            )
        vector: Tensor = self.linear(features.flatten(1))
        return vector


class FromVector(nn.Module):
    """``[batch, dimension]`` through one linear layer to ``[batch, channels, *grid]``.

    Example:
        >>> import torch
        >>> from vqkit.networks import FromVector
        >>> FromVector(10, 32, (4, 4))(torch.randn(2, 10)).shape
        torch.Size([2, 32, 4, 4])
    """

    def __init__(self, dimension: int, channels: int, grid: Sequence[int]) -> None:
        super().__init__()
        self.shape = (channels, *grid)
        self.linear = nn.Linear(dimension, channels * math.prod(grid))

    def forward(self, vector: Tensor) -> Tensor:
        """The grid of features of a vector."""
        features: Tensor = self.linear(vector)
        return features.unflatten(1, self.shape)
