"""Signals that are coded together in a file: neighbors of one size, and several of these where each is in one piece."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import final

import numpy as np
import torch
from torch import Tensor

from vqkit.codec.limits import MAX_BLOCK_INDICES, MIXED_SIGNALS, MIXED_VALUES, signals_at_once, tile_shape
from vqkit.codec.signals import LongBatch, Signal
from vqkit.data.long_items import LongItem
from vqkit.models import IndexModel


def grouped(signals: Iterable[Signal], model: IndexModel, *, mixed: bool) -> Iterator[list[list[Signal]]]:
    """Yield the groups of a file, each as runs of consecutive signals of one shape and dtype, all named or all unnamed.

    Args:
        signals: any number, checked here.
        model: that encodes them.
        mixed: whether a group may have several runs: of signals of one tile each, as many as fit the limits of a group.
            Two runs of one size do not meet in one.

    Raises:
        DataError: see ``Signal.check``.
    """
    group = _Mixed(model)
    for run in _runs(signals, model):
        if not (mixed and group.takes(run)):
            if group.runs:
                yield group.runs
            group = _Mixed(model)
        group.add(run)
    if group.runs:
        yield group.runs


def batch_of(run: list[Signal]) -> Tensor | LongBatch:
    """Return signals of one size as a batch; of a long one, what it is read from a part at a time."""
    first = run[0].values
    if isinstance(first, LongItem):
        return LongBatch(first)
    return torch.from_numpy(np.stack([np.asarray(each.values) for each in run]))


def _runs(signals: Iterable[Signal], model: IndexModel) -> Iterator[list[Signal]]:
    """Yield consecutive signals of one shape and dtype, all named or all unnamed, as many as are encoded at once."""
    run: list[Signal] = []
    for signal in signals:
        values = signal.values
        signal.check(model.channels, model.kind)
        same = bool(run) and run[0].values.shape == values.shape and run[0].values.dtype == values.dtype
        named = bool(run) and (run[0].name is None) == (signal.name is None)
        if run and not (same and named and len(run) < signals_at_once(model, values.shape[1:])):
            yield run
            run = []
        run.append(signal)
    if run:
        yield run


@final
class _Mixed:
    """Runs of a group that is being put together."""

    def __init__(self, model: IndexModel) -> None:
        self._model = model
        self.runs: list[list[Signal]] = []
        self._names: set[str] = set()
        self._signals = self._values = self._indices = 0

    def takes(self, run: list[Signal]) -> bool:
        """Return whether the group is begun, and may have this run too."""
        if not self.runs:
            return False
        last = self.runs[-1][0]
        alike = (last.name is None) == (run[0].name is None) and last.values.shape != run[0].values.shape
        signals, values, indices = self._sizes(run)
        return (
            alike
            and self._in_one_piece(self.runs[0])
            and self._in_one_piece(run)
            and self._signals + signals <= MIXED_SIGNALS
            and self._values + values <= MIXED_VALUES
            and self._indices + indices <= MAX_BLOCK_INDICES
            and self._names.isdisjoint(each.name for each in run)
        )

    def add(self, run: list[Signal]) -> None:
        """Add a run."""
        signals, values, indices = self._sizes(run)
        self.runs.append(run)
        self._names.update(each.name for each in run if each.name is not None)
        self._signals += signals
        self._values += values
        self._indices += indices

    def _in_one_piece(self, run: list[Signal]) -> bool:
        """Return whether the signals of a run are whole, and one tile each."""
        values = run[0].values
        if isinstance(values, LongItem) or values.ndim < 2:
            return False
        grid = self._model.grid(values.shape[1:])
        return all(length <= most for length, most in zip(grid, tile_shape(self._model, grid), strict=True))

    def _sizes(self, run: list[Signal]) -> tuple[int, int, int]:
        """Return how many signals, values and indices a run has."""
        shape = run[0].values.shape
        indices = self._model.num_codebooks * math.prod(self._model.grid(shape[1:]))
        return len(run), len(run) * math.prod(shape), len(run) * indices
