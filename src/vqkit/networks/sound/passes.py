"""State of one pass through the layers of a network for sound: whole, padded, or one chunk of a stream."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_MUCH = 64
"""Times as long as its context a chunk is not kept for it; a shorter one is: a copy takes a call."""


@dataclass(eq=False)
class StreamState:
    """Memory of a causal network between the chunks of a stream.

    Attributes:
        contexts: of each layer the last values that it has read, ``[batch, channels, left]`` (in fixed point without a
            gradient ``[batch, left, channels]``).
        prepared: what each layer needs of its parameters in fixed point, as they were at the first chunk.

    Example:
        >>> import torch
        >>> from vqkit.networks.sound import SEANetEncoder, StreamState
        >>> encoder, state = SEANetEncoder(1, 4, strides=[2, 3], hidden_channels=8).eval(), StreamState()
        >>> x = torch.rand(1, 1, 60)
        >>> parts = [encoder(chunk, state=state) for chunk in x.split(12, dim=2)]
        >>> torch.equal(torch.cat(parts, dim=2), encoder(x))
        True
    """

    contexts: dict[nn.Module, Tensor] = field(default_factory=dict)
    prepared: dict[nn.Module, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Pass:
    """How the layers are to compute.

    Attributes:
        exact: whether in fixed point (``vqkit.networks.sound.fixed_point``).
        frames: ``[batch, grid]`` bool, False for frames that lie behind the end of an item; None: all count.
        state: of a stream; None: the signal is whole.
    """

    exact: bool = False
    frames: Tensor | None = None
    state: StreamState | None = None
    _masks: dict[int, Tensor] = field(default_factory=dict)

    def padded(self, layer: nn.Module, x: Tensor, left: int, right: int) -> Tensor:
        """``x`` ``[batch, time, channels]`` between the values before it and ``right`` zeros, zeros behind its ends."""
        if self.frames is not None:
            x = x * self._mask(x.shape[1])
        if self.state is None:
            return functional.pad(x, (0, 0, left, right))
        before = self.state.contexts.get(layer)
        if before is None:
            x = functional.pad(x, (0, 0, left, 0))
        elif left:
            x = torch.cat([before, x], dim=1)
        context = x[:, x.shape[1] - left :]
        self.state.contexts[layer] = context.clone() if x.shape[1] > _MUCH * left else context
        return functional.pad(x, (0, 0, 0, right)) if right else x

    def _mask(self, length: int) -> Tensor:
        """``[batch, length, 1]`` float64, 0 behind the end of an item."""
        if length not in self._masks:
            assert self.frames is not None
            kept = self.frames.repeat_interleave(length // self.frames.shape[1], dim=1)
            self._masks[length] = kept.unsqueeze(2).double()
        return self._masks[length]

    def with_context(self, layer: nn.Module, x: Tensor, left: int) -> Tensor:
        """``x`` behind the ``left`` values that came before it: those of the last chunk, zeros at the beginning."""
        if not left:
            return x
        before = None if self.state is None else self.state.contexts.get(layer)
        if before is None:
            before = x.new_zeros(*x.shape[:2], left)
        joined = torch.cat([before, x], dim=2)
        if self.state is not None:
            self.state.contexts[layer] = joined[:, :, joined.shape[2] - left :]
        return joined

    def ended(self, x: Tensor) -> Tensor:
        """``x`` with zeros behind the end of each item, as a layer pads an item that is alone."""
        if self.frames is None:
            return x
        kept = self.frames.repeat_interleave(x.shape[2] // self.frames.shape[1], dim=1).unsqueeze(1)
        return torch.where(kept, x, x.new_zeros(()))
