"""The pictures of one rung: samples, interpolations, the map of its latents, what each latent number or code does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from vqkit.data import Source
from vqkit.models import VQVAE, Model
from vqkit.ops import index_histogram
from vqkit.ops.linear import principal
from vqkit.pictures import SHEET, before_after_sheet
from vqkit.storage import atomic
from vqkit.studies.images import gathered, gathered_labels, shown_signals
from vqkit.studies.ladder.measures import decoded, encoded, real_latents
from vqkit.studies.report.maps import latent_map
from vqkit.studies.report.sheets import KEPT_LIGHT
from vqkit.studies.seen import shown

_SAMPLES, _PAIRS, _STEPS = 48, 6, 9
_MAP_ITEMS = 2000
_DIRECTIONS, _PLACES = 10, 9
_CODES = 96


def draw_pictures(model: Model, held_out: Source, samples: Tensor, folder: Path, key: str) -> dict[str, str]:
    """Write the pictures of a rung into ``folder``; returns their file names by kind."""
    drawings: Mapping[str, Callable[[], Image.Image]] = {
        "samples": lambda: _grid(shown(model.kind, samples[:_SAMPLES]), 12),
        "interpolations": lambda: _interpolations(model, held_out),
        "latent_map": lambda: _map(model, held_out),
        "traversals": lambda: _codes(model, held_out) if isinstance(model, VQVAE) else _traversals(model, held_out),
    }
    names = {}
    for kind, draw in drawings.items():
        picture = draw()
        names[kind] = f"{key}_{kind}.png"
        save(picture, folder / names[kind])
    return names


def save(picture: Image.Image, path: Path) -> None:
    """Write a PNG, with the layout of a sheet; it appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = PngInfo()
    for key in (SHEET, KEPT_LIGHT):
        if key in picture.info:
            text.add_text(key, picture.info[key])
    atomic.write_file(path, lambda temporary: picture.save(temporary, format="PNG", optimize=True, pnginfo=text))


def _grid(images: list[Tensor | Image.Image], columns: int, notes: Sequence[str] = ()) -> Image.Image:
    return before_after_sheet([("", images)], columns=columns, notes=notes)


def _interpolations(model: Model, held_out: Source) -> Image.Image:
    """Straight lines between the latents of two images; the VQ-VAE's are quantised again on the way."""
    images = shown_signals(held_out, 2 * _PAIRS)
    size = tuple(images.shape[2:])
    latents = _before_quantization(model, images)
    rows = []
    for pair in range(len(images) // 2):
        first, second = latents[2 * pair], latents[2 * pair + 1]
        weights = torch.linspace(0, 1, _STEPS).view(-1, *[1] * first.ndim)
        line = (1 - weights) * first + weights * second
        quantizer: Any = getattr(model, "quantizer", None)
        codes = line if quantizer is None else quantizer.encode(line.to(model.device)).cpu()
        between = list(decoded(model, codes, size))
        rows.append(("", shown(model.kind, [images[2 * pair], *between, images[2 * pair + 1]])))
    shares = [f"{100 * step / (_STEPS - 1):.0f}" for step in range(_STEPS)]
    heads = ["from", *(f"{share} %" for share in shares), "to"]
    return before_after_sheet(rows, columns=_STEPS + 2, heads=heads)


@torch.no_grad()
def _before_quantization(model: Model, images: Tensor) -> Tensor:
    return model.latents(images.to(model.device)).float().cpu() if isinstance(model, VQVAE) else encoded(model, images)


def _map(model: Model, held_out: Source) -> Image.Image:
    """Latents on the two directions in which they vary most."""
    images = gathered(held_out, _MAP_ITEMS)
    latents = real_latents(model, encoded(model, images)).flatten(1).double()
    if latents.shape[1] > 1024:
        keep = torch.randperm(latents.shape[1], generator=torch.Generator().manual_seed(0))[:1024]
        latents = latents[:, keep.sort().values]
    few = min(2, latents.shape[1])
    found = principal.principal_components(lambda: [latents], few)
    points = principal.transform(found, latents).numpy()
    points = np.pad(points, ((0, 0), (0, 2 - few)))
    labels = gathered_labels(held_out, _MAP_ITEMS)
    shares = [float(variance) / max(found.total_variance, 1e-30) for variance in found.variances] + [0.0]
    axes = tuple(f"principal direction {place + 1}: {shares[place]:.0%} of the variance" for place in range(2))
    return latent_map(points, labels, held_out.class_names, axes=(axes[0], axes[1]))


def _traversals(model: Model, held_out: Source) -> Image.Image:
    """The mean latents with one number moved from -3 to 3 standard deviations: a row for each that varies most."""
    images = gathered(held_out, _MAP_ITEMS)
    size = tuple(images.shape[2:])
    latents = encoded(model, images)
    mean, std = latents.mean(dim=0), latents.std(dim=0)
    order = std.flatten().argsort(descending=True)[:_DIRECTIONS]
    rows = []
    for number in order.tolist():
        places = mean.repeat(_PLACES, *[1] * mean.ndim)
        places.view(_PLACES, -1)[:, number] += torch.linspace(-3, 3, _PLACES) * std.flatten()[number]
        rows.append((f"number {number}", shown(model.kind, decoded(model, places, size))))
    heads = [f"{place:+.2f} sd" if place else "mean" for place in torch.linspace(-3, 3, _PLACES).tolist()]
    return before_after_sheet(rows, columns=_PLACES, heads=heads)


def _codes(model: VQVAE, held_out: Source) -> Image.Image:
    """Draw what the most used codes decode to when one fills the whole grid, with numbers and counts."""
    images = gathered(held_out, _MAP_ITEMS)
    indices = encoded(model, images)
    first = indices[..., 0] if model.num_codebooks > 1 else indices
    counts = index_histogram(first, model.codebook_size)
    order = counts.argsort(descending=True)[:_CODES]
    grids = indices[:1].expand(len(order), *indices.shape[1:]).clone()
    grids[:] = order.view(-1, *[1] * (indices.ndim - 1))
    size = tuple(images.shape[2:])
    notes = [f"code {code}: {int(counts[code]):,}" for code in order.tolist()]
    return _grid(shown(model.kind, decoded(model, grids, size)), 12, notes)
