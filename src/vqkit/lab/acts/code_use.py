"""Use of a codebook over data: how often each code occurs, and places where it does."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch

from vqkit.coding import per_axis
from vqkit.data import Source
from vqkit.data.source import Array
from vqkit.errors import ConfigError, DataError
from vqkit.lab.workshop import OpenModel
from vqkit.models import IndexModel

Counts = npt.NDArray[np.int64]
ITEMS = 64
"""Items of a run's data that are looked at; of vectors, each of them one position, ``VECTORS``."""
VECTORS = 20_000
_POSITIONS = 200_000
"""Positions that are looked at, at most."""
PLACES = 12
"""Places that are kept of each code."""
_LONGEST = 512
"""The longest side of a picture of which a part is looked at; of larger ones the middle."""
_SECONDS = 8.0
_AT_ONCE = 1024
_AROUND = {"image": 1, "sound": 8}
"""Positions on each side of one that a crop shows."""


@final
@dataclass(frozen=True)
class Place:
    """A place where a code occurs: the item, and the position on its grid."""

    item: int
    position: tuple[int, ...]


@final
@dataclass(frozen=True)
class CodeUse:
    """How a model's codebooks are used over some signals.

    Attributes:
        about: the signals, in words.
        counts: how often each code occurs, ``[codebooks, K]``.
        signals: those of the places, each ``[channels, *size]``.
        places: of each codebook and code, by ``(stage, code)``: from as many signals as there are.
        positions: how many were counted.
    """

    about: str
    counts: Counts
    signals: tuple[Array, ...]
    places: dict[tuple[int, int], tuple[Place, ...]]
    positions: int

    def usage(self, stage: int) -> float:
        """The fraction of the codes that occur at least once."""
        return float((self.counts[stage] > 0).mean())

    def perplexity(self, stage: int) -> float:
        """exp(entropy of the histogram): as many codes, used alike, would be as hard to guess."""
        total = self.counts[stage].sum()
        shares = self.counts[stage][self.counts[stage] > 0] / max(1, total)
        return math.exp(-float((shares * np.log(shares)).sum()))

    def dead(self, stage: int) -> list[int]:
        """The codes that do not occur."""
        return np.flatnonzero(self.counts[stage] == 0).tolist()


def data_use(opened: OpenModel) -> CodeUse:
    """Look at the held-out items of a model's own run.

    Raises:
        DataError: there are none that can be found.
    """
    source = opened.data
    if source is None:
        raise DataError(
            f"the data of {opened.name} are not known here (a model without a run, or data that were moved): drop files"
        )
    count = min(len(source), VECTORS if opened.kind == "vector" else ITEMS)
    return code_use(opened, _items(source, count), f"{count:,} held-out items of {source.name}")


@torch.no_grad()
def code_use(opened: OpenModel, signals: Iterable[Array], about: str, each: int = 2) -> CodeUse:
    """Encode signals and count the codes.

    Args:
        opened: the model.
        signals: ``[channels, *size]`` each; those after 200,000 positions are left out, and after 256 signals (of
            vectors 20,000).
        about: what they are.
        each: places that are kept of a code in one signal, so that others have their turn.

    Raises:
        DataError: no signals, or such that the model does not read.
        ConfigError: a model without a codebook.
    """
    model = opened.model
    if not isinstance(model, IndexModel):
        raise ConfigError(f"{opened.name} has no codebook")
    books, size = model.num_codebooks, model.codebook_size
    counts = np.zeros((books, size), dtype=np.int64)
    found: dict[tuple[int, int], list[Place]] = {}
    kept: list[Array] = []
    positions = 0
    most = VECTORS if opened.kind == "vector" else 4 * ITEMS
    for item, indices in _encoded(opened, model, islice(signals, most)):
        grid = tuple(model.grid(tuple(item.shape[1:]))) if model.axes else ()
        flat, shown = indices.reshape(-1, books), False
        for stage in range(books):
            codes = flat[:, stage]
            np.add.at(counts[stage], codes[codes >= 0], 1)
            unique, first = np.unique(codes, return_index=True)
            for code, at in zip(unique.tolist(), first.tolist(), strict=True):
                places = found.setdefault((stage, code), [])
                if code >= 0 and len(places) < PLACES:
                    places += _more(codes, code, at, len(kept), grid, min(each, PLACES - len(places)))
                    shown = True
        kept += [item] if shown else []
        positions += len(flat)
        if positions >= _POSITIONS:
            break
    if not positions:
        raise DataError("there are no signals to look at")
    return CodeUse(about, counts, tuple(kept), {key: tuple(each) for key, each in found.items()}, positions)


def _more(codes: npt.NDArray[Any], code: int, first: int, item: int, grid: tuple[int, ...], room: int) -> list[Place]:
    """As many places of a signal as there is room for, from all over it."""
    at = np.flatnonzero(codes == code) if room > 1 else np.array([first])
    chosen = at[np.unique(np.linspace(0, len(at) - 1, min(room, len(at))).round().astype(int))]
    return [
        Place(item, tuple(int(each) for each in np.unravel_index(one, grid)) if grid else ()) for one in chosen.tolist()
    ]


def crop_at(opened: OpenModel, use: CodeUse, place: Place) -> Array:
    """The part of a signal around a place, a position on each side (of sounds 8 frames); vectors whole."""
    signal = use.signals[place.item]
    if not place.position:
        return signal
    model = opened.model
    assert isinstance(model, IndexModel)
    factors, around = per_axis(model.downsampling, model.axes), _AROUND[str(opened.kind)]
    crop = tuple(
        slice(max(0, (at - around) * factor), (at + around + 1) * factor)
        for at, factor in zip(place.position, factors, strict=True)
    )
    return signal[(slice(None), *crop)]


def _encoded(opened: OpenModel, model: IndexModel, signals: Iterable[Array]) -> Iterator[tuple[Array, Array]]:
    """Signals, the middle of large ones, and their indices; vectors many at a time."""
    rest = iter(signals)
    while batch := [_part(opened, each) for each in islice(rest, _AT_ONCE if opened.kind == "vector" else 1)]:
        with opened.lock:
            indices = model.encode(model.read_signals(np.stack(batch))).cpu().numpy()
        yield from zip(batch, indices, strict=True)


def _items(source: Source, count: int) -> Iterable[Array]:
    """Items from all over the data."""
    for number in range(count):
        yield np.asarray(source.read(number * len(source) // count))


def _part(opened: OpenModel, signal: Array) -> Array:
    """The middle of what is large."""
    if opened.kind == "sound":
        most = round(_SECONDS * (opened.model.kind.rate or 16_000))
        return signal[:, :most]
    if opened.kind == "image" and opened.model.only_size is None:
        top, left = (max(0, side - _LONGEST) // 2 for side in signal.shape[1:])
        return signal[:, top : top + _LONGEST, left : left + _LONGEST]
    return signal
