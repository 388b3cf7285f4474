"""Signals to compress: what a model does not read, and which are coded together.

Neighbors of one size are, and several runs of these where signals are in one piece (docs/bitstream.md, mixed groups).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vqkit.codec.limits import MAX_BLOCK_INDICES, MIXED_SIGNALS, MIXED_VALUES, signals_at_once, tile_shape
from vqkit.coding import pixels
from vqkit.coding.gaps import pack_gaps
from vqkit.data.long_items import LongItem
from vqkit.errors import DataError
from vqkit.models import IndexModel
from vqkit.models.tiling import around
from vqkit.signals import Signal as Kind

Array = npt.NDArray[np.generic]


@final
@dataclass(frozen=True)
class Signal:
    """One signal to compress: ``[channels, *size]``, and the name that the file is to keep, if any.

    ``values`` of a long sound may be a ``LongItem``, which is read, encoded and coded a part at a time.

    Example:
        >>> import numpy as np
        >>> from vqkit.codec import Signal
        >>> Signal(np.zeros((3, 8, 8), dtype=np.uint8), name="photo.png").values.shape
        (3, 8, 8)
    """

    values: Array | LongItem
    name: str | None = None

    def check(self, channels: int, kind: Kind) -> None:
        """Raise unless a model of so many channels and this kind of signal reads it.

        Raises:
            DataError: another shape, integers whose range nobody knows, numbers that are none, or out of range.
        """
        axes = kind.axes
        values, name = self.values, self.name or "a signal"
        if isinstance(values, LongItem):
            for piece in values.pieces():
                Signal(piece, self.name).check(channels, kind)
            return
        if values.ndim != 1 + axes or values.shape[0] != channels or 0 in values.shape:
            raise DataError(
                f"{name} has shape {list(values.shape)}; this model reads [{channels} channels, {axes} axes] and no "
                "empty axis"
            )
        if values.dtype != np.uint8 and values.dtype.kind != "f":
            raise DataError(
                f"{name} has numbers of {values.dtype}: give uint8 (0 to 255), or floats in the signal's own range; "
                "of other integers nobody knows the range"
            )
        if kind.gaps and values.dtype.kind == "f" and not np.isinf(values).any():
            return
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise DataError(f"{name} holds NaN or infinity, which no index stands for; replace them by finite values")
        if values.dtype.kind == "f":
            kind.check_range(float(values.min()), float(values.max()), name)


@final
class LongBatch:
    """A long signal as the batch of one that tiles are cut from: indexed like a tensor ``[1, channels, length]``."""

    def __init__(self, item: LongItem) -> None:
        self._item = item
        self.shape = torch.Size((1, *item.shape))
        self.dtype = torch.from_numpy(np.zeros(0, item.dtype)).dtype

    def __len__(self) -> int:
        return 1

    def __getitem__(self, where: tuple[slice, ...]) -> Tensor:
        start, stop, _ = where[-1].indices(self.shape[2])
        return torch.from_numpy(self._item.part(start, stop))[None][where[0], where[1]]

    def pieces(self) -> Iterator[Array]:
        """Yield all samples in consecutive parts ``[channels, length]``."""
        return self._item.pieces()

    def around(self, model: IndexModel, tile: tuple[slice, ...]) -> Tensor:
        """Return the samples that the indices of a tile depend on."""
        size = tuple(self.shape[2:])
        wide = pixels(around(model, tile, model.grid(size)), size, model.downsampling)
        return self[(slice(None), slice(None), *wide)]


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


def packed_gaps(batch: Tensor | LongBatch, start: int = 0, stop: int | None = None) -> tuple[bytes, ...]:
    """Return the gaps (NaN) of each signal of a batch, packed (of one axis from ``start`` on); none: ()."""
    part = batch if stop is None else batch[(slice(None), slice(None), slice(start, stop))]
    if isinstance(part, LongBatch):
        part = part[(slice(None), slice(None), slice(0, part.shape[2]))]
    found = tuple(pack_gaps(item.isnan()) for item in part) if part.is_floating_point() else ()
    return found if any(found) else ()


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
