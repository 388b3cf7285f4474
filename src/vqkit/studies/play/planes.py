"""A plane through a latent space: where signals lie on it, and what a point of it decodes to."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from vqkit.errors import DataError
from vqkit.models import PCA, VAE, Autoencoder, IndexModel, Model

AXES = 6
"""Principal axes of the latents that a plane can be laid through, at most."""
_BATCH = 128
_FARTHEST = 3.0
"""How far beyond the signals a point may lie, in widths of their box."""


@final
@dataclass(frozen=True)
class Point:
    """What a point of a plane decodes to.

    Attributes:
        x, y: where it lies.
        signal: ``[channels, *size]`` float32.
        indices: of the codes that the latents were snapped to; None of a model without a codebook.
    """

    x: float
    y: float
    signal: Tensor
    indices: Tensor | None = None


@final
class LatentPlane:
    """Planes through the latents of a model, along two of their principal axes.

    The latents of a model with a codebook are those before its quantizer; a point of the plane is lifted to a whole
    grid of latents, each position is snapped to its nearest code, and the codes are decoded.

    Args:
        model: of signals, in evaluation mode.
        signals: ``[N, channels, *size]``, two or more: those whose latents the axes are of.

    Attributes:
        scores: ``[N, axes]`` on the principal axes, those of largest variance first.
        explained: share of the variance that each axis holds.

    Raises:
        DataError: fewer than two signals.
    """

    @torch.no_grad()
    def __init__(self, model: Model, signals: Tensor) -> None:
        if len(signals) < 2:
            raise DataError(f"{len(signals)} signals: a plane through latents needs 2 or more")
        self.model = model
        self.size = tuple(signals.shape[2:])
        self._lock = threading.Lock()
        latents = torch.cat([_latents(model, part) for part in signals.split(256)]).cpu()
        self._shape = tuple(latents.shape[1:])
        self._flat = latents.flatten(1).double()
        self._mean = self._flat.mean(dim=0)
        centered = self._flat - self._mean
        _, singular, directions = torch.linalg.svd(centered, full_matrices=False)
        axes = min(AXES, len(directions))
        self._directions = directions[:axes] * _signs(directions[:axes])[:, None]
        self.scores = centered @ self._directions.T
        variance = singular.square()
        self.explained = (variance / variance.sum().clamp_min(1e-30))[:axes].tolist()

    @property
    def numbers(self) -> int:
        """Latent numbers of a signal."""
        return math.prod(self._shape)

    @property
    def grid(self) -> tuple[int, ...] | None:
        """Positions on each axis of the codes; None of a model without a codebook."""
        return tuple(self.model.grid(self.size)) if isinstance(self.model, IndexModel) else None

    def pairs(self) -> list[tuple[int, int]]:
        """Pairs of axes that a plane can be laid through: the first two, the next two, ..."""
        axes = self.scores.shape[1]
        return [(first, first + 1) for first in range(0, axes - 1, 2)] or [(0, 0)]

    def box(self, pair: tuple[int, int]) -> tuple[float, float, float, float]:
        """The part of a plane to show, left, bottom, right, top: where nearly all signals lie, and some room."""
        found = []
        for axis in pair:
            low, high = (float(each) for each in self.scores[:, axis].quantile(_tensor(0.005, 0.995)))
            room = 0.12 * (high - low) or 1.0
            found.append((low - room, high + room))
        (left, right), (bottom, top) = found
        return left, bottom, right, top

    def place(self, item: int, pair: tuple[int, int]) -> tuple[float, float]:
        """Where a signal lies."""
        return float(self.scores[item, pair[0]]), float(self.scores[item, pair[1]])

    @torch.no_grad()
    def decode(self, x: float, y: float, pair: tuple[int, int], item: int | None = None) -> Point:
        """Decode the point of a plane.

        Args:
            x, y: of the point; far away ones are taken back to a few widths of the box.
            pair: the two axes.
            item: the signal that the plane goes through: what it does not span is that of the signal. None: it goes
                through the mean of all.
        """
        left, bottom, right, top = self.box(pair)
        x, y = _near(x, left, right), _near(y, bottom, top)
        base = self._mean if item is None else self._flat[item]
        own = (base - self._mean) @ self._directions.T
        first, second = pair
        lifted = base + (x - own[first]) * self._directions[first]
        if second != first:
            lifted = lifted + (y - own[second]) * self._directions[second]
        return self._decoded(lifted.view(1, *self._shape), x, y)

    @torch.no_grad()
    def decode_many(self, places: Tensor, pair: tuple[int, int]) -> Tensor:
        """Decode points ``[N, 2]`` of the plane through the mean, ``[N, channels, *size]`` on the CPU."""
        first, second = pair
        lifted = self._mean + places[:, :1].double() * self._directions[first]
        if second != first:
            lifted = lifted + places[:, 1:].double() * self._directions[second]
        made = []
        with self._lock:
            for part in lifted.float().view(-1, *self._shape).split(_BATCH):
                latents = part.to(self.model.device)
                codes = self.model.quantizer.encode(latents) if isinstance(self.model, IndexModel) else latents
                made.append(self.model.decode(codes, self.size).cpu())
        return torch.cat(made)

    def _decoded(self, latents: Tensor, x: float, y: float) -> Point:
        model = self.model
        with self._lock:
            moved = latents.to(model.device, torch.float32)
            if isinstance(model, IndexModel):
                indices = model.quantizer.encode(moved)
                return Point(x, y, model.decode(indices, self.size)[0].cpu(), indices[0].cpu())
            return Point(x, y, model.decode(moved, self.size)[0].cpu())

    @torch.no_grad()
    def sample(self, count: int, pair: tuple[int, int], seed: int = 0) -> list[Point]:
        """New signals from the model's distribution of latents, and where their latents lie on a plane."""
        with self._lock:
            generator = torch.Generator().manual_seed(seed)
            codes = self.model.sample_codes(count, self.size, generator)
            signals = self.model.decode(codes, self.size).cpu()
            latents = codes
            if isinstance(self.model, IndexModel):
                latents = self.model.quantizer.lookup(codes.to(self.model.device))
        scores = (latents.cpu().flatten(1).double() - self._mean) @ self._directions.T
        indices = codes.cpu() if isinstance(self.model, IndexModel) else [None] * count
        return [
            Point(float(score[pair[0]]), float(score[pair[1]]), signal, index)
            for score, signal, index in zip(scores, signals, indices, strict=True)
        ]


def source_of_samples(model: Model) -> str:
    """Say in words which distribution ``sample`` draws latents from."""
    if isinstance(model, IndexModel):
        named = "uniform codes, since no prior was trained" if model.prior is None else "the learned prior over codes"
        return f"{named}, position by position"
    if isinstance(model, VAE):
        return "N(0, I), which training pulled the latents to"
    if isinstance(model, PCA):
        return "a Gaussian with the variances of the scores"
    fitted = "a Gaussian" if isinstance(model, Autoencoder) and len(model.density.weights) == 1 else "a density"
    return f"{fitted} that was fitted to the latents after training"


def _latents(model: Model, signals: Tensor) -> Tensor:
    if isinstance(model, IndexModel):
        return model.latents(model.read_signals(signals)).float()
    return model.encode(signals).float()


def _signs(directions: Tensor) -> Tensor:
    """1 or -1 of each direction, so that its largest number is positive: the same picture on every machine."""
    places = directions.abs().argmax(dim=1, keepdim=True)
    return directions.gather(1, places)[:, 0].sign()


def _near(value: float, low: float, high: float) -> float:
    room = _FARTHEST * (high - low)
    return min(max(value, low - room), high + room) if math.isfinite(value) else (low + high) / 2


def _tensor(*values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)
