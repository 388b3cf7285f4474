"""Errors of fields: of each channel in its own units, over the values that are no gaps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vqkit.errors import ConfigError
from vqkit.evaluation.distortion import psnr_db
from vqkit.models import Model
from vqkit.ops import float64
from vqkit.ops.linear.moments import Moments
from vqkit.spelling import option


@dataclass(frozen=True, kw_only=True)
class ChannelError:
    """Errors of one channel.

    Attributes:
        rmse: root of the mean squared error, in the channel's units.
        nmse: mean squared error over the variance of the channel; infinite (None in JSON) where it does not vary.
        max_error: the largest absolute error.
        mean: of the values.
        std: their standard deviation.
        values: how many there are, gaps left out.
        psnr_db: of a peak that was said; None without one.
    """

    rmse: float
    nmse: float
    max_error: float
    mean: float
    std: float
    values: int
    psnr_db: float | None = None


@dataclass(frozen=True, kw_only=True)
class FieldQuality:
    """Measures of fields.

    Attributes:
        channels: errors of each.
        gaps: share of the values that are gaps.

    Example:
        >>> import numpy as np, vqkit
        >>> winds = vqkit.load_source(np.random.default_rng(0).normal(size=(8, 2, 16, 16)), kind="field@2")
        >>> model = vqkit.VQVAE.for_source(winds, 16, hidden_channels=8)
        >>> quality = vqkit.evaluate(model, winds).fields
        >>> len(quality.channels), quality.gaps, quality.channels[0].values
        (2, 0.0, 2048)
    """

    channels: tuple[ChannelError, ...]
    gaps: float

    @property
    def nmse(self) -> float:
        """The mean over the channels that have values."""
        found = [each.nmse for each in self.channels if each.values]
        return sum(found) / len(found) if found else 0.0


@dataclass(frozen=True)
class FieldPart:
    """What is kept of a batch: squared and largest errors of each channel, its moments, and gaps."""

    squared: tuple[float, ...]
    largest: tuple[float, ...]
    moments: tuple[Moments, ...]
    gaps: int


def check_peak(model: Model, peak: float | None) -> None:
    """Raise ``ConfigError`` for a peak that is none, or of signals whose range is known."""
    if peak is None:
        return
    if model.signal_range is not None or "fields" not in model.kind.measures:
        raise ConfigError(f"{option('peak', peak)}: it is for fields; {model.kind.noun[1]} have a peak, or no PSNR")
    if not 0 < peak < math.inf:
        raise ConfigError(f"{option('peak', peak)}: give the range of the values in their units, above 0")


def field_part(x: Tensor, reconstruction: Tensor, known: Tensor | None) -> FieldPart:
    """Measure a batch ``[B, C, *size]``; ``known``: the values that are no gaps, None: all."""
    error = float64(reconstruction) - float64(x)
    squared, largest, moments = [], [], []
    for channel in range(x.shape[1]):
        own, values = error[:, channel], x[:, channel]
        if known is not None:
            own, values = own[known[:, channel]], values[known[:, channel]]
        squared.append(float(own.square().sum()))
        largest.append(float(own.abs().max()) if own.numel() else 0.0)
        moments.append(Moments())
        moments[-1].add(values)
    gaps = 0 if known is None else int((~known).sum())
    return FieldPart(tuple(squared), tuple(largest), tuple(moments), gaps)


def join_fields(parts: Sequence[FieldPart], peak: float | None) -> FieldQuality:
    """Return the measures of all batches together; ``peak``: of the PSNR, None: none is counted."""
    found, values = [], 0
    for channel in range(len(parts[0].squared)):
        moments = Moments()
        for part in parts:
            if part.moments[channel].count:
                moments.merge(part.moments[channel])
        values += moments.count
        found.append(_channel(moments, [part.squared[channel] for part in parts],
                              max(part.largest[channel] for part in parts), peak))  # fmt: skip
    gaps = sum(part.gaps for part in parts)
    return FieldQuality(channels=tuple(found), gaps=gaps / max(1, gaps + values))


def _channel(moments: Moments, squared: Sequence[float], largest: float, peak: float | None) -> ChannelError:
    if not moments.count:
        return ChannelError(rmse=0.0, nmse=0.0, max_error=0.0, mean=0.0, std=0.0, values=0)
    mse, variance = sum(squared) / moments.count, moments.variance
    return ChannelError(
        rmse=math.sqrt(mse),
        nmse=mse / variance if variance > 0 else 0.0 if mse == 0 else math.inf,
        max_error=largest,
        mean=moments.mean,
        std=math.sqrt(max(0.0, variance)),
        values=moments.count,
        psnr_db=None if peak is None else psnr_db(mse, peak),
    )


def plain_channels(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a ``FieldQuality`` for JSON, None for what is infinite."""
    channels = [
        {name: None if number == math.inf else number for name, number in each.items()} for each in fields["channels"]
    ]
    return {"gaps": fields["gaps"], "channels": channels}


def known_error(x: Tensor, y: Tensor, known: Tensor) -> tuple[Tensor, float]:
    """Mean squared error of each item over its known values, ``[batch]`` float64, and the sum over all."""
    squares = torch.where(known, (float64(x) - float64(y)).square(), 0.0).flatten(1).sum(dim=1)
    return squares / known.flatten(1).sum(dim=1).clamp_min(1), float(squares.sum())
