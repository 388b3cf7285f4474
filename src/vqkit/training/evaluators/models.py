"""Evaluations along the way and at the end, with a picture each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from vqkit.data import Source
from vqkit.data.long_items import LongItem, part_of_item
from vqkit.evaluation.evaluation import RunningEvaluation
from vqkit.models import Model
from vqkit.models.streams.long_signals import reconstruct_long
from vqkit.priors.labels import picked
from vqkit.signals import Signal
from vqkit.storage import atomic
from vqkit.training.evaluators.base import Evaluator
from vqkit.training.evaluators.watch import Watch
from vqkit.training.interrupt import StoppedError

Items = npt.NDArray[np.generic]
_SHOWN = 12
_FIRST = 1 << 13
_PLAYED, _PLAYED_SECONDS = 3, 10
_JUDGING, _COUNTING = 0.7, 0.2
"""Of a limited time, for judging the items; the rest draws a picture, and at the end counts continuous latents."""


class ModelEvaluator(Evaluator):
    """Judges a model on held-out data.

    Args:
        source: the validation items.
        batch_size: items at a time.
        items: how many to take along the way; the last evaluation takes all.
        pictures: folder for the sheets; None draws none (processes other than the first).
        headline: another than ``"nmse"``.
    """

    headline = "nmse"

    def __init__(
        self, source: Source, batch_size: int, items: int, pictures: Path | None, headline: str | None = None
    ) -> None:
        super().__init__(source, batch_size, items)
        self.pictures = pictures
        self.headline = headline or self.headline

    def _judge(self, model: Model, items: int, watch: Watch, *, last: bool) -> dict[str, Any] | None:
        running = RunningEvaluation(model, bits=last)
        share = _COUNTING if last and not model.discrete else _JUDGING
        labels = model.known_conditions_of(self.source)

        def one(numbers: npt.NDArray[Any], batch: Tensor) -> None:
            running.add(batch, *picked(labels, numbers, model.device))

        watch.each(self.source, self.batch_size, one, most=items, share=share)
        if not running.items:
            return None
        try:
            with watch.stopping():
                return running.result().as_dict()
        except StoppedError:
            if not last:
                raise
        running.forget_latents()
        return running.result().as_dict()

    def _picture(self, model: Model, name: str, watch: Watch) -> Image.Image | None:
        """The first items and their reconstructions, as many as there is time for; a full disk costs the file only."""
        if not model.shows_pictures:
            return None
        try:
            with watch.stopping():
                count = min(_SHOWN, len(self.source))
                before, after = reconstructed(model, self.source, count, watch)
        except StoppedError:
            return None
        rows = [("original", before), ("reconstruction", after)]
        sheet = shown_kind(model, self.source).sheet(rows)
        assert sheet is not None, "asked for kinds that have pictures only"
        rate = model.kind.rate
        self.sounds = ()
        if rate is not None and model.axes == 1:
            played = [(f"{name}/{number}", signals[number]) for number in range(min(_PLAYED, len(after)))
                      for name, signals in rows]  # fmt: skip
            self.sounds = [(name, samples[:, : _PLAYED_SECONDS * rate], rate) for name, samples in played]
        if self.pictures is not None:
            try:
                atomic.write_file(self.pictures / name, lambda temporary: sheet.save(temporary, format="PNG"))
            except OSError:
                return None
        return sheet


def shown_kind(model: Model, source: Source) -> Signal:
    """The kind that says how items are shown: the source's, which may name channels, where the model reads it."""
    return source.kind if type(source.kind) is type(model.kind) else model.kind


def reconstructions(
    model: Model, source: Source, count: int, watch: Watch | None = None, *, codebooks: int | None = None
) -> tuple[list[Image.Image], list[Image.Image]]:
    """Pictures of the first ``count`` items and of what the model makes of them (kinds that have pictures).

    Where a ``watch`` ends before, fewer: one at least. ``codebooks``: see ``VQVAE.encode``. Of long sounds the first 10
    seconds are shown.
    """
    before, after = reconstructed(model, source, count, watch, codebooks=codebooks)
    return _pictures(model, before), _pictures(model, after)


def reconstructed(
    model: Model, source: Source, count: int, watch: Watch | None = None, *, codebooks: int | None = None
) -> tuple[list[Items], list[Items]]:
    """The first ``count`` items ``[channels, *size]``, and what the model makes of them; see ``reconstructions``."""
    used = {} if codebooks is None else {"codebooks": codebooks}
    before: list[Items] = []
    after: list[Items] = []
    labels = model.known_conditions_of(source)
    for index in range(count):
        if index and watch is not None and watch.over():
            break
        whole = part_of_item(source, index)
        first = whole.part(0, 10 * (source.kind.rate or _FIRST)) if isinstance(whole, LongItem) else whole
        item = torch.as_tensor(first).unsqueeze(0).to(model.device)
        condition = picked(labels, np.array([index]), model.device)
        after.append(model.reconstruct(item, *condition, **used)[0].detach().cpu().numpy())
        before.append(item[0].cpu().numpy())
    return before, after


def reconstruction_pieces(
    model: Model, source: Source, index: int, *, codebooks: int | None = None
) -> Iterator[npt.NDArray[Any]]:
    """Yield the reconstruction of an item in pieces ``[channels, *size]``: of a long sound several, else one."""
    item = part_of_item(source, index)
    used = {} if codebooks is None else {"codebooks": codebooks}
    condition = picked(model.known_conditions_of(source), np.array([index]), model.device)
    if isinstance(item, LongItem):
        for piece in reconstruct_long(model, item, *condition, **used):
            yield piece[0].float().cpu().numpy()
        return
    found = model.reconstruct(torch.as_tensor(item).unsqueeze(0).to(model.device), *condition, **used)
    yield found[0].detach().float().cpu().numpy()


def _pictures(model: Model, signals: list[Items]) -> list[Image.Image]:
    pictures = [model.kind.show(each) for each in signals]
    assert all(picture is not None for picture in pictures), "asked for kinds that have pictures only"
    return [picture for picture in pictures if picture is not None]
