"""Tensors that only vqkit has: the scale of the signal, the state of the codebooks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def model_state(channels: int, moments: tuple[float, float], size: Sequence[int]) -> dict[str, Tensor]:
    """Return the state of a VQ-VAE outside its networks and its quantizer.

    Args:
        channels: of the signal.
        moments: mean and standard deviation to which signals are normalized.
        size: of the signals that it was trained on; zeros where it is not known.
    """
    return {
        "signal_mean": torch.tensor(moments[0]),
        "signal_std": torch.tensor(moments[1]),
        "signal_size": torch.tensor(list(size), dtype=torch.int64),
        "steps_seen": torch.tensor(1, dtype=torch.int64),
        "likelihood.log_scale": torch.zeros(channels),
    }


def codebook_state(prefix: str, codebook_size: int, code_dim: int) -> dict[str, Tensor]:
    """Return the state of a codebook besides its codewords: as it is once the first values are set."""
    return {
        f"{prefix}uses": torch.ones(codebook_size),
        f"{prefix}updates": torch.tensor(0, dtype=torch.int64),
        f"{prefix}reservoir": torch.zeros(0, code_dim),
        f"{prefix}remembered": torch.tensor(0, dtype=torch.int64),
    }
