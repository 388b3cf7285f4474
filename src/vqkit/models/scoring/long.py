"""Scores of a signal that is too long to be held at once: encoded, decoded and judged a piece at a time."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vqkit.data.long_items import LongItem
from vqkit.errors import ConfigError
from vqkit.models.scoring.scores import ItemMaps, LatentScores, Scores
from vqkit.ops import float64

_PIECE = 1 << 15
"""Samples at a time."""


def whole(item: LongItem) -> Tensor:
    """All samples ``[1, channels, length]``."""
    return torch.from_numpy(np.concatenate(list(item.pieces()), axis=1))[None]


def stream_of(model: Any, condition: Any) -> Any:
    """The stream of a model; None: it has none, and sees whole signals."""
    try:
        return model.stream(condition) if hasattr(model, "stream") else None
    except ConfigError:
        return None


def in_deviations(model: Any, channel_mse: Tensor) -> Tensor | None:
    """Mean squared errors ``[N]`` in deviations of each channel, of those ``[N, C]`` of channels; None: one unit."""
    deviation = getattr(model, "signal_std", None)
    if deviation is None or not model.kind.per_channel or channel_mse.shape[1] < 2:
        return None
    return (channel_mse / float64(deviation).to(channel_mse.device).view(1, -1).square()).nanmean(dim=1)


@torch.no_grad()
def score_long(model: Any, stream: Any, item: LongItem, *, maps: bool) -> Scores:
    """The scores of one signal, in memory for a piece, its indices, and the maps where they are asked for.

    Args:
        model: an ``IndexModel``.
        stream: of it.
        item: the signal.
        maps: see ``Model.score``.
    """
    placed: list[LatentScores] = []

    def choose(latents: Tensor) -> Tensor:
        placed.append(model.placed_latents(latents))
        return placed[-1].codes

    stream.halves = replace(stream.halves, choose=choose)
    channels, length = item.shape
    total = torch.zeros(channels, dtype=torch.float64)
    known = torch.zeros(channels, dtype=torch.float64)
    errors: list[Tensor] = []
    done = 0
    for piece in chain(item.pieces(_PIECE), [None]):
        last = piece is None
        codes = stream.encode(None if piece is None else torch.from_numpy(piece)[None], last=last)
        made = stream.decode(codes, last=last, size=length if last else None)
        if not made.shape[2]:
            continue
        given = model.read_signals(torch.from_numpy(item.part(done, done + made.shape[2]))[None])
        error = (float64(model.to_float(given)) - float64(made)).square().cpu()[0]
        done += made.shape[2]
        total += error.nansum(dim=1)
        known += (~error.isnan()).sum(dim=1)
        if maps:
            errors.append(error.float())
    apart = [each.distances for each in placed]
    found = LatentScores(torch.cat([each.codes for each in placed], dim=1))
    if all(each is not None for each in apart):
        found.distances = torch.cat([each for each in apart if each is not None], dim=1)
    found = model.with_bits(found, positions=maps)
    span = model.signal_range
    bits, distances = found.bits, found.distances
    nmse = in_deviations(model, (total / known)[None])
    return Scores(
        mse=_one(total.sum() / known.sum()),
        nmse=None if nmse is None else nmse.double().cpu().numpy(),
        channel_mse=_one(total / known),
        peak=None if span is None else float(span[1] - span[0]),
        bits=None if bits is None else bits.double().cpu().numpy(),
        distance_mean=None if distances is None else _one(distances.mean()),
        distance_max=None if distances is None else _one(distances.amax()),
        maps=[_maps(torch.cat(errors, dim=1), found)] if maps else None,
    )


def _one(value: Tensor) -> Any:
    return value.double().cpu().numpy()[None]


def _maps(error: Tensor, found: LatentScores) -> ItemMaps:
    small = [None if each is None else each[0].float().cpu().numpy() for each in (found.position_bits, found.distances)]
    return ItemMaps(error=error.numpy(), bits=small[0], distance=small[1])
