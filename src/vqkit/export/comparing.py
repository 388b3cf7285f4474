"""Comparison of exported graphs with their model over a whole set: equal indices, near ties, and others."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast, final

import numpy as np
import torch
from torch import Tensor

from vqkit.checking import counted
from vqkit.coding import per_axis
from vqkit.export.formats.base import Runner
from vqkit.export.graphs import Graph
from vqkit.models import IndexModel, Model
from vqkit.quantizers.base import flatten_grid

TOLERANCE = 1e-4
"""Of the length of a latent: so far a rounding of floats may move it before a difference is none of rounding."""
SIGNAL_TOLERANCE = 1e-2
"""Of the range of a signal, or the deviations of a latent: roundings of a float stay far below it."""


@final
@dataclass
class Differences:
    """What differs between the graphs of a model and the model itself.

    Attributes:
        data: what was compared over.
        signals: how many.
        indices: how many (of models without a codebook: 0).
        near_ties: indices that differ where two codes are equally near, to ``TOLERANCE``.
        others: indices that differ elsewhere.
        latent_error: largest difference of a latent, in standard deviations (of models without a codebook).
        signal_error: largest difference of a value of decoded signals; None: the decoder was not compared.
    """

    data: str
    signals: int = 0
    indices: int = 0
    near_ties: int = 0
    others: int = 0
    latent_error: float | None = None
    signal_error: float | None = None

    def describe(self) -> str:
        """Return the counts in words."""
        words = f"{counted(self.signals, 'signal')} of {self.data}: "
        if self.indices:
            different = self.near_ties + self.others
            words += f"{different:,} of {counted(self.indices, 'index', 'indices')} differ"
            words += f", {self.near_ties:,} of them near ties" if different else ""
        elif self.latent_error is not None:
            words += f"latents differ by at most {self.latent_error:.1e} standard deviations"
        if self.signal_error is not None:
            words += f"; decoded values by at most {self.signal_error:.1e}"
        return words

    def problem(self, width: float) -> str | None:
        """Return in words why the graphs are not those of the model; None: roundings alone lie between them.

        Args:
            width: of the range of signals, or the standard deviation of those without bounds.
        """
        if self.others:
            return f"of {self.describe()}, and {self.others:,} are none"
        far = (self.latent_error or 0.0) > SIGNAL_TOLERANCE or (self.signal_error or 0.0) > SIGNAL_TOLERANCE * width
        return f"over {self.describe()}" if far else None


@torch.no_grad()
def compare(model: Model, runners: dict[str, Runner], batches: Iterable[Any], data: str) -> Differences:
    """Count what differs between a model and its graphs.

    Args:
        model: in evaluation mode.
        runners: of the graphs ``"encoder"`` and ``"decoder"``, those that there are.
        batches: of signals, as ``model.read_signals`` takes them.
        data: their name.
    """
    found = Differences(data)
    for batch in batches:
        signals = model.to_float(model.read_signals(batch)).float()
        found.signals += len(signals)
        codes = model.encode(signals)
        if "encoder" in runners:
            given = torch.from_numpy(runners["encoder"]([signals.cpu().numpy()])[0]).to(codes)
            if isinstance(model, IndexModel):
                _count(found, model, signals, codes, given)
            else:
                scale = float(codes.std()) or 1.0
                found.latent_error = max(found.latent_error or 0.0, _farthest(codes, given) / scale)
        if "decoder" in runners:
            condition = _some_condition(model, len(codes))
            told = [] if condition is None else [condition.cpu().numpy()]
            decoded = torch.from_numpy(runners["decoder"]([_array(codes), *told])[0])
            there = model.decode(codes, condition=condition).cpu()
            found.signal_error = max(found.signal_error or 0.0, _farthest(decoded, there))
    return found


@torch.no_grad()
def compare_steps(
    model: Model, graphs: Sequence[Graph], runners: dict[str, Runner], batch: Any, data: str
) -> Differences:
    """Count what differs between a model and the steps of its stream, over a batch in two chunks.

    Args:
        model: of sounds, in evaluation mode.
        graphs: ``"stream_encoder"`` and ``"stream_decoder"``.
        runners: of them, by name.
        batch: of signals, which are cut to whole frames.
        data: their name.
    """
    found, whole = Differences(f"{data}, by the steps of the stream"), cast("IndexModel", model)
    signals = model.to_float(model.read_signals(batch)).float()
    step = per_axis(whole.downsampling, 1)[0]
    frames = signals.shape[2] // step
    if not frames:
        return found
    signals = signals[..., : frames * step]
    found.signals, codes, half = len(signals), model.encode(signals), -(-frames // 2)
    encoder, decoder = graphs
    indices = _in_chunks(encoder, runners[encoder.name], signals, half * step, axis=2, joined=1)
    _count(found, whole, signals, codes, indices.to(codes))
    decoded = _in_chunks(decoder, runners[decoder.name], codes, half, axis=1, joined=2)
    found.signal_error = _farthest(decoded, model.decode(codes).cpu())
    return found


def _in_chunks(graph: Graph, runner: Runner, given: Tensor, first: int, *, axis: int, joined: int) -> Tensor:
    """What two steps give of a signal: the first reads so much of it, the second what is left, and the state."""
    states = [np.zeros((len(given), *each.shape[1:]), each.numpy().dtype) for each in graph.examples[1:]]
    parts = []
    for chunk in given.split([first, given.shape[axis] - first], dim=axis):
        if chunk.shape[axis]:
            part, *states = runner([_array(chunk), *states])
            parts.append(part)
    return torch.from_numpy(np.concatenate(parts, axis=joined))


def _farthest(one: Tensor, other: Tensor) -> float:
    """The largest difference; of what is no number, or of another shape, infinity."""
    if one.shape != other.shape:
        return math.inf
    return float((one - other).abs().nan_to_num(nan=math.inf).max()) if one.numel() else 0.0


def _array(codes: Tensor) -> np.ndarray[Any, Any]:
    array: np.ndarray[Any, Any] = np.ascontiguousarray(codes.cpu().numpy())
    return array


def _some_condition(model: Model, count: int) -> Tensor | None:
    """The first class, or a vector of ones, for each item."""
    conditions = model.conditions
    if not conditions:
        return None
    if conditions.dim is None:
        return torch.zeros(count, dtype=torch.int64)
    return torch.ones(count, conditions.dim)


def _count(found: Differences, model: IndexModel, signals: Tensor, ours: Tensor, theirs: Tensor) -> None:
    found.indices += ours.numel()
    if torch.equal(ours, theirs):
        return
    rows = flatten_grid(model.latents(signals))
    mine, other = (each.reshape(len(rows), -1) for each in (ours, theirs))
    near = near_ties(model, rows, mine, other)
    different = mine != other
    found.near_ties += int(different[near].sum())
    found.others += int(different[~near].sum())


def near_ties(model: IndexModel, rows: Tensor, ours: Tensor, theirs: Tensor) -> Tensor:
    """Return of which latents a step of ``TOLERANCE`` towards the other codeword gives the other indices.

    Of a stack of codebooks the first that differs decides: those after it quantize something else.

    Args:
        model: whose quantizer is asked.
        rows: latents ``[N, D]``.
        ours: indices ``[N, codebooks]`` of the model.
        theirs: of the graph.

    Returns:
        ``[N]`` bool; True also where nothing differs.
    """
    quantizer, several = model.quantizer, ours.shape[1] > 1
    lengths = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    lengths = lengths.maximum(lengths.square().mean().sqrt())
    different = ours != theirs
    found = ~different.any(dim=1)
    first = different.int().argmax(dim=1)
    levels = range(ours.shape[1]) if quantizer.nested else [ours.shape[1] - 1]
    for level in levels:
        which = (~found & (first == level if quantizer.nested else True)).nonzero()[:, 0]
        if not len(which):
            continue
        heads = [each[which, : level + 1] if several else each[which, 0] for each in (ours, theirs)]
        towards = quantizer.lookup(heads[1]) - quantizer.lookup(heads[0])
        towards = towards / torch.linalg.vector_norm(towards, dim=1, keepdim=True).clamp_min(1e-30)
        moved = rows[which] + TOLERANCE * lengths[which] * towards.to(rows.dtype)
        reached = quantizer.encode(moved).reshape(len(which), -1)[:, : level + 1]
        found[which] = (reached == theirs[which, : level + 1]).all(dim=1)
    return found
