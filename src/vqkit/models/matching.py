"""What a data source says of the model that is made for it."""

from __future__ import annotations

from typing import Any

import numpy as np

_LOOK = 1024
_APART = 100.0
"""Variance of the columns' means over that within a column, from which on each has a mean of its own."""


def source_options(source: Any) -> dict[str, Any]:
    """What a source says of the signals: channels, axes, and whether the offsets of its columns lie far apart."""
    options = {"channels": source.channels, "axes": source.axes}
    if source.axes == 0 and source.channels > 1:
        some = np.asarray(source.gather(range(min(len(source), _LOOK))), dtype=np.float64)
        within, between = float(some.var(axis=0).mean()), float(some.mean(axis=0).var())
        if between > _APART * within > 0:
            options["channel_means"] = True
    return options
