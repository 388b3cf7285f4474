"""Mean and covariance of a stream in one pass: exactly (D x D numbers), or as a sketch where D x D is too large.

Both accumulate the scatter ``S = sum_i (x_i - mean)(x_i - mean)^T`` in float64 on the CPU. Each batch is centred on its
own mean first, and a rank-one term moves it to the common mean (Chan, Golub and LeVeque 1983, "Algorithms for
computing the sample variance"). Values and means are taken relative to the stream's first item. So a common mean that
is large beside the spread costs no precision: sums of squares of raw values, which cancel, are never formed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from vqkit.errors import ConfigError, DataError
from vqkit.seeds import check_seed

_FLOAT = torch.finfo(torch.float64)
_BLOCK = 512  # columns of the scatter per product: only blocks on and above the diagonal are computed
_VALUES_AT_ONCE = 2**24  # float64 values (128 MiB) of a batch that are copied at once


class StreamingCovariance:
    """The exact mean and covariance of a stream of any length.

    Memory ``8 D^2`` bytes and a copy of the batch; the result depends on how the stream is cut into batches only by
    rounding (about 1e-15 of the largest variance).

    Args:
        dimension: D, values per item.

    Raises:
        ConfigError: ``dimension`` below 1.
    """

    def __init__(self, dimension: int) -> None:
        self._center = _Center(dimension)
        self._scatter = torch.zeros(dimension, dimension, dtype=torch.float64)  # its upper triangle; below is unset

    @property
    def dimension(self) -> int:
        """D."""
        return self._center.dimension

    @property
    def count(self) -> int:
        """Items so far."""
        return self._center.count

    @property
    def mean(self) -> Tensor:
        """``[D]`` float64.

        Raises:
            DataError: no items.
        """
        return self._center.known_mean()

    @torch.no_grad()
    def add(self, batch: Tensor) -> None:
        """Take in a batch ``[B, D]``, B >= 0, of any real dtype and device; the values are taken as they are.

        Raises:
            DataError: another shape, or NaN or Inf; the accumulator is of no use after that.
        """
        for rows in self._center.absorb(batch):
            for start in range(0, self.dimension, _BLOCK):
                block = slice(start, start + _BLOCK)
                self._scatter[block, start:].addmm_(rows[:, block].T, rows[:, start:])

    @torch.no_grad()
    def merge(self, other: StreamingCovariance) -> None:
        """Take in all that ``other`` has seen, as if its items had been added here; ``other`` stays as it is.

        Raises:
            DataError: another dimension.
        """
        row = self._center.merge(other._center)
        self._scatter += other._scatter
        self._scatter.addr_(row, row)

    @torch.no_grad()
    def covariance(self, ddof: int = 1) -> Tensor:
        """``S / (count - ddof)``, ``[D, D]`` float64, exactly symmetric; the items' unit squared.

        Raises:
            DataError: not more than ``ddof`` items.
        """
        full = self._scatter / self._center.degrees(ddof)
        for start in range(0, self.dimension, _BLOCK):
            block = slice(start, start + _BLOCK)
            full[block, block] = full[block, block].triu() + full[block, block].triu(1).T
            full[start + _BLOCK :, block] = full[block, start + _BLOCK :].T
        return full

    def total_variance(self, ddof: int = 1) -> float:
        """The trace of ``covariance(ddof)``.

        Raises:
            DataError: not more than ``ddof`` items.
        """
        return float(self._scatter.diagonal().sum()) / self._center.degrees(ddof)


class StreamingSketch:
    """The leading eigenvectors of a stream's covariance without the D x D matrix, by a Nystrom sketch.

    Keeps ``Y = S Omega`` for a random orthonormal ``Omega [D, width]``, ``width = min(rank + oversampling, D)``:
    memory ``16 D width`` bytes and a copy of the batch. The mean and the total variance are exact. The sketch never
    overestimates an eigenvalue (but by rounding), and is exact when the covariance has rank ``width`` or less.

    One pass is good for spectra that fall quickly. ``refine`` gives a sketch for a further pass (subspace iteration);
    each pass squares the ratio by which a smaller eigenvalue is damped.

    Args:
        dimension: D, values per item.
        rank: eigenvectors wanted, in ``[1, D]``.
        oversampling: further columns of the sketch; None: ``max(rank + 1, 10)``, with which the expected error of
            one pass is at most twice the least possible (trace norm; theorem 4.1 of the paper).
        seed: of ``Omega``.

    Raises:
        ConfigError: a value out of range.

    Source: Tropp, Yurtsever, Udell and Cevher 2017, "Fixed-rank approximation of a positive-semidefinite matrix from
    streaming data", arXiv 1706.05736, algorithm 3 (with the shift).
    """

    def __init__(self, dimension: int, rank: int, oversampling: int | None = None, seed: int = 0) -> None:
        self._center = _Center(dimension)
        if not 1 <= rank <= dimension:
            raise ConfigError(f"rank={rank}: a {dimension} x {dimension} covariance has 1 to {dimension} eigenvectors")
        if oversampling is not None and oversampling < 0:
            raise ConfigError(f"oversampling={oversampling}: give 0 or more columns, or None")
        self.rank = rank
        width = min(rank + (max(rank + 1, 10) if oversampling is None else oversampling), dimension)
        generator = torch.Generator().manual_seed(check_seed(seed))
        self._start(torch.randn(dimension, width, generator=generator, dtype=torch.float64))

    def _start(self, test: Tensor) -> None:
        self._test = torch.linalg.qr(test).Q
        self._sketch = torch.zeros_like(self._test)
        self._trace = 0.0

    @property
    def dimension(self) -> int:
        """D."""
        return self._center.dimension

    @property
    def count(self) -> int:
        """Items so far."""
        return self._center.count

    @property
    def mean(self) -> Tensor:
        """``[D]`` float64.

        Raises:
            DataError: no items.
        """
        return self._center.known_mean()

    @property
    def is_exact(self) -> bool:
        """Whether it has a column for every direction in which the items so far vary: a further pass is in vain."""
        return self._test.shape[1] >= min(self.count - 1, self.dimension)

    @torch.no_grad()
    def add(self, batch: Tensor) -> None:
        """Take in a batch: see ``StreamingCovariance.add``."""
        for rows in self._center.absorb(batch):
            self._sketch.addmm_(rows.T, rows @ self._test)
            self._trace += float(torch.linalg.vector_norm(rows)) ** 2

    def total_variance(self, ddof: int = 1) -> float:
        """The trace of the covariance, exactly.

        Raises:
            DataError: not more than ``ddof`` items.
        """
        return self._trace / self._center.degrees(ddof)

    def eigen(self, ddof: int = 1) -> tuple[Tensor, Tensor]:
        """The leading eigenvalues and eigenvectors of the covariance.

        Returns:
            Eigenvalues ``[rank]``, descending and >= 0, and eigenvectors ``[rank, D]``, orthonormal rows; float64.

        Raises:
            DataError: not more than ``ddof`` items, or values so large that the covariance is not finite.
        """
        degrees = self._center.degrees(ddof)
        values, vectors = self._nystrom()
        return values[: self.rank] / degrees, vectors[:, : self.rank].T.contiguous()

    def refine(self) -> StreamingSketch:
        """An empty sketch for one more pass over the same stream, with the basis found here as its test matrix."""
        again = StreamingSketch.__new__(StreamingSketch)
        again._center = _Center(self.dimension)
        again.rank = self.rank
        again._start(self._nystrom()[1])
        return again

    @torch.no_grad()
    def _nystrom(self) -> tuple[Tensor, Tensor]:
        """Eigenvalues ``[width]``, descending, and eigenvectors ``[D, width]`` of ``Y (Omega^T Y)^+ Y^T``."""
        size = float(torch.linalg.matrix_norm(self._sketch))
        if not math.isfinite(size):
            raise DataError("the variance of this data is beyond float64 (1.8e308): scale the values down")
        shift = max(_FLOAT.eps * size, _FLOAT.tiny)
        while size > 0:  # the shift grows until rounding leaves the core positive definite: mostly at once
            shifted = self._sketch + shift * self._test
            core = self._test.T @ shifted
            factor, failed = torch.linalg.cholesky_ex((core + core.T) / 2)
            if not failed:
                half = torch.linalg.solve_triangular(factor, shifted.T, upper=False)
                vectors, roots, _ = torch.linalg.svd(half.T, full_matrices=False)
                return (roots.square() - shift).clamp_min(0), vectors
            shift *= 4
        return torch.zeros(self._test.shape[1], dtype=torch.float64), self._test


class _Center:
    """The running count and mean, and what they contribute to a scatter about the mean."""

    def __init__(self, dimension: int) -> None:
        if dimension < 1:
            raise ConfigError(f"dimension={dimension}: an item has 1 or more values")
        self.dimension = dimension
        self.count = 0
        self.shift = torch.zeros(dimension, dtype=torch.float64)  # the first item
        self.mean = torch.zeros(dimension, dtype=torch.float64)  # less the shift

    def absorb(self, batch: Tensor) -> Iterator[Tensor]:
        """Rows ``R [b + 1, D]`` float64 such that the scatter about the mean grows by ``R^T R``; several, if large."""
        if batch.ndim != 2 or batch.shape[1] != self.dimension:
            raise DataError(
                f"got a batch of shape {tuple(batch.shape)}; this accumulator takes [items, {self.dimension}], the "
                "width it was made for (that of the first batch): give every item the same number of values"
            )
        for part in batch.detach().split(max(1, _VALUES_AT_ONCE // self.dimension)):
            if len(part) == 0:
                continue
            rows = torch.empty(len(part) + 1, self.dimension, dtype=torch.float64)
            items = rows[:-1].copy_(part.cpu())
            if not (finite := items.isfinite().all(1)).all():
                first = self.count + int(finite.logical_not().nonzero()[0])
                raise DataError(
                    f"item {first} of the stream (from 0) holds NaN or Inf; a covariance needs finite values: repair "
                    "or leave out such items"
                )
            if self.count == 0:
                self.shift = items[0].clone()
            items -= self.shift
            mean = items.mean(0)
            items -= mean
            rows[-1] = self._move(len(part), mean)
            yield rows

    def merge(self, other: _Center) -> Tensor:
        """Take in another's items; the row ``[D]`` whose outer product joins the two scatters."""
        if other.dimension != self.dimension:
            raise DataError(f"cannot merge items of {other.dimension} values into items of {self.dimension}")
        if self.count == 0:
            self.shift = other.shift
        return self._move(other.count, other.mean + (other.shift - self.shift))

    def _move(self, count: int, mean: Tensor) -> Tensor:
        """Join ``count`` items with this mean (less the shift); gives ``sqrt(n m / (n + m)) (mean_m - mean_n)``."""
        total = self.count + count
        share = count / total if total else 0.0
        difference = mean - self.mean
        weight = (self.count * share) ** 0.5
        self.mean = self.mean + share * difference
        self.count = total
        return weight * difference

    def known_mean(self) -> Tensor:
        if self.count == 0:
            raise DataError("no items: a mean needs 1 or more")
        return self.shift + self.mean

    def degrees(self, ddof: int) -> int:
        if self.count <= ddof:
            raise DataError(
                f"{self.count} items: a covariance divided by (items - {ddof}) needs {ddof + 1} or more; give more data"
            )
        return self.count - ddof
