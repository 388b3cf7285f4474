"""Precision: float64 where the device has it, and no arithmetic below float32."""

from __future__ import annotations

import torch
from torch import Tensor


def float64(tensor: Tensor) -> Tensor:
    """Cast to float64; on the CPU for Apple's MPS, which has none.

    Example:
        >>> import torch
        >>> from vqkit.ops import float64
        >>> float64(torch.zeros(1)).dtype
        torch.float64
    """
    return (tensor.cpu() if tensor.device.type == "mps" else tensor).double()


def at_least_float32(tensor: Tensor) -> Tensor:
    """Widen to float32 what is narrower; float64 stays.

    Sums and comparisons below float32 lose more than they save: what bfloat16 layers emit under
    autocast is compared and summed in float32.

    Example:
        >>> at_least_float32(torch.zeros(1, dtype=torch.bfloat16)).dtype
        torch.float32
    """
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def under_autocast(tensor: Tensor) -> bool:
    """Return True if autocast is on for the tensor's device.

    Example:
        >>> with torch.autocast("cpu", dtype=torch.bfloat16):
        ...     under_autocast(torch.zeros(1))
        True
    """
    return torch.is_autocast_enabled(tensor.device.type)
