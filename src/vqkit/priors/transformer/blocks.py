"""The transformer that both the autoregressive and the masked prior are made of."""

from __future__ import annotations

from typing import cast, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vqkit.errors import ConfigError
from vqkit.ops.buffers import SteadyBuffers
from vqkit.priors.transformer.rotary import rotate, rotations

_EPSILON = 1e-12
"""Of the norms: for a row of zeros only, so that sampling may leave it out."""
_HEAD = 64
"""Numbers in a head, where the number of heads is not given."""


@final
class Attention(nn.Module):
    """Attention of several heads over positions, with one product for queries, keys and values; no biases.

    Queries and keys are rotated (see ``rotations``); ``causal`` lets each position see itself and those before it.
    """

    def __init__(self, channels: int, heads: int, *, causal: bool) -> None:
        super().__init__()
        self.heads = heads
        self.causal = causal
        self.qkv = nn.Linear(channels, 3 * channels, bias=False)
        self.out = nn.Linear(channels, channels, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """``[batch, n, channels]`` to the same; ``cos`` and ``sin`` are ``[n, 2, 1, head_dim]``: of query and key."""
        qkv = self.qkv(x).unflatten(-1, (3, self.heads, -1))
        q, k = rotate(qkv[:, :, :2], cos, sin).unbind(2)
        v = qkv[:, :, 2]
        attended = F.scaled_dot_product_attention(
            q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), is_causal=self.causal
        )
        mixed: Tensor = self.out(attended.transpose(1, 2).flatten(2))
        return mixed


@final
class SwiGLU(nn.Module):
    """``down(silu(a) * b)`` of two linear maps a, b (Shazeer 2020, arXiv 2002.05202), 8/3 as wide inside; no biases."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = -(-8 * channels // (3 * 32)) * 32
        self.up = nn.Linear(channels, 2 * inner, bias=False)
        self.down = nn.Linear(inner, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """``[..., channels]`` to the same."""
        a, b = self.up(x).chunk(2, dim=-1)
        result: Tensor = self.down(F.silu(a) * b)
        return result


@final
class Block(nn.Module):
    """``x + attention(norm(x))``, then ``x + swiglu(norm(x))``, with RMS norms (arXiv 1910.07467)."""

    def __init__(self, channels: int, heads: int, dropout: float, *, causal: bool) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(channels, eps=_EPSILON)
        self.attention = Attention(channels, heads, causal=causal)
        self.mlp_norm = nn.RMSNorm(channels, eps=_EPSILON)
        self.mlp = SwiGLU(channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """``[batch, n, channels]`` to the same; see ``Attention``."""
        x = x + self.dropout(self.attention(self.attention_norm(x), cos, sin))
        return x + self.dropout(self.mlp(self.mlp_norm(x)))


@final
class Trunk(SteadyBuffers):
    """Blocks one after another and a last norm: from tokens at n positions to features of them.

    A query turns by the position that it asks for and a key by the one that it holds, which differ where a token at
    one place predicts the next. Weights are drawn so that every block adds little at first: those that add to the
    stream with variance 1 / (2 layers inputs), the others 1 / inputs.

    Args:
        channels: width.
        layers: blocks.
        heads: of attention; None: as many as make heads of about 64 numbers.
        dropout: probability of dropping a number that a block adds, in training.
        queries: coordinates ``[n, axes]`` of what each position asks for.
        keys: coordinates ``[n, axes]`` of what each position holds.
        longest: positions on the longest axis.
        causal: whether a position sees only itself and those before.

    Raises:
        ConfigError: a number out of range, or heads that do not divide the width into even parts.
    """

    cos: Tensor
    sin: Tensor

    def __init__(
        self,
        channels: int,
        layers: int,
        heads: int | None,
        dropout: float,
        *,
        queries: Tensor,
        keys: Tensor,
        longest: int,
        causal: bool,
    ) -> None:
        super().__init__()
        self.heads = _checked(channels, layers, heads, dropout)
        self.channels = channels
        self.blocks = nn.ModuleList(Block(channels, self.heads, dropout, causal=causal) for _ in range(layers))
        self.norm = nn.RMSNorm(channels, eps=_EPSILON)
        head_dim = channels // self.heads
        self._positions = queries, keys
        self._turns = head_dim, longest
        self.register_constants()
        for block in self.each_block():
            for linear, scale in (
                (block.attention.qkv, 1.0),
                (block.attention.out, 2.0 * layers),
                (block.mlp.up, 1.0),
                (block.mlp.down, 2.0 * layers),
            ):
                nn.init.normal_(linear.weight, std=(scale * linear.in_features) ** -0.5)

    def constants(self) -> dict[str, Tensor]:
        """See ``SteadyBuffers.constants``: the rotations of queries and keys, ``[n, 2, 1, head_dim]``."""
        of_query, of_key = (rotations(positions, *self._turns) for positions in self._positions)
        pairs = zip(("cos", "sin"), of_query, of_key, strict=True)
        return {name: torch.stack([query, key], dim=1).unsqueeze(2) for name, query, key in pairs}

    def each_block(self) -> list[Block]:
        """The blocks, in order."""
        return cast("list[Block]", list(self.blocks))

    def forward(self, x: Tensor) -> Tensor:
        """``[batch, n, channels]`` to features of the same shape."""
        cos, sin = self.cos.to(x.dtype), self.sin.to(x.dtype)
        for block in self.each_block():
            x = block(x, cos, sin)
        result: Tensor = self.norm(x)
        return result

    def bytes_per_row(self) -> int:
        """Memory of one grid's keys and values."""
        weight = self.norm.weight
        return 2 * len(self.blocks) * len(self.cos) * self.channels * weight.element_size()


def _checked(channels: int, layers: int, heads: int | None, dropout: float) -> int:
    """The number of heads; raises ``ConfigError`` for what makes no transformer."""
    if channels < 2 or channels % 2:
        raise ConfigError(f"hidden_channels={channels}: rotary positions turn pairs of numbers: give an even number")
    if layers < 1:
        raise ConfigError(f"layers={layers}: give 1 or more")
    if not 0.0 <= dropout < 1.0:
        raise ConfigError(f"dropout={dropout}: give a probability in [0, 1)")
    fitting = [each for each in range(1, channels // 2 + 1) if channels % (2 * each) == 0]
    if heads is None:
        return max(each for each in fitting if each <= max(1, channels // _HEAD))
    if heads not in fitting:
        raise ConfigError(
            f"heads={heads}: each takes an equal and even part of hidden_channels={channels}; give one of "
            f"{', '.join(map(str, fitting))}"
        )
    return heads
