"""Generation measures on features of real and generated sets: Frechet distance, precision, recall, and more.

Pure functions of two sets of features, ``[N, D]`` and ``[M, D]``, as ``vqkit.evaluation.features.extract`` gives. All
depend on the feature network, and the Frechet distance on the number of items too (fewer items, larger distance):
compare figures of one network and one number of items only, and give the distance between two real sets beside them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from vqkit.deprecation import renamed_keyword
from vqkit.errors import ConfigError, DataError
from vqkit.ops import float64

_BLOCK = 1 << 22
"""Distances held at a time: 32 MiB in float64."""
_SLACK = 1e-12
"""Squared distances closer than this times the mean square of the centred features count as equal."""


@dataclass(frozen=True, kw_only=True)
class PrecisionRecall:
    """Precision and recall: the fraction of each set on the manifold of the other.

    Attributes:
        precision: fraction of generated items near real ones: quality.
        recall: fraction of real items near generated ones: variety.
    """

    precision: float
    recall: float


@dataclass(frozen=True, kw_only=True)
class DensityCoverage:
    """Precision and recall that outliers and set sizes disturb less.

    Attributes:
        density: how many real neighbourhoods hold a generated item, over their expected number; about 1 for equal
            distributions, and more than 1 where samples crowd in the densest places.
        coverage: fraction of real items with a generated one in their neighbourhood.
    """

    density: float
    coverage: float


@dataclass(frozen=True, kw_only=True)
class GenerationReport:
    """A generated set against a real one, in the eyes of one feature network.

    Attributes:
        frechet_distance: between Gaussians fitted to the features, in squared feature units; 0 is best.
        precision: fraction of generated items near real ones: quality (see ``PrecisionRecall``).
        recall: fraction of real items near generated ones: variety.
        density: precision that outliers disturb less: about 1 for equal distributions (see ``DensityCoverage``).
        coverage: recall that the size of the set disturbs less.
        real_items: N.
        generated_items: M.

    Example:
        >>> import torch
        >>> from vqkit.evaluation import judge_generation
        >>> features = torch.randn(100, 4, generator=torch.Generator().manual_seed(0))
        >>> report = judge_generation(features, features)
        >>> round(report.frechet_distance, 6), report.precision, report.coverage
        (0.0, 1.0, 1.0)
    """

    frechet_distance: float
    precision: float
    recall: float
    density: float
    coverage: float
    real_items: int
    generated_items: int

    def as_dict(self) -> dict[str, float | int]:
        """Plain numbers, for JSON."""
        return asdict(self)


def judge_generation(real_features: Tensor, generated_features: Tensor) -> GenerationReport:
    """All measures of a generated set ``[M, D]`` against a real one ``[N, D]``, with their usual neighbours (3 and 5).

    Raises:
        DataError: fewer than 6 real or 4 generated items, features that are no numbers, or of different D.

    Example:
        >>> import torch
        >>> from vqkit.evaluation import judge_generation
        >>> features = torch.randn(100, 4, generator=torch.Generator().manual_seed(0))
        >>> judge_generation(features, features + 100).recall
        0.0
    """
    nearby = precision_recall(real_features, generated_features)
    crowding = density_coverage(real_features, generated_features)
    return GenerationReport(
        frechet_distance=frechet_distance(real_features, generated_features),
        precision=nearby.precision,
        recall=nearby.recall,
        density=crowding.density,
        coverage=crowding.coverage,
        real_items=len(real_features),
        generated_items=len(generated_features),
    )


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Squared Frechet distance between Gaussians fitted to two sets of features (Dowson and Landau 1982).

    ``|m_a - m_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2))`` with means m and covariances S over N - 1, which is the FID
    of Heusel et al. 2017 (arXiv 1706.08500, equation 6) when the features are Inception's. With centred features
    ``S = X^T X``, the trace of the root is the sum of the singular values of ``X_a X_b^T``: no covariance and no root
    of rounding errors is taken, so sets with fewer items than features are as exact as others.

    Args:
        a: ``[N, D]``, N at least 2.
        b: ``[M, D]``, M at least 2.

    Returns:
        A number of at least 0, in squared feature units. Samples of one distribution give more than 0, and the more
        the fewer they are.

    Raises:
        DataError: fewer than 2 items, another D, or features that are not finite.

    Example:
        >>> import torch
        >>> from vqkit.evaluation import frechet_distance
        >>> features = torch.randn(100, 4, generator=torch.Generator().manual_seed(0))
        >>> round(frechet_distance(features, features + torch.tensor([3.0, 4, 0, 0])), 3)  # 3^2 + 4^2
        25.0
    """
    a, b = _checked(a, b, least_a=2, least_b=2, why="a covariance needs 2")
    mean_a, mean_b = a.mean(dim=0), b.mean(dim=0)
    root_a, root_b = _covariance_root(a - mean_a), _covariance_root(b - mean_b)
    overlap = torch.linalg.svdvals(root_a @ root_b.T).sum()
    distance = (mean_a - mean_b).square().sum() + root_a.square().sum() + root_b.square().sum() - 2 * overlap
    return max(0.0, float(distance))


@renamed_keyword("neighbours", "neighbors")
def precision_recall(real: Tensor, generated: Tensor, neighbors: int = 3) -> PrecisionRecall:
    """Improved precision and recall (Kynkaanniemi et al. 2019, arXiv 1904.06991, equations 1 and 2).

    An item is near a set if it lies in the ball around at least one of the set's items that reaches to that item's
    ``neighbors``-th nearest neighbour within the set (itself not counted; the border is inside). Beside the
    features it takes some 100 MiB, however many items there are.

    Args:
        real: ``[N, D]``.
        generated: ``[M, D]``.
        neighbors: k; the paper uses 3 with 50,000 items.

    Raises:
        ConfigError: ``neighbors`` under 1.
        DataError: not more than ``neighbors`` items, another D, or features that are not finite.

    Example:
        >>> import torch
        >>> from vqkit.evaluation import precision_recall
        >>> features = torch.randn(100, 4, generator=torch.Generator().manual_seed(0))
        >>> precision_recall(features, features + 100)
        PrecisionRecall(precision=0.0, recall=0.0)
    """
    least = _least_items(neighbors)
    real, generated = _checked(real, generated, least, least, f"neighbors={neighbors} needs one more than that")
    holding_real, _ = _balls(real, _reach(real, neighbors), generated)
    holding_generated, _ = _balls(generated, _reach(generated, neighbors), real)
    return PrecisionRecall(precision=_fraction(holding_real > 0), recall=_fraction(holding_generated > 0))


@renamed_keyword("neighbours", "neighbors")
def density_coverage(real: Tensor, generated: Tensor, neighbors: int = 5) -> DensityCoverage:
    """Density and coverage (Naeem et al. 2020, arXiv 2002.09797, section 3).

    Balls are as in ``precision_recall``, around real items only: an outlier among the generated items has no ball.
    ``density = sum over generated of balls that hold it / (neighbors M)``; coverage is the fraction of balls that
    hold a generated item, expected ``1 - 2^-neighbors`` for large equal distributions of equal size.

    Args:
        real: ``[N, D]``.
        generated: ``[M, D]``, M at least 1.
        neighbors: k; the paper uses 5 with 10,000 items.

    Raises:
        ConfigError: ``neighbors`` under 1.
        DataError: not more than ``neighbors`` real items, none generated, another D, or features not finite.

    Example:
        >>> import torch
        >>> from vqkit.evaluation import density_coverage
        >>> features = torch.randn(100, 4, generator=torch.Generator().manual_seed(0))
        >>> density_coverage(features, features).coverage
        1.0
    """
    why = f"neighbors={neighbors} needs one more than that"
    real, generated = _checked(real, generated, _least_items(neighbors), 1, why)
    holding, reached = _balls(real, _reach(real, neighbors), generated)
    density = float(holding.double().mean()) / neighbors
    return DensityCoverage(density=density, coverage=_fraction(reached))


def _covariance_root(centered: Tensor) -> Tensor:
    """R ``[min(N, D), D]`` with ``R^T R`` the covariance of centred features ``[N, D]``."""
    items, dims = centered.shape
    root = torch.linalg.qr(centered, mode="r").R if items > dims else centered
    return root / (items - 1) ** 0.5


def _reach(points: Tensor, neighbors: int) -> Tensor:
    """Squared distance of each point ``[N, D]`` to its k-th nearest other point: ``[N]``."""
    found = []
    for first, squared in _squared_distances(points, points):
        rows = torch.arange(len(squared), device=squared.device)
        squared[rows, first + rows] = torch.inf
        found.append(squared.topk(neighbors, dim=1, largest=False).values[:, -1])
    return torch.cat(found)


def _balls(centers: Tensor, reach: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Count the balls that hold each point, int64 ``[M]``, and whether each ball holds a point, bool ``[N]``."""
    holding = torch.zeros(len(points), dtype=torch.int64, device=points.device)
    reached = []
    center = centers.mean(dim=0)
    slack = _SLACK * float((centers - center).square().sum(dim=1).mean() + (points - center).square().sum(dim=1).mean())
    for first, squared in _squared_distances(centers, points):
        inside = squared <= reach[first : first + len(squared), None] + slack
        holding += inside.sum(dim=0)
        reached.append(inside.any(dim=1))
    return holding, torch.cat(reached)


def _squared_distances(a: Tensor, b: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Blocks of rows of all squared distances: ``(first row, [rows, M])``."""
    center = a.mean(dim=0)  # small numbers cancel less
    a, b = a - center, b - center
    squares_a, squares_b = a.square().sum(dim=1), b.square().sum(dim=1)
    rows = max(1, _BLOCK // len(b))
    for first in range(0, len(a), rows):
        block = slice(first, first + rows)
        squared = torch.addmm(squares_b, a[block], b.T, alpha=-2).add_(squares_a[block, None])
        yield first, squared.clamp_(min=0)


def _fraction(truths: Tensor) -> float:
    return float(truths.double().mean())


def _least_items(neighbors: int) -> int:
    if neighbors < 1:
        raise ConfigError(f"neighbors={neighbors}: give at least 1 (usual are 3 and 5)")
    return neighbors + 1


def _checked(a: Tensor, b: Tensor, least_a: int, least_b: int, why: str) -> tuple[Tensor, Tensor]:
    """Both sets in float64. Raises DataError for what is no pair of sets of features."""
    for features, least in ((a, least_a), (b, least_b)):
        if features.ndim != 2 or features.shape[1] == 0 or features.is_complex():
            raise DataError(f"features have shape {list(features.shape)}; give real numbers [items, D]")
        if len(features) < least:
            raise DataError(f"a set of {len(features)} items is too small: {why}; give at least {least}, better 1,000")
    if a.shape[1] != b.shape[1]:
        raise DataError(f"one set has {a.shape[1]} features, the other {b.shape[1]}; use one feature network for both")
    a, b = float64(a.detach()), float64(b.detach())
    for features in (a, b):
        broken = int((~features.isfinite()).any(dim=1).sum())
        if broken:
            raise DataError(f"{broken} of {len(features)} items have features that are NaN or infinite; look at them")
    return a, b
