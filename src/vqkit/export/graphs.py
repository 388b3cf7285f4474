"""Graphs of a model: what turns signals into indices (or latents), and back, with named inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from inspect import signature
from typing import Any, final

import torch
from torch import Tensor, nn

from vqkit.coding import per_axis
from vqkit.errors import ConfigError
from vqkit.models import IndexModel, Model
from vqkit.spelling import spelled

_AXES = ((), ("time",), ("height", "width"), ("frames", "height", "width"))
_GRID = ((), ("positions",), ("rows", "columns"), ("slices", "rows", "columns"))
_POSITIONS = 5


@final
@dataclass(frozen=True, eq=False)
class Graph:
    """One function of a model, with what a runtime calls its values.

    Attributes:
        name: of the graph, and of its file.
        module: what computes it, in evaluation mode.
        examples: one tensor for each input.
        inputs: of each, its axes: a number, or the name of an axis of any size.
        outputs: likewise.
        more: what else its readers have to know, for ``export.json``.

    Example:
        >>> import vqkit
        >>> from vqkit.export.graphs import encoder_graph
        >>> encoder_graph(vqkit.VQVAE(16, hidden_channels=8).eval()).inputs
        {'signals': ('batch', 3, 'height', 'width')}
    """

    name: str
    module: nn.Module
    examples: tuple[Tensor, ...]
    inputs: Mapping[str, tuple[int | str, ...]]
    outputs: Mapping[str, tuple[int | str, ...]]
    more: Mapping[str, Any] = field(default_factory=dict)

    def free_axes(self) -> tuple[Any, ...]:
        """Return the axes of each input that are of any size, as ``torch.export`` takes them.

        Of inputs that ``forward`` takes as ``*states`` they are one tuple.
        """
        dynamic = torch.export.Dim.DYNAMIC
        free = [
            {axis: dynamic for axis, size in enumerate(axes) if isinstance(size, str)} for axes in self.inputs.values()
        ]
        rest = [each.kind is each.VAR_POSITIONAL for each in signature(self.module.forward).parameters.values()]
        return (*free[: rest.index(True)], tuple(free[rest.index(True) :])) if any(rest) else tuple(free)

    def describe_parts(self) -> str:
        """Return the names of the classes of the model that may be at fault."""
        model: Any = getattr(self.module, "model", None)
        parts = [getattr(model, name, None) for name in ("encoder", "quantizer", "decoder", "likelihood")]
        return ", ".join(type(part).__name__ for part in parts if part is not None)


class _Encoder(nn.Module):
    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, signals: Tensor) -> Tensor:
        return self.model.encode(signals)


class _Decoder(nn.Module):
    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, codes: Tensor, condition: Tensor | None = None) -> Tensor:
        with self.model.conditioned_on(condition):
            return self.model.expected_signal(self.model.decode_parameters(codes))


def check_exported(model: Any) -> None:
    """Raise ``ConfigError`` for what is no model of signals, or is in training mode."""
    if not isinstance(model, Model):
        raise ConfigError(
            f"a {type(model).__name__} is not exported: give a model of signals (priors go by model.prior)"
        )
    if model.training:
        raise ConfigError("the model is in training mode, in which networks compute otherwise: call model.eval()")


def encoder_graph(model: Model) -> Graph:
    """Return signals to indices (of models without a codebook: latents).

    Raises:
        ConfigError: no such model.
    """
    check_exported(model)
    size = _fixed_size(model)
    axes = size if size is not None else _AXES[model.axes]
    if size is None:
        steps = per_axis(getattr(model, "downsampling", 1), model.axes)
        size = tuple(_POSITIONS * step + (step > 1) for step in steps)
    signals = torch.rand(2, model.channels, *size)
    named = "indices" if model.discrete else "latents"
    return Graph(
        "encoder",
        _Encoder(model),
        (signals,),
        {"signals": ("batch", model.channels, *axes)},
        {named: _code_axes(model)},
    )


def decoder_graph(model: Model) -> Graph:
    """Return indices (or latents) to signals of whole positions of the grid, and the condition beside them if any.

    Raises:
        ConfigError: an autoregressive decoder, which draws value by value.
    """
    check_exported(model)
    if model.autoregressive:
        raise ConfigError(
            f"the decoder, a {type(getattr(model, 'decoder', model)).__name__}, is autoregressive: it draws a signal "
            "value by value, which is no graph; export the encoder alone: "
            + spelled(python="parts=['encoder']", command="--part encoder")
        )
    codes_axes = _code_axes(model)
    shape = [2, *(axis if isinstance(axis, int) else _POSITIONS for axis in codes_axes[1:])]
    codes = torch.zeros(shape, dtype=torch.int64) if model.discrete else torch.randn(shape)
    inputs: dict[str, tuple[int | str, ...]] = {"indices" if model.discrete else "latents": codes_axes}
    examples = [codes]
    conditions = model.conditions
    if conditions:
        inputs["condition"] = ("batch",) if conditions.dim is None else ("batch", conditions.dim)
        examples.append(torch.zeros(2, dtype=torch.int64) if conditions.dim is None else torch.zeros(2, conditions.dim))
    size = _fixed_size(model)
    axes = size if size is not None else tuple(f"padded_{name}" for name in _AXES[model.axes])
    return Graph("decoder", _Decoder(model), tuple(examples), inputs, {"signals": ("batch", model.channels, *axes)})


def _fixed_size(model: Model) -> tuple[int, ...] | None:
    """The only size of signals that a model reads; None: any."""
    if not model.axes:
        return ()
    size = getattr(model, "size", None) or model.only_size
    return tuple(size) if size else None


def _code_axes(model: Model) -> tuple[int | str, ...]:
    if not isinstance(model, IndexModel):
        channels = model.latent_dim
        grid = () if _fixed_size(model) is not None else _GRID[model.axes]
        return ("batch", channels, *grid)
    several = (model.num_codebooks,) if model.num_codebooks > 1 else ()
    return ("batch", *_GRID[model.axes], *several)
