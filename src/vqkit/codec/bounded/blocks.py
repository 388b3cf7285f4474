"""Blocks of fields within a bound: integers of a lattice from coarse to fine, and the values kept as they are."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vqkit.codec.bounded.lattice import LARGEST, Floats, Integers, Lattice, as_written, lattice_of, outside
from vqkit.codec.bounded.pyramid import Pass, passes
from vqkit.codec.bounded.symbols import StepCoder, contexts
from vqkit.coding.fields import Fields, varint
from vqkit.errors import BitstreamError

Mask = npt.NDArray[np.bool_]
_WEIGHT_BITS = 10
_WIDTH = 22  # bits of a weight in a file
_FITTED, _SAMPLE = 2048, 16384
_NARROW = 1 << 24  # beyond it sums of weighted neighbors might leave 64 bits
_EARLIER = 3
_ACTIVITY = 6


def encode_values(values: Floats, bounds: Sequence[float], kind: np.dtype[Any]) -> tuple[bytes, Floats]:
    """The bytes of values ``[n, C, *grid]`` (NaN: gaps), and what decodes from them.

    Args:
        values: float64.
        bounds: of each channel, 0 or more.
        kind: of the numbers as they are written.
    """
    gaps = np.isnan(values)
    lattices = [lattice_of(values[:, c], bound, kind) for c, bound in enumerate(bounds)]
    exact = np.stack([each.integers(values[:, c]) for c, each in enumerate(lattices)], axis=1)
    coder = StepCoder()
    decoded = _on_lattice(_code(coder, exact, gaps, lattices), gaps, lattices, kind)
    data = coder.finish()
    raw = np.stack([outside(decoded[:, c], values[:, c], bound) for c, bound in enumerate(bounds)], axis=1)
    kept = values[raw].astype(">f8").tobytes()
    places = np.diff(np.flatnonzero(raw), prepend=0).astype(">u4").tobytes()
    escaped = zlib.compress(places + kept, 9) if kept else b""
    head = b"".join(np.array([each.origin, each.unit], ">f8").tobytes() + varint(each.half) for each in lattices)
    found = head + varint(int(raw.sum())) + varint(len(escaped)) + escaped + data
    return found, decode_values(found, gaps, kind)


def decode_values(data: bytes, gaps: Mask, kind: np.dtype[Any]) -> Floats:
    """Float64 values ``[n, C, *grid]`` of ``encode_values``.

    Args:
        data: the bytes.
        gaps: where there is none.
        kind: see ``encode_values``.

    Raises:
        BitstreamError: other bytes.
    """
    fields = Fields(data, "values")
    lattices = []
    for _ in range(gaps.shape[1]):
        origin, unit = (float(each) for each in np.frombuffer(fields.take(16), ">f8"))
        half = fields.varint("units of a bound", 0, 1 << 31)
        if not (math.isfinite(origin) and math.isfinite(unit) and unit >= 0):
            raise fields.damage("has a lattice that is none")
        lattices.append(Lattice(origin, unit, half))
    count = fields.varint("values kept as they are", 0, gaps.size)
    escaped = fields.take(fields.varint("bytes of them", 0, len(data)))
    places, kept = _escaped(escaped, count, gaps.size)
    coder = StepCoder(fields.rest())
    decoded = _on_lattice(_code(coder, None, gaps, lattices), gaps, lattices, kind)
    coder.finish()
    decoded.reshape(-1)[places] = kept
    return decoded


def _escaped(data: bytes, count: int, size: int) -> tuple[Integers, Floats]:
    if not count:
        return np.zeros(0, np.int64), np.zeros(0)
    reader = zlib.decompressobj()
    try:
        raw = reader.decompress(data, 12 * count + 1)
    except zlib.error as error:
        raise BitstreamError(f"damaged data: values kept as they are ({error}); get the file anew") from error
    if len(raw) != 12 * count:
        raise BitstreamError("damaged data: values kept as they are are cut short; get the file anew")
    places = np.cumsum(np.frombuffer(raw[: 4 * count], ">u4").astype(np.int64))
    if places[-1] >= size:
        raise BitstreamError("damaged data: values kept as they are lie outside of the field; get the file anew")
    return places, np.frombuffer(raw[4 * count :], ">f8").astype(np.float64)


def _on_lattice(integers: Integers, gaps: Mask, lattices: Sequence[Lattice], kind: np.dtype[Any]) -> Floats:
    found = [as_written(each.values(integers[:, c]), kind) for c, each in enumerate(lattices)]
    values = np.stack(found, axis=1)
    values[gaps] = np.nan
    return values


def _code(coder: StepCoder, exact: Integers | None, gaps: Mask, lattices: Sequence[Lattice]) -> Integers:
    """Code integers ``[n, C, *grid]``, or decode them; returns what is decoded."""
    count, channels, *grid = gaps.shape
    own = passes(tuple(grid))
    flat = (count, channels, math.prod(grid))
    found, sizes = np.zeros(flat, np.int64), np.zeros(flat, np.int64)
    given = None if exact is None else exact.reshape(flat)
    missing = gaps.reshape(flat)
    for channel, lattice in enumerate(lattices):
        if not lattice.unit or missing[:, channel].all():
            continue
        for each in own:
            told = None if given is None else given[:, channel, each.places]
            earlier = [
                (found[:, c], lattices[c]) for c in range(max(0, channel - _EARLIER), channel) if lattices[c].unit
            ]
            values, known = found[:, channel], ~missing[:, channel, each.places]
            predicted = _predicted(coder, each, values, earlier, told, known)
            near = values[:, each.around[:, :4]] if each.around.shape[1] else values[:, :0]
            spread = np.abs(near - predicted[:, :, None]).sum(axis=2) if near.ndim == 3 else np.zeros_like(predicted)
            activity = sizes[:, channel][:, each.around[:, :_ACTIVITY]].sum(axis=2)
            if channel:
                activity = activity + 2 * sizes[:, channel - 1][:, each.places]
            context, low = contexts(activity[known], spread[known], lattice.step)
            steps = None
            if told is not None:
                steps = np.floor_divide((told - predicted)[known] + lattice.half, lattice.step)
            coded = coder.code(steps, context, low)
            new, size = predicted.copy(), np.zeros_like(predicted)
            new[known] += lattice.step * coded
            size[known] = np.minimum(np.abs(coded), 1 << 20)
            found[:, channel, each.places] = np.clip(new, -4 * LARGEST, 4 * LARGEST)
            sizes[:, channel, each.places] = size
    return found.reshape(gaps.shape)


def _predicted(
    coder: StepCoder,
    each: Pass,
    values: Integers,
    earlier: Sequence[tuple[Integers, Lattice]],
    told: Integers | None,
    known: Mask,
) -> Integers:
    """The prediction ``[n, m]``: the interpolation, and where many values share it what a fitted filter adds."""
    base = each.interpolated(values)
    if known.sum() < _FITTED or not len(each.fixed):
        return base
    parts = [values[:, each.around] - base[:, :, None]]
    for other, _ in earlier:
        parts.append((other[:, each.places] - each.interpolated(other))[:, :, None])
    features = np.concatenate(parts, axis=2)
    if int(np.abs(features).max()) >= _NARROW:
        return base
    weights = None
    if told is not None:
        weights = _fitted(features[known], (told - base)[known])
    if not coder.flag(None if weights is None else int(weights.any()), 2):
        return base
    size = features.shape[2]
    signed = coder.plain(None if weights is None else weights + (1 << _WIDTH - 1), np.full(size, _WIDTH, np.int64))
    total = features @ (signed - (1 << _WIDTH - 1))
    return base + ((total + (1 << _WEIGHT_BITS - 1)) >> _WEIGHT_BITS)


def _fitted(features: Integers, wanted: Integers) -> Integers:
    """Weights in 1/1024 of least squares; the decoder reads them, so they need not be the same anywhere else."""
    some = slice(None, None, max(1, len(features) // _SAMPLE))
    x, y = features[some].astype(np.float64), wanted[some].astype(np.float64)
    scale = np.sqrt((x * x).mean(axis=0)) + 1e-9
    z = x / scale
    gram = z.T @ z
    gram[np.diag_indices(len(gram))] += 1e-4 * len(z)
    try:
        solved = np.linalg.solve(gram, z.T @ y) / scale
    except np.linalg.LinAlgError:
        return np.zeros(features.shape[1], np.int64)
    most = (1 << _WIDTH - 1) - 1
    weights = np.clip(np.rint(np.nan_to_num(solved) * (1 << _WEIGHT_BITS)), -most, most).astype(np.int64)
    before = np.abs(y).mean()
    after = np.abs(y - x @ (weights * 2.0**-_WEIGHT_BITS)).mean()
    gained = len(wanted) * np.log2((before + 1.0) / (after + 1.0))
    return weights if gained > 2 * _WIDTH * len(weights) else np.zeros_like(weights)
