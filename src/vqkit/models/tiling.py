"""A model applied tile by tile: the same indices and signals as in one piece, in memory for one tile."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor

from vqkit.coding import pixels
from vqkit.errors import ConfigError
from vqkit.models import IndexModel
from vqkit.ops import evaluating
from vqkit.quantizers.codebook.base import CodebookQuantizer
from vqkit.quantizers.composite.weighing import weighing_bits


class Signals(Protocol):
    """Protocol of a batch of signals ``[n, channels, *size]`` that parts are read from, such as a tensor."""

    @property
    def shape(self) -> torch.Size: ...  # noqa: D102

    def __getitem__(self, where: tuple[slice, ...], /) -> Tensor: ...


def around(model: IndexModel, tile: tuple[slice, ...], grid: tuple[int, ...]) -> tuple[slice, ...]:
    """A tile with the halo that the networks see (``NetworkModel.halo``), as far as the grid reaches."""
    reach = max(grid, default=0) if model.halo is None else model.halo
    return tuple(
        slice(max(0, axis.start - reach), min(length, axis.stop + reach))
        for axis, length in zip(tile, grid, strict=True)
    )


@torch.no_grad()
def tile_latents(model: IndexModel, signals: Tensor | Signals, tile: tuple[slice, ...]) -> Tensor:
    """Latents ``[n, D, *tile]`` of signals ``[n, channels, *size]`` at the positions of a tile."""
    size = tuple(signals.shape[2:])
    wide = around(model, tile, model.grid(size))
    part = signals[(slice(None), slice(None), *pixels(wide, size, model.downsampling))]
    with evaluating(model):
        latents = model.latents(part.to(model.device))
    return latents[(slice(None), slice(None), *_inside(tile, wide))]


@torch.no_grad()
def tile_signals(model: IndexModel, indices: Tensor, tile: tuple[slice, ...], size: tuple[int, ...]) -> Tensor:
    """Signals ``[n, channels, *pixels of the tile]`` of indices ``[n, *grid, m]`` with m codebooks of a stack."""
    grid = model.grid(size)
    wide = around(model, tile, grid)
    part = indices[(slice(None), *wide)]
    scale = model.downsampling
    own = pixels(wide, size, scale)
    extent = tuple(axis.stop - axis.start for axis in own)
    found = model.decode(all_codebooks(model, part), extent)
    offsets = tuple(axis.start for axis in own)
    inner = tuple(
        slice(axis.start - offset, axis.stop - offset)
        for axis, offset in zip(pixels(tile, size, scale), offsets, strict=True)
    )
    return found[(slice(None), slice(None), *inner)]


def _inside(tile: tuple[slice, ...], wide: tuple[slice, ...]) -> tuple[slice, ...]:
    return tuple(
        slice(axis.start - outer.start, axis.stop - outer.start) for axis, outer in zip(tile, wide, strict=True)
    )


def all_codebooks(model: IndexModel, indices: Tensor) -> Tensor:
    """Return indices ``[n, *grid, m]`` as the model reads them: of one codebook without the last axis.

    -1 stands for codebooks that were left out.
    """
    if model.num_codebooks == 1:
        return indices[..., 0]
    missing = model.num_codebooks - indices.shape[-1]
    return torch.nn.functional.pad(indices, (0, missing), value=-1) if missing else indices


@torch.no_grad()
def chosen_indices(model: IndexModel, latents: Tensor, rate_weight: float | None = None) -> Tensor:
    """Indices int64 ``[n, *grid, C]`` of latents; with ``rate_weight`` the codebooks weigh bits so.

    Args:
        model: the tokenizer.
        latents: ``[n, D, *grid]``.
        rate_weight: see ``CodebookQuantizer``; None: as the model was trained.
    """
    with evaluating(model), weighing(model, rate_weight):
        found = model.quantizer.encode(latents)
    return found if model.num_codebooks > 1 else found.unsqueeze(-1)


@torch.no_grad()
def weighed_indices(model: IndexModel, signals: Tensor, rate_weights: Sequence[float]) -> Tensor:
    """``VQVAE.encode`` of signals, each with a ``rate_weight`` of its own."""
    with evaluating(model):
        latents = model.latents(signals)
    found: Tensor | None = None
    for weight in sorted(set(rate_weights)):
        rows = torch.tensor([each == weight for each in rate_weights], device=latents.device)
        with evaluating(model), weighing(model, weight):
            part = model.quantizer.encode(latents[rows])
        found = part.new_zeros(len(latents), *part.shape[1:]) if found is None else found
        found[rows] = part
    assert found is not None
    return found


def check_weight(model: IndexModel, rate_weight: float | None) -> None:
    """Raise ``ConfigError`` for a weight that this model's quantizer cannot use."""
    if rate_weight is None:
        return
    if not 0 <= rate_weight < math.inf:
        raise ConfigError(f"rate_weight={rate_weight}: give 0 or more")
    if not codebooks_of(model):
        raise ConfigError(
            f"rate_weight={rate_weight}: quantizer {model.config['quantizer']!r} has no codebook that could weigh bits"
        )


@contextmanager
def weighing(model: IndexModel, rate_weight: float | None) -> Iterator[None]:
    """Let the codebooks weigh bits with ``rate_weight`` within the block; None: as the model was trained."""
    with weighing_bits(codebooks_of(model), rate_weight):
        yield


def codebooks_of(model: IndexModel) -> list[CodebookQuantizer]:
    """The codebooks of a model that can weigh bits."""
    return [module for module in model.quantizer.modules() if isinstance(module, CodebookQuantizer)]


def in_float64(model: IndexModel) -> IndexModel:
    """A copy that decodes in float64, on the CPU where the device has none.

    Two machines then differ by about 1e-13 of a signal's range before it is rounded to its 256 levels, so that their
    bytes are equal unless a value lies that near to the middle between two levels.
    """
    double = copy.deepcopy(model)
    if double.device.type == "mps":
        double = double.cpu()
    return double.double().eval()
