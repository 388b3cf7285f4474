"""What a rung of a comparison lets its readers play with, decoded and kept beside its run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vqkit.data import Source
from vqkit.models import VQVAE, Model
from vqkit.pictures import to_uint8
from vqkit.storage import atomic
from vqkit.storage.reading import read_json
from vqkit.studies.images import gathered, gathered_labels
from vqkit.studies.play.planes import LatentPlane
from vqkit.studies.play.sprites import reduced, sprite
from vqkit.studies.play.tokens import token_play

FILE = "play.json"
REACH = 3.0
"""Standard deviations to each side of the mean that a plane shows."""
_SIDES = (21, 17, 13, 11, 9, 7)
_VALUES = 1_500_000
_LARGEST = 96
_ITEMS, _COUNTED, _DOTS = 512, 2048, 250


def keep_play(folder: Path, model: Model, held_out: Source) -> None:
    """Write what a page needs to let its readers play with a model of pictures; nothing of other signals.

    Args:
        folder: of the rung.
        model: in evaluation mode.
        held_out: pictures of one size.
    """
    if not held_out.kind.converts or held_out.channels not in (1, 3) or len(held_out) < 2:
        return
    images = gathered(held_out, _ITEMS)
    found: dict[str, Any] = {"plane": plane_play(model, images, gathered_labels(held_out, _ITEMS))}
    if isinstance(model, VQVAE):
        found["tokens"] = token_play(model, gathered(held_out, _COUNTED))
    folder.mkdir(parents=True, exist_ok=True)
    atomic.write_json(folder / FILE, found)


def read_play(folder: Path) -> dict[str, Any]:
    """What ``keep_play`` wrote; nothing where it is missing or damaged."""
    try:
        found = read_json(folder / FILE)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("plane"), dict) else {}


def plane_play(model: Model, images: Tensor, labels: Any = None) -> dict[str, Any]:
    """The plane of the two directions in which latents vary most, decoded at the middles of its cells.

    Both axes are in standard deviations of the images' latents along them, from minus to plus ``REACH``. A model of two
    latent numbers has no other plane; of more, the others are at their mean.

    Args:
        model: in evaluation mode.
        images: ``[N, channels, height, width]``, two or more.
        labels: of the images, to colour them by.
    """
    plane = LatentPlane(model, images)
    pair = plane.pairs()[0]
    scores = plane.scores[:, list(pair)]
    deviations = scores.std(dim=0, correction=0).clamp_min(1e-12)
    high, wide = images.shape[2:]
    factor = -(-max(high, wide) // _LARGEST)
    cost = images.shape[1] * (high // factor) * (wide // factor)
    side = next((each for each in _SIDES if each**2 * cost <= _VALUES), _SIDES[-1])
    along = (torch.arange(side, dtype=torch.float64) + 0.5) * (2 * REACH / side) - REACH
    places = torch.stack([along.repeat(side), along.flip(0).repeat_interleave(side)], dim=1)
    tiles = reduced(to_uint8(plane.decode_many(places * deviations, pair)), _LARGEST)
    return {
        "side": side,
        "reach": REACH,
        "numbers": plane.numbers,
        "explained": plane.explained[: len(set(pair))],
        "points": (scores / deviations)[:_DOTS].mul(100).round().div(100).tolist(),
        "labels": None if labels is None else [int(each) for each in labels[:_DOTS]],
        "sprite": sprite(tiles, side),
        "snapped": isinstance(model, VQVAE),
    }
