"""First centres of k-means: points drawn far from one another (k-means++; Arthur and Vassilvitskii 2007)."""

from __future__ import annotations

import torch
from torch import Tensor

_PER_CENTER = 32


@torch.no_grad()
def spread_points(points: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return ``count`` of the points, each drawn in proportion to its squared distance from those before it.

    Of many points some 32 for each centre are looked at. Once all points left are centres already, points come twice.

    Args:
        points: ``[N, D]`` floating, N >= 1.
        count: of centres.
        generator: a CPU generator; the only source of chance.

    Returns:
        ``[count, D]``.

    Example:
        >>> import torch
        >>> from vqkit.ops.assignment.seeding import spread_points
        >>> points = torch.tensor([[0.0], [0.0], [0.0], [9.0]])
        >>> sorted(spread_points(points, 2, torch.Generator().manual_seed(0)).flatten().tolist())
        [0.0, 9.0]
    """
    order = torch.randperm(len(points), generator=generator)
    points = points[order[: _PER_CENTER * count].to(points.device)]
    chosen = [0]
    nearest = (points - points[0]).square().sum(dim=1)
    draws = torch.rand(count, generator=generator, dtype=torch.float64).tolist()
    for draw in draws[1:]:
        sums = nearest.double().cumsum(0)
        place = int(torch.searchsorted(sums, draw * sums[-1], right=True).clamp_max(len(points) - 1))
        chosen.append(place)
        nearest = torch.minimum(nearest, (points - points[place]).square().sum(dim=1))
    return points[torch.tensor(chosen, device=points.device)]
