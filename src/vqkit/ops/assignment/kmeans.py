"""Lloyd's k-means, for the codebook's first values."""

from __future__ import annotations

import torch
from torch import Tensor

from vqkit.ops.assignment.nearest import nearest_code
from vqkit.ops.assignment.statistics import code_sums, index_histogram


@torch.no_grad()
def kmeans(
    points: Tensor,
    clusters: int,
    *,
    generator: torch.Generator,
    iterations: int = 10,
    start: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Cluster centres by Lloyd's algorithm, started from distinct random points.

    A cluster that loses its last point is moved to one of the points that lie farthest from their centres, so
    that no centre is wasted. With fewer points than clusters the centres left over are copies of points with a
    little noise (1 % of the points' standard deviation, 0.01 % of their size at least), never exact duplicates of one
    another (points that are equal themselves give equal centres).

    Args:
        points: ``[N, D]`` floating, N >= 1.
        clusters: K >= 1.
        generator: a CPU generator; the only source of chance.
        iterations: Lloyd iterations.
        start: first centres ``[K, D]`` (``ops.assignment.seeding``); None: random points.

    Returns:
        Centres ``[K, D]`` and the number of points of each, ``[K]`` int64.

    Example:
        >>> import torch
        >>> from vqkit.ops import kmeans
        >>> points = torch.tensor([[0.0], [0.2], [9.0], [9.2]])
        >>> centers, counts = kmeans(points, 2, generator=torch.Generator().manual_seed(0))
        >>> sorted(round(float(each), 1) for each in centers)
        [0.1, 9.1]
    """
    centers = _random_points(points, clusters, generator) if start is None else start.clone()
    indices = nearest_code(points, centers)
    histogram = index_histogram(indices, clusters)
    for _ in range(iterations):
        sums = code_sums(points, indices, clusters)
        filled = histogram > 0
        centers[filled] = sums[filled] / histogram[filled].unsqueeze(1).to(sums.dtype)
        empty = torch.nonzero(~filled).squeeze(1)
        if len(empty):
            distances = (points - centers[indices]).square().sum(dim=1)
            empty = empty[: int((distances > 0).sum())]  # a point that is a centre already needs no second one
            centers[empty] = points[distances.topk(len(empty)).indices]
        indices = nearest_code(points, centers)
        histogram = index_histogram(indices, clusters)
    return centers, histogram


def _random_points(points: Tensor, clusters: int, generator: torch.Generator) -> Tensor:
    count = points.shape[0]
    order = torch.randperm(count, generator=generator, device="cpu").to(points.device)
    centers = points[order[:clusters]].clone()
    if count < clusters:
        size = points.abs().amax(dim=0).clamp_min(1e-6)
        spread = torch.maximum(0.01 * points.std(dim=0, correction=0), 1e-4 * size)
        again = torch.randint(count, (clusters - count,), generator=generator, device="cpu").to(points.device)
        noise = torch.randn(clusters - count, points.shape[1], generator=generator, dtype=points.dtype, device="cpu")
        centers = torch.cat([centers, points[again] + noise.to(points.device) * spread])
    return centers
