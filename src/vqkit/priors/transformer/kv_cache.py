"""A causal transformer one position after another, with the keys and values of earlier ones kept."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vqkit.priors.transformer.blocks import Block, Trunk
from vqkit.priors.transformer.packed_linear import product
from vqkit.priors.transformer.rotary import rotate

_TINY = 1e-30
"""A row of zeros stays one."""


@final
class KeyValueCache:
    """The keys and values of one pass through a causal ``Trunk``, in buffers that are allocated once.

    A step reads the part of the buffers that is filled, as a slice, without a mask or a copy. Nothing in it waits for
    the device, and every shape is known beforehand. The same sums as ``Trunk.forward``, in another order: what a norm
    multiplies by is multiplied into the weight behind it, so that a step divides by the length and no more.
    A window of several positions overwrites what was there, and may begin at any position whose beginning is filled.

    Args:
        trunk: in evaluation mode; without gradient.
        rows: grids.
    """

    def __init__(self, trunk: Trunk, rows: int) -> None:
        weight = trunk.norm.weight
        layers = trunk.each_block()
        shape = (len(layers), rows, 2, trunk.heads, len(trunk.cos), trunk.channels // trunk.heads)
        buffers = torch.empty(shape, dtype=weight.dtype, device=weight.device)
        self._layers = [_Layer(*pair, rows) for pair in zip(layers, buffers.unbind(), strict=True)]
        # values are turned by nothing, so that one product turns all three
        self._cos = F.pad(trunk.cos, (0, 0, 0, 0, 0, 1), value=1.0).to(weight.dtype).unbind()
        self._sin = F.pad(trunk.sin, (0, 0, 0, 0, 0, 1), value=0.0).to(weight.dtype).unbind()
        self._scale = weight * trunk.channels**0.5

    def step(self, x: Tensor, position: int) -> Tensor:
        """The features ``[rows, channels]`` of a position from its token; positions come in order, from 0."""
        cos, sin = self._cos[position], self._sin[position]
        for layer in self._layers:
            x = layer.step(x, position, cos, sin)
        return _unit(x) * self._scale

    def window(self, x: Tensor, start: int) -> Tensor:
        """The features ``[rows, w, channels]`` of w positions from ``start`` on, from their tokens."""
        end = start + x.shape[1]
        cos, sin = torch.stack(self._cos[start:end]), torch.stack(self._sin[start:end])
        places = torch.arange(end, device=x.device)
        seen = places <= places[start:, None]
        for layer in self._layers:
            x = layer.window(x, start, cos, sin, seen)
        return _unit(x) * self._scale


class _Layer:
    """One block's step; ``buffer`` is ``[rows, 2, heads, n, head_dim]``."""

    def __init__(self, block: Block, buffer: Tensor, rows: int) -> None:
        attention, mlp = block.attention, block.mlp
        self._heads = (3, attention.heads, -1)
        self._buffer = buffer
        self._qkv = product(_behind(block.attention_norm, attention.qkv), rows)
        self._out = product(attention.out.weight, rows)
        self._up = product(_behind(block.mlp_norm, mlp.up), rows)
        self._down = product(mlp.down.weight, rows)

    def step(self, x: Tensor, position: int, cos: Tensor, sin: Tensor) -> Tensor:
        """``[rows, channels]`` to the same; ``cos`` and ``sin`` are ``[3, 1, head_dim]``: of query, key and value."""
        turned = rotate(self._qkv(_unit(x)).unflatten(-1, self._heads), cos, sin)
        self._buffer.select(3, position).copy_(turned[:, 1:])
        keys, values = self._buffer.narrow(3, 0, position + 1).unbind(1)
        attended = F.scaled_dot_product_attention(turned[:, 0].unsqueeze(2), keys, values)
        return self._mixed(x, attended.flatten(1))

    def window(self, x: Tensor, start: int, cos: Tensor, sin: Tensor, seen: Tensor) -> Tensor:
        """``[rows, w, channels]`` to the same; ``cos`` and ``sin`` are ``[w, 3, 1, head_dim]``, ``seen`` ``[w, n]``."""
        rows, width, _ = x.shape
        flat = x.flatten(0, 1)
        turned = rotate(self._qkv(_unit(flat)).view(rows, width, *self._heads), cos, sin).permute(0, 2, 3, 1, 4)
        self._buffer.narrow(3, start, width).copy_(turned[:, 1:])
        keys, values = self._buffer.narrow(3, 0, start + width).unbind(1)
        attended = F.scaled_dot_product_attention(turned[:, 0], keys, values, attn_mask=seen)
        return self._mixed(flat, attended.transpose(1, 2).flatten(2).flatten(0, 1)).view_as(x)

    def _mixed(self, x: Tensor, attended: Tensor) -> Tensor:
        """``[rows, channels]``: the rest of the block behind its attention."""
        x = x + self._out(attended)
        a, b = self._up(_unit(x)).chunk(2, dim=-1)
        return x + self._down(F.silu(a).mul_(b))


def _unit(x: Tensor) -> Tensor:
    """``x`` ``[rows, channels]`` divided by the length of each row."""
    return x / torch.linalg.vector_norm(x, dim=-1, keepdim=True).add_(_TINY)


def _behind(norm: nn.RMSNorm, linear: nn.Linear) -> Tensor:
    """The weight that does to a row of length 1 what the norm and the linear map do to any multiple of it."""
    return linear.weight * (norm.weight * linear.in_features**0.5)
