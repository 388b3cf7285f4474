"""A token grid to play with: what each of some codes makes of each position, decoded with all others as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vqkit.models import VQVAE
from vqkit.ops import index_histogram
from vqkit.pictures import to_uint8
from vqkit.studies.play.sprites import sprite

_VALUES = 1_200_000
"""Values of pixels of all changes together."""
_DECODED = 8192
"""Grids that are decoded for them, at most."""
_ITEMS, _CODES = (8, 6, 5, 4, 3, 2, 1), (32, 24, 16, 12, 8, 6, 4)
_PROBED = 8
_MOST_POSITIONS = 1024
_BATCH = 256


@torch.no_grad()
def token_play(model: VQVAE, images: Tensor) -> dict[str, Any] | None:
    """Grids of the first images, how often each code is used in all of them, and single replacements in some.

    A replacement is exact: the grid with one code in another's place is decoded as a whole, and the part of the picture
    that it changes is kept. ``codes`` are those most used; as many images and codes as a page has room for.

    Args:
        model: a VQ-VAE of pictures with one codebook.
        images: ``[N, channels, height, width]``.

    Returns:
        None of a grid that is too large, or has several codebooks.
    """
    grid = tuple(model.grid(tuple(images.shape[2:])))
    positions = grid[0] * grid[1]
    if model.num_codebooks > 1 or positions > _MOST_POSITIONS or not len(images):
        return None
    size = tuple(images.shape[2:])
    indices = torch.cat([model.encode(part.to(model.device)).cpu() for part in images.split(_BATCH)])
    counts = index_histogram(indices, model.codebook_size)
    order = counts.argsort(descending=True, stable=True)
    order = order[counts[order] > 0]
    radius = _radius(model, indices[0], order, size)
    while True:
        window = _window(model, radius, size)
        shown, codes = _affordable(positions, images.shape[1] * window[0] * window[1], order, len(images))
        changes = [_changes(model, grid, codes, size, window, radius) for grid in indices[:shown] if len(codes)]
        if all(each is not None for each in changes):
            break
        radius += 1
    seen = max(shown, min(_ITEMS[0], len(images)))
    return {
        "grid": list(grid),
        "size": list(size),
        "step": list(_step(model)),
        "codebook_size": model.codebook_size,
        "items": len(images),
        "indices": indices[:seen].flatten(1).tolist(),
        "counts": {str(code): int(counts[code]) for code in order.tolist()},
        "originals": sprite(to_uint8(images[:seen]), seen),
        "pictures": sprite(_decoded(model, indices[:seen], size), seen),
        "codes": codes.tolist(),
        "changes": [sprite(each, len(codes)) for each in changes if each is not None],
        "starts": [list(_start(model, place, radius, window, size)) for place in range(positions)],
        "window": list(window),
    }


def _affordable(positions: int, values: int, order: Tensor, items: int) -> tuple[int, Tensor]:
    """How many images, and which codes in every position of them, a page has room for; perhaps no code.

    Args:
        positions: of the grid.
        values: of the pixels that a replacement changes.
        order: codes by their use.
        items: that there are.
    """
    cost = positions * max(values, _VALUES // _DECODED)
    codes = order[: next((each for each in _CODES if each * cost <= _VALUES), _CODES[-1])]
    if len(codes) < 2 or len(codes) * cost > 4 * _VALUES:
        return min(items, _ITEMS[0]), order[:0]
    return min(items, next((each for each in _ITEMS if each * len(codes) * cost <= _VALUES), 1)), codes


def _replaced(indices: Tensor, place: int, codes: Tensor) -> Tensor:
    """The grid ``[rows, columns]`` once for each code, that code in a place."""
    grids = indices.flatten().repeat(len(codes), 1)
    grids[:, place] = codes.to(grids.dtype)
    return grids.view(len(codes), *indices.shape)


def _radius(model: VQVAE, indices: Tensor, codes: Tensor, size: tuple[int, ...]) -> int:
    """How many positions to each side a replacement changes the 8-bit picture, at most, of those that are tried."""
    rows, columns = indices.shape
    few = codes[:_PROBED]
    spots = {0, (rows // 2) * columns + columns // 2, rows * columns - 1}
    base = _decoded(model, indices[None], size)[0]
    height, width = _step(model)
    radius = 0
    for place in spots:
        changed = (_decoded(model, _replaced(indices, place, few), size) != base).any(axis=(0, 1))
        row, column = divmod(place, columns)
        for across, at, step in ((changed.any(axis=1), row, height), (changed.any(axis=0), column, width)):
            cells = np.flatnonzero(across) // step
            if len(cells):
                radius = max(radius, int(np.abs(cells - at).max()))
    return radius


def _changes(
    model: VQVAE, indices: Tensor, codes: Tensor, size: tuple[int, ...], window: tuple[int, int], radius: int
) -> NDArray[np.uint8] | None:
    """The part that changes ``[positions * codes, channels, *window]``, position by position; None: more changes."""
    base, made = _decoded(model, indices[None], size)[0], []
    for place in range(indices.numel()):
        whole = _decoded(model, _replaced(indices, place, codes), size)
        top, left = _start(model, place, radius, window, size)
        inside = (..., slice(top, top + window[0]), slice(left, left + window[1]))
        made.append(whole[inside].copy())
        whole[inside] = base[inside]
        if (whole != base).any():
            return None
    return np.concatenate(made)


def _step(model: VQVAE) -> tuple[int, int]:
    """Pixels of a position."""
    found = model.downsampling
    return (found, found) if isinstance(found, int) else (int(found[0]), int(found[1]))


def _window(model: VQVAE, radius: int, size: tuple[int, ...]) -> tuple[int, int]:
    height, width = ((2 * radius + 1) * step for step in _step(model))
    return min(height, size[0]), min(width, size[1])


def _start(model: VQVAE, place: int, radius: int, window: tuple[int, int], size: tuple[int, ...]) -> tuple[int, int]:
    """The first row and column of pixels of the window around a position."""
    columns = model.grid(size)[1]
    at, step = divmod(place, columns), _step(model)
    top, left = (
        min(max((cell - radius) * pixels, 0), length - high)
        for cell, pixels, length, high in zip(at, step, size, window, strict=True)
    )
    return top, left


def _decoded(model: VQVAE, indices: Tensor, size: tuple[int, ...]) -> NDArray[np.uint8]:
    parts = [model.decode(part.to(model.device), size).cpu() for part in indices.split(_BATCH)]
    return to_uint8(torch.cat(parts))
