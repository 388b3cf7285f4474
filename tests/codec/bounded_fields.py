"""Random fields of every type, with gaps, constants, huge ranges and denormals: what bounds are tried on."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vqkit.codec.bounded.blocks import encode_values
from vqkit.coding.headers import NUMBER_TYPES

SHAPES = ("noise", "smooth", "constant", "huge", "tiny", "spikes", "steps")


def random_field(rng: np.random.Generator) -> tuple[npt.NDArray[np.float64], list[float], np.dtype[Any]]:
    """Values ``[n, C, *grid]`` float64 that their type holds, NaN for gaps, and a bound for each channel."""
    kind = np.dtype(str(rng.choice(NUMBER_TYPES)))
    axes = int(rng.integers(1, 4))
    grid = [int(rng.integers(1, (200, 24, 9)[axes - 1])) for _ in range(axes)]
    shape = [int(rng.integers(1, 3)), int(rng.integers(1, 4)), *grid]
    what, floats = str(rng.choice(SHAPES)), kind.kind == "f"
    most = float(np.finfo(kind).max if floats else np.iinfo(kind).max)
    least = -most if floats else float(np.iinfo(kind).min)
    values = rng.normal(size=shape)
    if what == "smooth":
        for axis in range(2, values.ndim):
            values = values.cumsum(axis)
    elif what == "constant":
        values = np.full(shape, rng.normal())
    elif what == "huge":
        values = np.clip(values / 2, -1, 1) * most
    elif what == "tiny":
        values = values * (float(np.finfo(kind).smallest_subnormal) * 8 if floats else 2)
    elif what == "spikes":
        values = np.where(rng.random(shape) < 0.02, np.clip(values / 8, -1, 1) * most, values)
    elif what == "steps":
        values = np.rint(values) * 4
    scale = 1.0 if what in ("huge", "tiny", "spikes") else 10.0 ** rng.integers(-3, 3)
    with np.errstate(over="ignore"):
        values = np.clip(values * scale, least, most)
        values = (values if floats else np.rint(values)).astype(kind).astype(np.float64)
    if rng.random() < 0.4:
        values[rng.random(shape) < rng.choice([0.05, 0.5, 1.0])] = np.nan
    spread = np.nanmax(np.abs(values), initial=0.0) if not np.isnan(values).all() else 1.0
    part = 10.0 ** rng.uniform(-9, 0.5, shape[1])
    bounds = [0.0 if rng.random() < 0.2 else float(each * min(spread, 1e300)) for each in part]
    return values, bounds, kind


def violations(values: npt.NDArray[np.float64], bounds: list[float], kind: np.dtype[Any]) -> int:
    """How many values are beyond their bound after a round trip, or are gaps on one side only (an own check)."""
    _, decoded = encode_values(values, bounds, kind)
    gaps = np.isnan(values)
    wrong = int((np.isnan(decoded) != gaps).sum())
    written = np.where(gaps, 0, decoded).astype(kind)
    wrong += int((written.astype(np.float64) != np.where(gaps, 0, decoded)).sum())
    for channel, bound in enumerate(bounds):
        there = ~gaps[:, channel]
        exact = np.asarray(values[:, channel][there], np.longdouble)
        error = np.abs(written[:, channel][there].astype(np.longdouble) - exact)
        wrong += int((error > np.longdouble(bound)).sum())
    return wrong
