"""Products of few rows with one weight, many times over: packed once for oneDNN, where there is oneDNN."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

_MOST_ROWS = 128
_LEAST_NUMBERS = 1 << 16
"""In a weight; a smaller one is in the cache of the processor anyway."""


def product(weight: Tensor, rows: int) -> Callable[[Tensor], Tensor]:
    """A function of ``x`` ``[rows, inputs]`` that gives ``x @ weight.T``, for a ``weight`` ``[outputs, inputs]``.

    On a CPU a product with few rows spends much of its time on reading the weight in an unfavourable order. oneDNN can
    reorder a float32 weight once (torch's compiler does the same): measured on one core of an AMD EPYC, 16 rows and
    512 inputs take 0.6 of the time, 64 rows 0.75. Elsewhere, and should torch not have the operation, it is
    ``F.linear``. The function is for use without gradient, and keeps a copy of the weight.
    """
    if (
        weight.device.type == "cpu"
        and weight.dtype == torch.float32
        and rows <= _MOST_ROWS
        and weight.numel() >= _LEAST_NUMBERS
    ):
        try:
            packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), rows)
            run = torch.ops.mkldnn._linear_pointwise.default
            return lambda x: run(x, packed, None, "none", [], "")
        except (AttributeError, RuntimeError):  # a build without oneDNN
            pass
    return partial(F.linear, weight=weight)
