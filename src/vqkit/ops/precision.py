"""Precision helpers: float64 where the device has it."""

from __future__ import annotations

from torch import Tensor


def float64(tensor: Tensor) -> Tensor:
    """The tensor in float64; on the CPU for Apple's MPS, which has none."""
    return (tensor.cpu() if tensor.device.type == "mps" else tensor).double()
