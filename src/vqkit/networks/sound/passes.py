"""State of one pass through the layers of a network for sound: whole, padded, or one chunk of a stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn


@dataclass(eq=False)
class StreamState:
    """Memory of a causal network between the chunks of a stream.

    Attributes:
        contexts: of each layer the last values that it has read, ``[batch, channels, left]``.
        weights: of each layer as they were at the first chunk, in exact arithmetic.

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
    weights: dict[nn.Module, Tensor] = field(default_factory=dict)


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

    def weight_of(self, layer: nn.Module, make: Callable[[], Tensor]) -> Tensor:
        """A layer's weight in exact arithmetic, made once for a stream."""
        if self.state is None:
            return make()
        if layer not in self.state.weights:
            self.state.weights[layer] = make()
        return self.state.weights[layer]

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
