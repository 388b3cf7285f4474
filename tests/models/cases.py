"""Small models of every rung of the ladder, ready for use, for the tests that all of them must pass."""

from __future__ import annotations

import copy
import functools
import math
from typing import Any

import torch
from torch import Tensor

from vqkit import VQVAE
from vqkit.models import PCA, VAE, Autoencoder, Model

SIZES: dict[int, tuple[int, ...]] = {0: (), 1: (11,), 2: (6, 5), 3: (2, 5, 3)}
"""Not multiples of the downsampling."""
SMALL: dict[str, Any] = {"hidden_channels": 8, "residual_channels": 4, "residual_blocks": 1}
RUNGS = ["pca", "whitened pca", "ae vector", "ae grid", "vae vector", "vae grid", "vqvae", "vqvae of 3"]
RUNGS += ["ae vector linear", "vae grid linear", "vqvae linear"]
NETWORKS = RUNGS[2:]


def signals(count: int, channels: int, axes: int, seed: int = 0, size: tuple[int, ...] | None = None) -> Tensor:
    """Random 8-bit signals as floats."""
    generator = torch.Generator().manual_seed(seed)
    shape = (count, channels, *(SIZES[axes] if size is None else size))
    return torch.randint(0, 256, shape, generator=generator).float() / 255


def new(rung: str, axes: int = 2, channels: int = 2, **options: Any) -> Model:
    """A rung before it has seen data."""
    torch.manual_seed(0)
    shape: dict[str, Any] = {"axes": axes, "channels": channels}
    if rung.endswith("pca"):
        return PCA(
            max(1, min(6, channels * math.prod(SIZES[axes]) - 1)),
            whiten=rung != "pca",
            size=list(SIZES[axes]),
            **shape,
            **options,
        )
    shape |= {**SMALL, "downsampling": 2 if axes else 1, **options}
    shape["linear_path"] = rung.endswith("linear")
    if "vqvae" in rung:
        shape = {"code_dim": 6, "num_codebooks": 3 if "3" in rung else 1, **shape}
        return VQVAE(shape.pop("codebook_size", 5), **shape)
    model = Autoencoder if rung.startswith("ae") else VAE
    shape = {"latent": rung.split()[1], "size": list(SIZES[axes]) if axes else None, **shape}
    return model(shape.pop("latent_dim", 4), **shape)


def ready(rung: str, axes: int = 2, channels: int = 2, **options: Any) -> Model:
    """A rung that has seen data: prepared, fitted, finished; in evaluation mode."""
    return copy.deepcopy(_ready(rung, axes, channels, **options))


@functools.cache
def _ready(rung: str, axes: int, channels: int, **options: Any) -> Model:
    model = new(rung, axes, channels, **options)
    data = [signals(8, channels, axes, seed=5), signals(8, channels, axes, seed=6)]
    model.prepare(data)
    if model.closed_form:
        model.fit(lambda: data)
    model.eval().finish(data)
    return model


def state(model: Model) -> dict[str, Tensor]:
    """A copy of all tensors."""
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    """Whether two states are the same, bit for bit."""
    return a.keys() == b.keys() and all(torch.equal(tensor, b[name]) for name, tensor in a.items())
