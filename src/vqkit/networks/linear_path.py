"""A linear encoder and decoder beside the networks: blocks of the signal, projected, and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vqkit.coding import per_axis
from vqkit.ops.linear import principal

_EXACT_BLOCK = 1024
_CONV: dict[int, Any] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_TRANSPOSED: dict[int, Any] = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


class LinearPath(nn.Module):
    """Each block of ``downsampling`` values on every axis times one matrix to the latents; its transpose back.

    Beside an encoder and a decoder network it gives them the linear solution to begin with (``set_rows``), so that
    they learn what it lacks. Both matrices are trained on.

    Args:
        axes: of the signal.
        channels: of the signal.
        dimension: of the latents at each position.
        downsampling: values in a block on each axis: one number for all axes, or one for each.
        size: of the signals, when a block is the whole signal and the latents are one vector.

    Example:
        >>> import torch
        >>> from vqkit.networks import LinearPath
        >>> path = LinearPath(axes=2, channels=1, dimension=4, downsampling=2)
        >>> path.set_rows(torch.eye(4))  # all directions of a block of 2 x 2 pixels: nothing is lost
        >>> x = torch.rand(1, 1, 8, 8)
        >>> path.encode(x).shape, torch.allclose(path.decode(path.encode(x)), x)
        (torch.Size([1, 4, 4, 4]), True)
    """

    def __init__(
        self,
        axes: int,
        channels: int,
        dimension: int,
        downsampling: int | Sequence[int],
        size: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self._steps = per_axis(downsampling, axes)
        self.whole = size is not None
        self.size = tuple(size or ())
        self.block = channels * (math.prod(self.size if self.whole else self._steps))
        self.channels = channels
        self.dimension = dimension
        self.axes = 0 if self.whole else axes
        if self.whole:
            self.analysis: nn.Module = nn.Linear(self.block, dimension)
            self.synthesis: nn.Module = nn.Linear(dimension, self.block)
        elif axes == 0:
            self.analysis = nn.Linear(channels, dimension, bias=False)
            self.synthesis = nn.Linear(dimension, channels, bias=False)
        else:
            shape: dict[str, Any] = {"kernel_size": self._steps, "stride": self._steps, "bias": False}
            self.analysis = _CONV[axes](channels, dimension, **shape)
            self.synthesis = _TRANSPOSED[axes](dimension, channels, **shape)

    def encode(self, x: Tensor) -> Tensor:
        """Latents ``[batch, dimension, *grid]`` (or ``[batch, dimension]``) of signals ``[batch, channels, *size]``."""
        latents: Tensor = self.analysis(x.flatten(1) if self.whole else x)
        return latents

    def decode(self, latents: Tensor) -> Tensor:
        """Signals ``[batch, channels, *size]`` of latents."""
        x: Tensor = self.synthesis(latents)
        return x.unflatten(1, (self.channels, *self.size)) if self.whole else x

    @torch.no_grad()
    def set_rows(self, rows: Tensor, scales: Tensor | None = None, mean: Tensor | None = None) -> None:
        """Project on these orthonormal rows ``[dimension, block]``, and back by the transpose.

        Args:
            rows: the directions.
            scales: ``[dimension]``: latents are divided by these, and multiplied on the way back.
            mean: ``[block]``, taken off first and added last; only where a block is the whole signal.
        """
        analysis, synthesis = self.analysis.weight, self.synthesis.weight
        assert isinstance(analysis, Tensor)
        assert isinstance(synthesis, Tensor)
        inwards, outwards = (rows, rows) if scales is None else (rows / scales[:, None], rows * scales[:, None])
        analysis.copy_(inwards.view(analysis.shape))
        synthesis.copy_(outwards.T.reshape(synthesis.shape) if self.axes == 0 else outwards.view(synthesis.shape))
        if self.whole and mean is not None:
            assert isinstance(self.analysis.bias, Tensor)
            assert isinstance(self.synthesis.bias, Tensor)
            self.analysis.bias.copy_(-inwards @ mean.to(inwards.dtype))
            self.synthesis.bias.copy_(mean)

    @torch.no_grad()
    def fit(self, signals: Sequence[Tensor], groups: int, *, whitened: bool) -> None:
        """Begin as the principal components of the blocks of some signals.

        Args:
            signals: batches ``[batch, channels, *size]``, as the encoder reads them.
            groups: of latents that are quantized each on its own (see ``balanced``).
            whitened: whether the latents begin with unit variance.
        """
        streamed = [self.blocks(batch) for batch in signals]
        few = min(self.dimension, self.block, sum(len(part) for part in streamed))
        method: Any = "exact" if self.block <= _EXACT_BLOCK else "randomised"
        found = principal.principal_components(lambda: streamed, few, method=method)
        rows = torch.zeros(self.dimension, self.block, dtype=torch.float32)
        variances = torch.zeros(self.dimension, dtype=torch.float32)
        rows[:few], variances[:few] = found.components.float(), found.variances.float()
        order, device = balanced(variances, groups), next(self.parameters()).device
        scales = variances[order].clamp_min(1e-6).sqrt().to(device) if whitened else None
        self.set_rows(rows[order].to(device), scales, found.mean.float().to(device))

    def blocks(self, x: Tensor) -> Tensor:
        """The blocks of signals ``[batch, channels, *size]`` as rows ``[N, block]``."""
        if self.whole:
            return x.flatten(1)
        for axis, step in enumerate(self._steps):
            x = x.unfold(2 + axis, step, step)
        order = [0, *range(2, 2 + self.axes), 1, *range(2 + self.axes, 2 + 2 * self.axes)]
        return x.permute(order).reshape(-1, self.block)


def balanced(variances: Tensor, groups: int) -> list[int]:
    """Assign directions to ``groups`` groups of equal size whose volumes are alike.

    The eigenvalue allocation of optimised product quantisation (Ge, He, Ke and Sun 2013, section 3.2.2): directions by
    falling variance, each to the group with the smallest product of variances that still has room.

    Returns:
        The numbers of the directions, group after group.

    Example:
        >>> import torch
        >>> from vqkit.networks import balanced
        >>> balanced(torch.tensor([8.0, 4.0, 2.0, 1.0]), 2)  # the groups {8, 1} and {4, 2} have equal volumes
        [0, 3, 1, 2]
    """
    room = len(variances) // groups
    chosen: list[list[int]] = [[] for _ in range(groups)]
    volumes = [0.0] * groups
    for number in variances.argsort(descending=True, stable=True).tolist():
        group = min((g for g in range(groups) if len(chosen[g]) < room), key=lambda g: volumes[g])
        chosen[group].append(number)
        volumes[group] += math.log(max(float(variances[number]), 1e-12)) + 40  # so that a member always adds
    return [number for group in chosen for number in group]


@torch.no_grad()
def silence(network: nn.Module, outputs: Tensor | None = None) -> None:
    """Let the last layer of a network emit zeros at first; with ``outputs``, only where these are 1.

    The other parameters of a mixture must stay random: components that begin alike get the same gradient for ever.
    """
    last = [module for module in network.modules() if isinstance(getattr(module, "weight", None), nn.Parameter)][-1]
    for parameter in last.parameters():
        if outputs is None or outputs.all():
            parameter.zero_()
        else:  # a convolution of a likelihood's head: one row for each output
            parameter[outputs > 0] = 0.0
