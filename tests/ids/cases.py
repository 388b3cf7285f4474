"""What tests of ids share: clustered vectors and models of them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch

from vqkit.models import ResidualQuantization


def vectors(count: int = 600, seed: int = 0) -> Any:
    """Vectors of 6 numbers in 12 clusters."""
    random = np.random.default_rng(seed)
    centers = np.random.default_rng(0).normal(size=(12, 6))
    return (centers[random.integers(12, size=count)] + 0.3 * random.normal(size=(count, 6))).astype(np.float32)


@cache
def model(seed: int = 0) -> ResidualQuantization:
    """Three codebooks of 8 codes."""
    found = ResidualQuantization(8, num_codebooks=3, channels=6, rounds=3, beam=2, seed=seed)
    found.fit(lambda: torch.from_numpy(vectors()).split(200))
    return found.eval()
