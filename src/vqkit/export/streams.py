"""Graphs of one step of a stream of sound: a chunk and the state before it, to what is known and the state after."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from vqkit.coding import per_axis
from vqkit.errors import ConfigError
from vqkit.export.graphs import Graph, check_exported
from vqkit.models import Model
from vqkit.networks import SequenceNetwork, StreamState

_FRAMES = 3


def stream_graphs(model: Model) -> list[Graph]:
    """Return the graphs of a step of the encoder and of the decoder.

    A step reads whole frames, any number of them, and a state for each layer that looks back: zeros at the beginning,
    then what the step before gave. The indices, and the samples, are those of the whole signal.

    Raises:
        ConfigError: signals of other than one axis, networks that are not causal, or a decoder with a condition.

    Example:
        >>> import vqkit
        >>> from vqkit.export.streams import stream_graphs
        >>> net = {"type": "seanet", "config": {"strides": [2, 4], "hidden_channels": 8}}
        >>> model = vqkit.VQVAE(16, axes=1, channels=1, code_dim=4, encoder=net, decoder=net).eval()
        >>> encoder, decoder = stream_graphs(model)
        >>> list(encoder.inputs)[:2], list(encoder.outputs)[:2]
        (['signals', 'state_0'], ['indices', 'next_state_0'])
    """
    check_exported(model)
    why = no_stream(model)
    if why is not None:
        raise ConfigError(f"no step of a stream is exported: {why}; leave the part 'stream' out")
    parts: Any = model
    step = per_axis(parts.downsampling, 1)[0]
    chunk = torch.zeros(2, model.channels, _FRAMES * step)
    first = _StreamEncoder(model)
    with torch.no_grad():
        indices = first.learn_states(chunk)
    several = tuple(indices.shape[2:])
    encoder = first.graph("stream_encoder", ("signals", chunk, ("batch", model.channels, "time")), ("indices", several))
    second = _StreamDecoder(model)
    with torch.no_grad():
        second.learn_states(indices)
    axes: tuple[int | str, ...] = ("batch", "positions", *several)
    read = ("indices", indices, axes)
    return [encoder, second.graph("stream_decoder", read, ("signals", (model.channels,)))]


def no_stream(model: Model) -> str | None:
    """Return in words why a model has no step of a stream; None: it has one."""
    if model.axes != 1 or not model.discrete:
        return f"a stream is of the indices of sounds, and this is a {type(model).__name__} of {model.kind.noun[1]}"
    if model.conditions:
        return "its decoder has a condition"
    for role in ("encoder", "decoder"):
        network = getattr(model, role)
        if not (isinstance(network, SequenceNetwork) and network.causal) or model.autoregressive:
            return f"the {role}, a {type(network).__name__}, is not causal"
    return None


class _Step(nn.Module, ABC):
    """A step: the layers that look back, in the order in which they were first asked, and what they keep."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.halves = model.stream().halves
        self.layers: list[nn.Module] = []
        self.states: list[Tensor] = []

    @abstractmethod
    def compute(self, given: Tensor, state: StreamState) -> Tensor:
        """What comes of the next frames, after the state."""

    def learn_states(self, given: Tensor) -> Tensor:
        """Compute a first step as the graph does, and note who keeps what."""
        state = StreamState()
        with torch.enable_grad():  # the way of graphs, not the one of fixed-point products
            found = self.compute(given, state)
        self.layers = list(state.contexts)
        self.states = [torch.zeros_like(kept, requires_grad=False) for kept in state.contexts.values()]
        return found

    def forward(self, given: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        state = StreamState(contexts=dict(zip(self.layers, states, strict=True)))
        found = self.compute(given, state)
        return (found, *(state.contexts[layer] for layer in self.layers))

    def graph(
        self, name: str, read: tuple[str, Tensor, tuple[int | str, ...]], emitted: tuple[str, tuple[int, ...]]
    ) -> Graph:
        axes = {number: ("batch", *state.shape[1:]) for number, state in enumerate(self.states)}
        inputs = {read[0]: read[2], **{f"state_{number}": each for number, each in axes.items()}}
        first = ("batch", "positions", *emitted[1]) if emitted[0] == "indices" else ("batch", *emitted[1], "time")
        outputs = {emitted[0]: first, **{f"next_state_{number}": each for number, each in axes.items()}}
        dtypes = [str(state.dtype).removeprefix("torch.") for state in self.states]
        more = {"first_state": "zeros", "state_dtypes": dtypes}
        return Graph(name, self, (read[1].detach(), *self.states), inputs, outputs, more)


class _StreamEncoder(_Step):
    def compute(self, given: Tensor, state: StreamState) -> Tensor:
        return self.halves.choose(self.halves.encode(self.halves.normalize(given), state=state))


class _StreamDecoder(_Step):
    def compute(self, given: Tensor, state: StreamState) -> Tensor:
        raw = self.halves.decode(self.halves.look_up(given), state=state)
        return self.model.expected_signal(raw.to(torch.promote_types(raw.dtype, torch.float32)))
