"""State that only vqkit has (the scale of the signal, counts of codebooks), and checks of foreign settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from vqkit.checking import check_fields, shown

MOST_CODEBOOKS = 1024
"""Of a stack that a foreign config describes: published ones have 32 at most."""


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


def codebook_states(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Return the state of codebooks besides their codewords: as it is once the first values are set.

    Args:
        shapes: of the tensors of a model; codebooks ``[K, D]`` are those called ``codebook``.
    """
    found: dict[str, Tensor] = {}
    for name, shape in shapes.items():
        prefix, _, last = name.rpartition(".")
        if last == "codebook" and len(shape) == 2:
            found[f"{prefix}.uses"] = torch.ones(shape[0])
            found[f"{prefix}.updates"] = torch.tensor(0, dtype=torch.int64)
            found[f"{prefix}.reservoir"] = torch.zeros(0, shape[1])
            found[f"{prefix}.remembered"] = torch.tensor(0, dtype=torch.int64)
    return found


def settings(config: Mapping[str, Any], defaults: Mapping[str, Any], types: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a foreign config that have a default here.

    Raises:
        ValueError: one of another type than the default's (or than ``types`` says), or a number below 0.
    """
    given = {name: config.get(name, default) for name, default in defaults.items()}
    check_fields(given, {name: types.get(name, type(default)) for name, default in defaults.items()})
    for name, value in given.items():
        numbers = value if isinstance(value, list) else [value]
        low = [each for each in numbers if isinstance(each, int | float) and not isinstance(each, bool) and each < 0]
        if low:
            raise ValueError(f"its {name} is {shown(value)}")
    return given


def check_codebooks(count: int) -> int:
    """Return the number of codebooks of a residual stack. Raises ValueError where a config asks for no such stack."""
    if not 2 <= count <= MOST_CODEBOOKS:
        raise ValueError(f"it has {count:,} codebooks; from 2 to {MOST_CODEBOOKS:,} are read")
    return count
