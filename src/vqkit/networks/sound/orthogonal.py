"""Orthogonal initialization of the convolutions between the blocks of a network for sound."""

from __future__ import annotations

import math

import torch
from torch import nn

from vqkit.networks.sound.layers import Convolution, Upsampling

_BESIDE = 0.3
"""Taps beside the middle one, of a convolution of an odd kernel."""


@torch.no_grad()
def make_orthogonal(layer: Convolution | Upsampling) -> None:
    """Let a layer pass all directions of its input alike at first; its bias is 0.

    Every tap is an orthogonal matrix (Saxe, McClelland and Ganguli 2014, arXiv 1312.6120), so that a network whose
    blocks add little begins as a rotation of its input. With independent random weights and norms between the stages
    the few directions in which the input varies most, such as the loudness, crowd out the others for a long time.

    Args:
        layer: whose weight is set.

    Example:
        >>> import torch
        >>> from vqkit.networks.sound.layers import Convolution
        >>> from vqkit.networks.sound.orthogonal import make_orthogonal
        >>> layer = Convolution(8, 8, 1, causal=True, weight_norm=False)
        >>> make_orthogonal(layer)
        >>> matrix = layer.weight[:, :, 0]
        >>> torch.allclose(matrix @ matrix.T, torch.eye(8), atol=1e-5)
        True
    """
    taps = layer.weight.shape[2]
    sizes = torch.ones(taps)
    if isinstance(layer, Upsampling):
        sizes /= math.sqrt(2)  # two of its windows add up
    elif taps % 2:
        middle = taps - 1 if layer.right == 0 else taps // 2  # the frame that it emits
        sizes[:] = _BESIDE
        sizes[middle] = 1.0
        sizes /= sizes.square().sum().sqrt()
    else:
        sizes /= math.sqrt(taps)
    for tap, size in enumerate(sizes.tolist()):
        matrix = torch.empty(layer.weight.shape[:2])
        nn.init.orthogonal_(matrix)
        layer.weight[:, :, tap] = matrix * size
    layer.bias.zero_()
