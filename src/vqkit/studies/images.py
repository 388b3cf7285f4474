"""The images (or sounds) that a study compares on: all of one size, split once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vqkit.data import ArraySource, Batches, ConcatSource, Source, default_crop
from vqkit.errors import ConfigError
from vqkit.spelling import option
from vqkit.studies.seen import is_studied
from vqkit.training import TrainConfig
from vqkit.training.inputs.holdout import validation_split

_FEWEST = 32
_LONGEST = 8192
"""Samples of the crops of sounds, unless it is said."""
DEFAULT_CROP = 64


class Split(Protocol):
    """Settings of a study that say which images it takes; see ``TrainConfig``."""

    @property
    def validation(self) -> str | float: ...  # noqa: D102
    @property
    def crop(self) -> int: ...  # noqa: D102
    @property
    def seed(self) -> int: ...  # noqa: D102


@dataclass(frozen=True)
class Images:
    """One set of images of one size, and how it is split.

    Attributes:
        whole: all images.
        validation: the split, as in ``TrainConfig``.
        training: what is trained on.
        held_out: what is judged on.
    """

    whole: Source
    validation: str | float
    training: Source
    held_out: Source


def fixed_images(source: Source, config: Split) -> Images:
    """Images (or sounds) of one size, split; those of several or large sizes are cut to one random crop each.

    Raises:
        ConfigError: signals of another kind, or too few.
    """
    if not is_studied(source.kind):
        other = "" if source.axes else "; vectors are compared by vqkit.studies.vectors.study.compare_vectors"
        raise ConfigError(f"{source.describe()}: the comparison shows pictures, so it needs images, or sounds{other}")
    words = source.kind.noun[1]
    validation = config.validation
    seed = getattr(config, "seed_of_split", config.seed)
    training, held_out = validation_split(source, TrainConfig(steps=1, validation=validation, seed=seed))
    if min(len(training), len(held_out)) < _FEWEST:
        raise ConfigError(
            f"{len(training):,} {words} to train on and {len(held_out):,} held out: a comparison needs {_FEWEST} of "
            f"each; give more {words}, or hold out another share of them ({option('validation', 0.3)})"
        )
    if source.size is None or default_crop(source) is not None:
        side = config.crop
        if not source.kind.converts:  # the default of images says nothing of sounds
            usual = source.kind.default_crop(source.item_sizes()) or _LONGEST
            side = min(usual, _LONGEST) if side == DEFAULT_CROP else side
        training, held_out = _cropped(training, side, seed), _cropped(held_out, side, seed)
    elif training.size == held_out.size and len(training) + len(held_out) == len(source):
        return Images(source, validation, training, held_out)
    if training.size != held_out.size:
        raise ConfigError(f"{words} of {training.size} to train on and of {held_out.size} held out: give one size")
    whole = _joined(training, held_out)
    count = len(training)
    return Images(
        whole,
        f"last:{len(held_out)}",
        whole.subset(range(count)),
        whole.subset(range(count, len(whole))),
    )


def _joined(first: Source, second: Source) -> ArraySource:
    both = ConcatSource([first, second])
    return ArraySource(
        both.gather(range(len(both))),
        name=first.name,
        labels=both.labels,
        class_names=both.class_names,
        notes=both.notes,
        kind=first.kind,
    )


def _cropped(source: Source, side: int, seed: int) -> ArraySource:
    size = source.kind.crop_size(side, source.item_sizes())
    images = np.empty((len(source), source.channels, *size), dtype=source.dtype)
    with Batches(source, 1, crop=side, seed=seed) as batches:
        for step in range(len(source)):
            images[batches.indices(step)[0]] = batches.batch(step)[0].numpy()
    note = f"one crop of {source.kind.describe_size(size)} of each {source.kind.noun[0]}"
    if source.kind.converts:
        note = f"one crop of {side}x{side} pixels of each image"
    return ArraySource(
        images,
        name=source.name,
        labels=source.labels,
        class_names=source.class_names,
        notes=[*source.notes, note],
        kind=source.kind,
    )


def gathered_items(source: Source, count: int) -> list[int]:
    """The places of the items that measures are taken on: the first; of items that lie in the order of their classes
    (in folders, say), of which the first would be of one class, any, the same ones each time.

    Args:
        source: of signals.
        count: how many at most.

    Example:
        >>> import numpy as np
        >>> from vqkit.data import ArraySource
        >>> from vqkit.studies.images import gathered_items
        >>> gathered_items(ArraySource(np.zeros((6, 1, 2, 2), np.uint8), labels=np.array([0, 0, 0, 1, 1, 1])), 3)
        [3, 2, 5]
    """
    count, labels = min(count, len(source)), source.labels
    if labels is None or len(np.unique(labels)) < 2 or (np.diff(labels) < 0).any():
        return list(range(count))
    return [int(place) for place in np.random.default_rng(0).permutation(len(source))[:count]]


def gathered(source: Source, count: int) -> Tensor:
    """The images of ``gathered_items``, ``[count, channels, height, width]``."""
    return torch.from_numpy(source.gather(gathered_items(source, count)))


def gathered_labels(source: Source, count: int) -> NDArray[np.int64] | None:
    """Their labels ``[count]``, where there are some."""
    return None if source.labels is None else np.asarray(source.labels)[gathered_items(source, count)]


def shown_items(source: Source, count: int) -> list[int]:
    """The places of a few items to look at: of labelled ones the first of each class, then the second; else the first.

    Args:
        source: of signals.
        count: how many at most.

    Example:
        >>> import numpy as np
        >>> from vqkit.data import ArraySource
        >>> from vqkit.studies.images import shown_items
        >>> shown_items(ArraySource(np.zeros((6, 1, 2, 2), np.uint8), labels=np.array([0, 0, 0, 1, 1, 2])), 5)
        [0, 3, 5, 1, 4]
    """
    if source.labels is None:
        return list(range(min(count, len(source))))
    labels = np.asarray(source.labels)
    rank = np.zeros(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        rank[labels == label] = np.arange(int((labels == label).sum()))
    return [int(place) for place in np.lexsort((labels, rank))[:count]]


def shown_signals(source: Source, count: int) -> Tensor:
    """A few items to look at (see ``shown_items``), ``[count, channels, height, width]``."""
    return torch.from_numpy(source.gather(shown_items(source, count)))
