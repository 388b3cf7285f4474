"""Products of matrices of int8 values: the same integers in float32, in float64, or in int32 where that is faster."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from vqkit.exact.formats import FAN_IN, WEIGHT_LIMIT

INT8_FAN_IN = ((1 << 31) - 1) // (WEIGHT_LIMIT * 127)
"""133,144: so many products sum to less than 2^31."""

_TRIED = ((1, 1, 1), (3, 7, 5), (16, 64, 16), (65, 864, 96), (130, 1040, 33))


def exact_matmul(rows: Tensor, weight: Tensor) -> Tensor:
    """``rows @ weight`` of values in [-127, 127], ``[..., m, k]`` and ``[k, outputs]``; exact.

    Two int8 tensors give int32 sums. Floats give floats: above a fan-in of 1040 the terms are cut into pieces, each
    exact in the storage_dtype, that are added in float64.
    """
    if rows.dtype == torch.int8:
        return _int32_sums(rows.reshape(-1, rows.shape[-1]), weight).view(*rows.shape[:-1], weight.shape[1])
    fan_in = rows.shape[-1]
    with torch.autocast(rows.device.type, enabled=False):
        if fan_in <= FAN_IN:
            return rows @ weight
        wide = torch.int64 if rows.device.type == "mps" else torch.float64
        pieces = zip(rows.split(FAN_IN, dim=-1), weight.split(FAN_IN), strict=True)
        first, *rest = [(part @ own).to(wide) for part, own in pieces]
        for each in rest:
            first = first + each
        return first


def int8_helps(device: torch.device) -> bool:
    """Return True if products of int8 tensors are exact on a device, and faster than those of floats.

    On processors with VNNI or AMX instructions: about five times as fast. Others might add pairs of products in 16
    bits, which overflow, so they are not asked; and those that are have to pass a test first.
    """
    return device.type == "cpu" and _passes()


@lru_cache(maxsize=1)
def _passes() -> bool:
    if not hasattr(torch, "_int_mm") or not torch.backends.mkldnn.is_available():
        return False  # without this library there is a plain loop
    able = (getattr(torch.cpu, name, None) for name in ("_is_vnni_supported", "_is_amx_tile_supported"))
    if not any(check is not None and check() for check in able):
        return False
    try:
        return all(_agrees(*shape) for shape in _TRIED)
    except RuntimeError:
        return False


def _agrees(m: int, k: int, n: int) -> bool:
    """The largest and smallest sums there are, and mixed ones, beside int64's."""
    generator = torch.Generator().manual_seed(m)
    full = torch.full((m, k), WEIGHT_LIMIT, dtype=torch.int8)
    mixed = torch.randint(-WEIGHT_LIMIT, WEIGHT_LIMIT + 1, (m, k), dtype=torch.int8, generator=generator)
    weights = torch.randint(-WEIGHT_LIMIT, WEIGHT_LIMIT + 1, (k, n), dtype=torch.int8, generator=generator)
    largest = torch.full((k, n), WEIGHT_LIMIT, dtype=torch.int8)
    pairs = ((rows, weight) for rows in (full, -full, mixed) for weight in (largest, -largest, weights))
    return all(torch.equal(_int32_sums(a, b).long(), a.long() @ b.long()) for a, b in pairs)


def _int32_sums(rows: Tensor, weight: Tensor) -> Tensor:
    if not len(rows):
        return rows.new_zeros(0, weight.shape[1], dtype=torch.int32)
    return torch._int_mm(rows, weight)
