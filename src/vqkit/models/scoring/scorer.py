"""Scoring by a model: in passes that the items alone decide, so that no score depends on how they are read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from vqkit.data.long_items import LongItem
from vqkit.data.source import Source
from vqkit.errors import DataError
from vqkit.models.conditions.model import conditioned_batches
from vqkit.models.matching import in_channels, is_data, open_source, readable
from vqkit.models.scoring.long import in_deviations, score_long, stream_of, whole
from vqkit.models.scoring.reference import ScoreReference
from vqkit.models.scoring.scores import ItemMaps, LatentScores, Scores, join_scores
from vqkit.ops import evaluating, float64

_POSITIONS, _ITEMS = 1 << 16, 16
"""Of one pass: items of so many positions together (one, where it has more), and no more than so many."""


class Scored:
    """What models share about scores of items.

    A model of one's own has errors; it says more in ``score_latents``.
    """

    if TYPE_CHECKING:

        @property
        def autoregressive(self) -> bool: ...  # noqa: D102
        @property
        def signal_range(self) -> tuple[float, float] | None: ...  # noqa: D102
        def encode(self, x: Any) -> Tensor: ...  # noqa: D102

    def score_latents(self, x: Tensor, *, positions: bool = False) -> LatentScores:
        """Return the codes of signals that have been read, and what the model says of each item's latents.

        Args:
            x: ``[batch, channels, *size]``.
            positions: also say the bits of each position.
        """
        del positions
        return LatentScores(self.encode(x))

    @torch.no_grad()
    def score(
        self,
        x: Any,
        *,
        against: Any = None,
        condition: Any = None,
        maps: bool = False,
        batch_size: int = 64,
    ) -> Scores:
        """Score each item: its error, its bits under the prior, its distance to the codebook; the rarer, the more.

        In evaluation mode. The scores of a set are the same bits with any ``batch_size``; those of an item in other
        company are the same but for rounding of float32 in matrix products. Bits are those of ``vqkit.evaluate``: of
        the prior that the model uses (``use_prior``), none without.

        Args:
            x: signals as ``read_signals`` takes them, or data as ``load_source`` does: these are read in batches and
                may have several sizes.
            against: what the percentiles are against: ``Scores`` or a ``ScoreReference`` of usual items, or data, whose
                items are scored first; best items that the model was not trained on. None: no percentiles.
            condition: of each item or of all, where the decoder has one (see ``decode``); data bring their labels.
            maps: also say where (``Scores.maps``), which takes the memory of the items themselves.
            batch_size: items that are read at a time.

        Raises:
            DataError: no such data, or signals that the model does not read.

        Example:
            >>> import vqkit
            >>> digits = vqkit.load_source("builtin:digits").subset(range(200))
            >>> model = vqkit.PCA.for_source(digits, 4)
            >>> model.fit(lambda: [digits[:150]])
            >>> scores = model.score(digits[150:], against=digits.subset(range(150)))
            >>> scores.mse.shape, scores.percentiles["mse"].shape
            ((50,), (50,))
        """
        reference: ScoreReference | None = None
        if isinstance(against, ScoreReference):
            reference = against
        elif isinstance(against, Scores):
            reference = ScoreReference.of([against.measures()])
        elif against is not None:
            reference = ScoreReference.of(
                part.measures() for part in self._scored_parts(against, condition, batch_size, maps=False)
            )
        found = join_scores(list(self._scored_parts(x, condition, batch_size, maps=maps)))
        return found if reference is None else found.against(reference)

    def _scored_parts(self, x: Any, condition: Any, batch_size: int, *, maps: bool) -> Iterator[Scores]:
        model: Any = self
        if is_data(x):
            source = readable(model, in_channels(model, open_source(model, x)))
            for _, scores in score_batches(model, source, batch_size=batch_size, maps=maps):
                yield scores
            return
        signals = model.read_signals(x)
        if not len(signals):
            raise DataError("there are no signals to score; give at least one")
        with evaluating(model):
            yield _score(model, signals, condition, maps=maps)


@torch.no_grad()
def score_batches(
    model: Any, source: Source, *, batch_size: int = 64, maps: bool = False
) -> Iterator[tuple[Any, Scores]]:
    """Yield the numbers of items of a source, in order, and their scores, some at a time: in constant memory.

    Args:
        model: any (``Model``).
        source: in the model's channels, and of a size that it reads.
        batch_size: items that are read at a time; the scores do not depend on it.
        maps: see ``Model.score``.

    Raises:
        DataError: signals that the model does not read.

    Example:
        >>> import vqkit
        >>> from vqkit.models.scoring.scorer import score_batches
        >>> digits = vqkit.load_source("builtin:digits").subset(range(100))
        >>> model = vqkit.VQVAE.for_source(digits, 16, hidden_channels=8)
        >>> [len(scores) for _, scores in score_batches(model, digits)]  # in the order of the items
        [16, 16, 16, 16, 16, 16, 4]
    """
    model.check_source(source)
    with evaluating(model):
        for numbers, signals, condition in _in_passes(conditioned_batches(model, source, batch_size)):
            scores = _scores_of(model, signals, condition, maps=maps)
            names = [source.item_name(int(number)) for number in numbers]
            yield numbers, scores if None in names else replace(scores, names=names)


def _scores_of(model: Any, signals: Tensor | LongItem, condition: Any, *, maps: bool) -> Scores:
    """Scores of signals as they were read, or of one that is read a part at a time; networks may want that whole."""
    if not isinstance(signals, LongItem):
        return _score(model, model.read_signals(signals), condition, maps=maps)
    stream = stream_of(model, condition)
    if stream is not None:
        return score_long(model, stream, signals, maps=maps)
    return _score(model, model.read_signals(whole(signals)), condition, maps=maps)


def _in_passes(batches: Iterator[Any]) -> Iterator[tuple[Any, Tensor | LongItem, Any]]:
    """Yield the items of batches in groups that are the same however many items a batch had; long ones alone."""
    numbers: list[Any] = []
    signals: list[Tensor] = []
    conditions: list[Tensor] = []
    count = 0

    def group() -> tuple[Any, Tensor, Any]:
        return np.concatenate(numbers), torch.cat(signals), torch.cat(conditions) if conditions else None

    for numbers_read, batch, *condition in batches:
        if signals and (isinstance(batch, LongItem) or signals[0].shape[1:] != batch.shape[1:]):
            yield group()
            numbers, signals, conditions, count = [], [], [], 0
        if isinstance(batch, LongItem):
            yield numbers_read, batch, condition[0] if condition else None
            continue
        rows, start = _rows(batch), 0
        while start < len(batch):
            here = slice(start, start + rows - count)
            numbers.append(numbers_read[here])
            signals.append(batch[here])
            conditions += [each[here] for each in condition]
            count, start = count + len(signals[-1]), here.stop
            if count == rows:
                yield group()
                numbers, signals, conditions, count = [], [], [], 0
    if signals:
        yield group()


def _rows(x: Any) -> int:
    """Items of one pass, of a batch's size."""
    return max(1, min(_ITEMS, _POSITIONS // max(1, int(np.prod(x.shape[2:])))))


def _score(model: Any, x: Tensor, condition: Any = None, *, maps: bool = False) -> Scores:
    """Scores of signals that have been read, of one size."""
    told = None if condition is None else model.read_condition(condition, len(x))
    rows = _rows(x)
    parts = [
        _pass(model, x[start : start + rows], None if told is None else told[start : start + rows], rows, maps=maps)
        for start in range(0, len(x), rows)
    ]
    return join_scores(parts)


def _pass(model: Any, x: Tensor, condition: Tensor | None, rows: int, *, maps: bool) -> Scores:
    """Scores of at most ``rows`` signals, computed as those of so many: kernels that sum otherwise are not taken."""
    count = len(x)
    full = _filled(x, rows)
    told = None if condition is None else _filled(condition, rows)
    drawing = model.drawing_at(0) if model.autoregressive else nullcontext()
    with model.conditioned_on(told), drawing:
        latents = model.score_latents(full, positions=maps)
        made = model.decode(latents.codes, full.shape[2:])
    error = (float64(model.to_float(full)) - float64(made)).square()
    channel_mse, mse, nmse = _errors(model, error)
    distances = None if latents.distances is None else latents.distances.reshape(rows, -1)
    span = model.signal_range
    return Scores(
        mse=_numbers(mse, count),
        nmse=_numbers(nmse, count),
        channel_mse=_numbers(channel_mse, count),
        peak=None if span is None else float(span[1] - span[0]),
        bits=_numbers(latents.bits, count),
        distance_mean=None if distances is None else _numbers(distances.mean(dim=1), count),
        distance_max=None if distances is None else _numbers(distances.amax(dim=1), count),
        maps=_maps(error, latents, count) if maps else None,
    )


def _errors(model: Any, error: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    """Of squared errors, NaN in gaps: means of each channel, of the item, and in deviations of each channel.

    What has gaps alone is NaN.
    """
    several = error.ndim > 2
    if model.kind.gaps and bool(error.isnan().any()):
        channels = error.flatten(2).nanmean(dim=2) if several else error
        mse = error.flatten(1).nanmean(dim=1)
    else:
        channels = error.flatten(2).mean(dim=2) if several else error
        mse = channels.mean(dim=1)
    return channels, mse, in_deviations(model, channels)


def _maps(error: Tensor, latents: LatentScores, count: int) -> list[ItemMaps]:
    small = [
        None if each is None else each.float().cpu().numpy()
        for each in (error, latents.position_bits, latents.distances)
    ]
    return [
        ItemMaps(**{name: None if each is None else each[row] for name, each in zip(_MAPS, small, strict=True)})
        for row in range(count)
    ]


_MAPS = ("error", "bits", "distance")


def _filled(batch: Tensor, rows: int) -> Tensor:
    """A batch of so many rows: the last one again where there are fewer."""
    return batch if len(batch) == rows else torch.cat([batch, batch[-1:].expand(rows - len(batch), *batch.shape[1:])])


def _numbers(values: Any, count: int) -> Any:
    return None if values is None else values[:count].double().cpu().numpy()
