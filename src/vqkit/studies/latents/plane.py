"""The plane that a model of two latent numbers is sampled from: its coordinates, its cells, and what is empty there."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

MOST_SAMPLES = math.sqrt(-2 * math.log(0.05))
"""The radius within which 95 % of N(0, I) lie in the plane."""


@dataclass(frozen=True)
class Plane:
    """Coordinates in which what is sampled is N(0, I): ``z = center + u @ shape``.

    Of a VAE these are its latents; of an autoencoder those of the Gaussian that was fitted to its latents afterwards.
    So two models can be drawn on the same axes, and a place on them is equally likely to be sampled from either.

    Attributes:
        center: ``[2]``.
        shape: ``[2, 2]``, symmetric: the square root of the covariance.
    """

    center: Tensor
    shape: Tensor

    @classmethod
    def standard(cls) -> Plane:
        """The plane of N(0, I) itself."""
        return cls(torch.zeros(2, dtype=torch.float64), torch.eye(2, dtype=torch.float64))

    @classmethod
    def fitted(cls, latents: Tensor) -> Plane:
        """The plane of the Gaussian with mean and covariance of some latents ``[N, 2]``.

        Example:
            >>> import torch
            >>> from vqkit.studies.latents.plane import Plane
            >>> latents = torch.randn(100, 2) * torch.tensor([3.0, 0.5])
            >>> inside = Plane.fitted(latents).coordinates(latents)
            >>> bool(torch.allclose(inside.T.cov(correction=0), torch.eye(2, dtype=torch.float64)))
            True
        """
        numbers = latents.double()
        values, vectors = torch.linalg.eigh(numbers.T.cov(correction=0))
        deviations = values.clamp_min(1e-12).sqrt()
        return cls(numbers.mean(dim=0), (vectors * deviations) @ vectors.T)

    def latents(self, places: Tensor) -> Tensor:
        """Latents ``[N, 2]`` of places ``[N, 2]`` on the plane."""
        return (self.center + places.double() @ self.shape).float()

    def coordinates(self, latents: Tensor) -> Tensor:
        """The inverse of ``latents``, float64."""
        return torch.linalg.solve(self.shape, (latents.double() - self.center).T).T


def cell_centers(cells: int, reach: float) -> Tensor:
    """The middles of the cells of the plane, ``[cells * cells, 2]``, row by row from the top left."""
    width = 2 * reach / cells
    along = -reach + width * (torch.arange(cells, dtype=torch.float64) + 0.5)
    return torch.stack([along.repeat(cells), along.flip(0).repeat_interleave(cells)], dim=1)


def item_counts(places: Tensor, cells: int, reach: float) -> Tensor:
    """Items in each cell of the plane, ``[cells, cells]``: the first axis to the right, the second upwards."""
    inside = places[(places.abs() < reach).all(dim=1)].double()
    at = ((inside + reach) / (2 * reach) * cells).long().clamp(0, cells - 1)
    return torch.bincount(at[:, 0] * cells + at[:, 1], minlength=cells * cells).view(cells, cells)


def holes_in_order(counts: Tensor, reach: float, within: float) -> list[bool]:
    """Which cells are empty though their middle lies within a distance, in the order of ``cell_centers``."""
    cells = len(counts)
    near = cell_centers(cells, reach).norm(dim=1) < within
    empty = (counts == 0).T.flip(0).flatten()
    found: list[bool] = (empty & near).tolist()
    return found


@dataclass(frozen=True, kw_only=True)
class Holes:
    """What of the plane holds no item.

    Attributes:
        empty_cells: cells without an item.
        empty_mass: the probability that what is sampled lies in such a cell, of all that lies within the plane.
        by_chance: what it would be on average if the items' latents were themselves samples.
        inside: the fraction of the items that lie within the plane.
    """

    empty_cells: int
    empty_mass: float
    by_chance: float
    inside: float


def holes(places: Tensor, cells: int, reach: float) -> Holes:
    """Count the cells that hold no item, and how often a sample from N(0, I) falls into one.

    Args:
        places: of the items on the plane, ``[N, 2]``.
        cells: along each axis.
        reach: of the plane.

    Example:
        >>> import torch
        >>> from vqkit.studies.latents.plane import holes
        >>> found = holes(torch.tensor([[-1.0, -1.0], [1.0, 1.0]]), 2, 3.0)
        >>> found.empty_cells, round(found.empty_mass, 3)
        (2, 0.5)
    """
    edges = torch.linspace(-reach, reach, cells + 1, dtype=torch.float64)
    share = (0.5 * (1 + torch.erf(edges / math.sqrt(2)))).diff()
    mass = torch.outer(share, share).flatten()  # of each cell
    mass = mass / mass.sum()
    counts = item_counts(places, cells, reach).flatten()
    within = (float(share.sum())) ** 2
    expected = mass * (1 - mass * within) ** len(places)
    return Holes(
        empty_cells=int((counts == 0).sum()),
        empty_mass=float(mass[counts == 0].sum()),
        by_chance=float(expected.sum()),
        inside=float(counts.sum()) / len(places),
    )
