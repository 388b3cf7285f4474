"""Networks that are given a signal piece by piece: causal ones with a state, others with a halo on each side."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import torch
from torch import Tensor, nn

from vqkit.errors import ConfigError
from vqkit.networks import SequenceNetwork, StreamState, is_autoregressive, shape_of


@final
class StateNetwork:
    """A causal network that is given frames after frames, with a state."""

    halo = 0

    def __init__(self, run: Callable[..., Tensor]) -> None:
        self._run = run
        self._state = StreamState()

    def push(self, frames: Tensor | None, *, last: bool) -> Tensor | None:
        """What is known now, or None: nothing yet."""
        found = None if frames is None else self._run(frames, state=self._state)
        if last:
            self._state = StreamState()
        return found


@final
class WindowNetwork:
    """A network that sees a halo on each side of a frame, and is given it anew with each push.

    Args:
        run: the network.
        halo: frames.
        read: values of a frame that it reads.
        emitted: values of a frame that it emits.
    """

    def __init__(self, run: Callable[..., Tensor], halo: int, read: int, emitted: int) -> None:
        self._run, self.halo, self._read, self._emit = run, halo, read, emitted
        self._kept: Tensor | None = None
        self._done = 0  # frames of those kept that have been emitted

    def push(self, frames: Tensor | None, *, last: bool) -> Tensor | None:
        """What is known now, or None: nothing yet."""
        if frames is not None:
            self._kept = frames if self._kept is None else torch.cat([self._kept, frames], dim=2)
        if self._kept is None:
            return None
        kept, done = self._kept, self._done
        count = kept.shape[2] // self._read
        ready = count if last else count - self.halo
        found = None
        if ready > done:
            found = self._run(kept)[:, :, done * self._emit : ready * self._emit]
            drop = max(0, ready - self.halo)
            self._kept, self._done = kept[:, :, drop * self._read :], ready - drop
        if last:
            self._kept, self._done = None, 0
        return found


def piecewise(
    network: nn.Module, role: str, run: Callable[..., Tensor], read: int, emitted: int
) -> StateNetwork | WindowNetwork:
    """Return what gives a network its signal in pieces.

    Args:
        network: an encoder or a decoder of one axis.
        role: ``"encoder"`` or ``"decoder"``, for messages.
        run: the network as the model uses it; it takes ``state=``.
        read: values of a frame that it reads.
        emitted: values of a frame that it emits.

    Raises:
        ConfigError: it is not causal, and says no halo.
    """
    if is_autoregressive(network):
        raise ConfigError(
            f"the {role}, a {type(network).__name__}, reads the signal that it decodes, value by value: it has no "
            "stream; encode and decode whole signals"
        )
    if isinstance(network, SequenceNetwork) and network.causal:
        return StateNetwork(run)
    halo = shape_of(network, role, 1).halo
    if halo is None:
        raise ConfigError(
            f"the {role}, a {type(network).__name__}, says no halo, so it may see the whole signal: a stream needs a "
            "causal network or one with a halo (vqkit.networks.base)"
        )
    return WindowNetwork(run, halo, read, emitted)
