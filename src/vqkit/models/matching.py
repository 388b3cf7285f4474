"""Match of data and model: settings that a source implies, and a source in the channels of a model."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from vqkit.data import CenterCrops, Source, load_source
from vqkit.errors import DataError
from vqkit.signals import assumed_kind, default_kind, kind_assumed

_LOOK = 1024
_APART = 100.0
"""Variance of the columns' means over that within a column, from which on each has a mean of its own."""


def source_options(source: Any) -> dict[str, Any]:
    """What a source says of the signals: channels, axes, and whether the offsets of its columns lie far apart."""
    options: dict[str, Any] = {"channels": source.channels, "axes": source.axes}
    if source.kind != default_kind(source.axes):
        options["kind"] = source.kind.name
    if source.axes == 0 and source.channels > 1:
        some = np.asarray(source.gather(range(min(len(source), _LOOK))), dtype=np.float64)
        within, between = float(some.var(axis=0).mean()), float(some.mean(axis=0).var())
        if between > _APART * within > 0:
            options["channel_means"] = True
    return options


def readable(model: Any, source: Source) -> Source:
    """The items as a model of one size can judge them: of images of other sizes the middle; else as they are."""
    size = getattr(model, "only_size", None)
    if not size or source.size == size or len(set(size)) > 1:
        return source
    return CenterCrops(source, size[0])


def open_source(model: Any, data: Any) -> Source:
    """Load data as the kind of signal that a model reads (see ``kind_expected``).

    Raises:
        DataError: no such data.
    """
    with kind_expected(model):
        return load_source(data)


def kind_expected(model: Any) -> AbstractContextManager[None]:
    """Read data as the kind of a model within the block, where nobody said one and no shape suggests it."""
    return kind_assumed(None if assumed_kind() is not None or model.kind.suggested else model.kind)


def in_channels(model: Any, source: Source, name: str | None = None) -> Source:
    """The items in the channels that a model reads: images converted, other signals as they are.

    Args:
        model: any.
        source: the data.
        name: of the data, for messages.

    Raises:
        DataError: signals of another kind, or of channels that cannot be converted.
    """
    name = source.name if name is None else name
    if source.axes != model.axes:
        raise DataError(f"{name} is {source.describe()}; the model reads signals of {model.axes} axes")
    if source.kind != model.kind:
        raise DataError(
            f"{name} is {source.describe()}; the model reads {model.kind.noun[1]}: say so when it is loaded, "
            f"kind={model.kind.name!r} (--kind {model.kind.name})"
        )
    if source.channels == model.channels:
        return source
    if not source.kind.converts:
        raise DataError(f"{name} is {source.describe()}; the model reads {model.channels} channels")
    return source.with_channels(model.channels)
