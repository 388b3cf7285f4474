"""Recall of the true nearest neighbour among those by decoded vectors, over a database of any size."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

AT = (1, 10, 100)


@dataclass(frozen=True, kw_only=True)
class NeighborRecall:
    """Recall@R: the share of queries whose nearest neighbour in a database is among the first R that a distance finds.

    Attributes:
        queries: vectors that were looked for.
        database: vectors that were looked through; no query is among them.
        asymmetric: by R, of the distance from the query as it is to decoded vectors (Jegou et al. 2011).
        decoded: by R, of the distance from the decoded query to decoded vectors (symmetric).
    """

    queries: int
    database: int
    asymmetric: dict[int, float]
    decoded: dict[int, float]


@torch.no_grad()
def neighbor_recall(queries: Tensor, decoded: Tensor, database: Iterable[tuple[Tensor, Tensor]]) -> NeighborRecall:
    """Measure the recall of nearest neighbours (Euclidean), in one pass over the database; the first of equals counts.

    Args:
        queries: ``[Q, D]``.
        decoded: the same, encoded and decoded.
        database: batches of vectors ``[B, D]``, as they are and decoded.

    Example:
        >>> import torch
        >>> from vqkit.evaluation.vectors.neighbors import neighbor_recall
        >>> x = torch.tensor([[0.0], [4.0], [9.0]])
        >>> neighbor_recall(torch.tensor([[3.0]]), torch.tensor([[0.0]]), [(x, x)]).decoded[1]
        0.0
    """
    true, far, both = _Nearest(queries, 1), _Nearest(queries, AT[-1]), _Nearest(decoded, AT[-1])
    for vectors, made in database:
        true.add(vectors)
        far.add(made)
        both.add(made)

    def recalls(found: _Nearest) -> dict[int, float]:
        hits = found.numbers == true.numbers
        return {count: float(hits[:, :count].any(dim=1).double().mean()) for count in AT}

    return NeighborRecall(queries=len(queries), database=true.seen, asymmetric=recalls(far), decoded=recalls(both))


class _Nearest:
    """The nearest vectors of a stream to each query, and their numbers, nearest first."""

    def __init__(self, queries: Tensor, count: int) -> None:
        self.queries, self.count, self.seen = queries.double(), count, 0
        self.numbers = torch.zeros(len(queries), 0, dtype=torch.int64, device=queries.device)
        self._distances = self.queries.new_zeros(len(queries), 0)

    def add(self, vectors: Tensor) -> None:
        """Take in ``[B, D]``."""
        wide = vectors.double()
        distances = torch.addmm(wide.square().sum(dim=1), self.queries, wide.t(), alpha=-2.0)
        numbers = torch.arange(self.seen, self.seen + len(vectors), device=wide.device).expand(len(self.queries), -1)
        self.seen += len(vectors)
        every = torch.cat([self._distances, distances], dim=1)
        places = _smallest(every, min(self.count, every.shape[1]))
        self._distances = every.gather(1, places)
        self.numbers = torch.cat([self.numbers, numbers], dim=1).gather(1, places)


def _smallest(rows: Tensor, count: int) -> Tensor:
    """Return the places of the smallest numbers of each row, ascending, the first of equal ones first.

    What ``topk`` takes of equal ones is not said; vectors that share their indices are equally far.
    """
    found = rows.topk(count, dim=1, largest=False)
    highest = found.values[:, -1:]
    places = found.indices.sort(dim=1).values
    more = torch.nonzero((rows <= highest).sum(dim=1) > count).squeeze(1)  # equal ones that were left out
    if len(more):
        own, bound = rows[more], highest[more]
        below, equal = own < bound, own == bound
        taken = below | (equal & (equal.cumsum(dim=1) <= count - below.sum(dim=1, keepdim=True)))
        places[more] = taken.nonzero()[:, 1].view(len(more), count)
    return places.gather(1, rows.gather(1, places).sort(dim=1, stable=True).indices)
