"""Consequences of the batch size for the data: repeats of each item, and whether memory can hold a batch."""

from __future__ import annotations

import math

import numpy as np

from vqkit.checking import counted
from vqkit.data import Source
from vqkit.data.views.crops import training_size
from vqkit.errors import ConfigError
from vqkit.resources import physical_bytes
from vqkit.training.config import TrainConfig

_ORDER_BYTES = 32
"""For the place of an item in its epoch, and its crop."""


def batch_note(training: Source, config: TrainConfig) -> str | None:
    """Return a note if a batch is larger than the training data, else None.

    Of random crops there are more than items: those that lie side by side are counted.
    """
    items, size = len(training), config.batch_size
    what, each, parts = counted(items, "training item"), "every item", items
    if config.crop is not None:
        crop = training.kind.crop_size(config.crop, training.item_sizes())
        crops = training.item_sizes().prod(axis=1) / math.prod(crop)
        parts = int(np.maximum(crops, 1.0).sum())
        if parts > items:
            what, each = f"{what} in crops of {' x '.join(map(str, crop))}", "every part of them"
    if size <= parts:
        return None
    times = size / parts
    shown = f"{times:,.0f}" if times >= 10 else f"{times:.2g}"
    return (
        f"batch_size={size:,} of {what}: each step shows {each} {shown} times, which takes as many times the memory "
        f"and the time of batch_size={parts:,}"
    )


def check_batch(training: Source, config: TrainConfig, world: int = 1) -> None:
    """Raise where the signals of one batch, alone, are more than the machine's memory.

    Args:
        training: the data.
        config: of the run; its crop is settled.
        world: processes that share a batch.

    Raises:
        ConfigError: names what it takes and what there is.
    """
    size = training_size(training, config.crop)
    numbers = training.channels * math.prod(size or (1,))
    share = config.batch_size // world
    needed, there = share * (4 * numbers + _ORDER_BYTES), physical_bytes()
    if needed > there:
        most = max(1, there // (8 * (4 * numbers + _ORDER_BYTES)))
        raise ConfigError(
            f"batch_size={config.batch_size:,}: {share:,} signals of {numbers:,} numbers take "
            f"{needed / 2**30:,.1f} GiB, and this machine has {there / 2**30:,.1f} GiB; give less, {most:,} at most"
        )
