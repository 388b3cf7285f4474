"""Comparison of exported graphs with their model over a whole set: equal indices, near ties, and others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from vqkit.checking import counted
from vqkit.export.formats.base import Runner
from vqkit.models import IndexModel, Model
from vqkit.quantizers.base import flatten_grid

TOLERANCE = 1e-4
"""Of the length of a latent: so far a rounding of floats may move it before a difference is none of rounding."""


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
                found.latent_error = max(found.latent_error or 0.0, float((codes - given).abs().max()) / scale)
        if "decoder" in runners:
            condition = _some_condition(model, len(codes))
            told = [] if condition is None else [condition.cpu().numpy()]
            decoded = torch.from_numpy(runners["decoder"]([_array(codes), *told])[0])
            there = model.decode(codes, condition=condition).cpu()
            found.signal_error = max(found.signal_error or 0.0, float((decoded - there).abs().max()))
    return found


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
