"""Principal component analysis as functions: fit, transform, and its probabilistic reading (likelihood, samples).

The model behind the probabilistic functions is ``x = W z + mean + noise`` with ``z ~ N(0, I_k)`` and noise
``N(0, sigma^2 I_D)`` (Tipping and Bishop 1999, "Probabilistic principal component analysis", J. R. Statist. Soc. B
61(3), 611-622). Its maximum likelihood has ``W = U (L - sigma^2 I)^(1/2)`` (equation 7, rotation R = I) with the
principal axes U and their variances L, so x is Gaussian with covariance

    C = W W^T + sigma^2 I = U L U^T + sigma^2 (I - U U^T)

which is diagonal in the axes and isotropic beside them: no function here forms or solves a D x D matrix. The paper's
eigenvalues divide by the count; these divide by count - 1, as scikit-learn's do.

Everything is float64 on the CPU, wherever the arguments are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from vqkit.chance import normal
from vqkit.errors import ConfigError, DataError
from vqkit.ops.linear.covariance import StreamingCovariance, StreamingSketch

EXACT_DIMENSION = 4096
"""The widest items for which ``auto`` is exact: a covariance of 128 MiB, some 25 s of one core for its eigenvectors."""

_EPSILON = torch.finfo(torch.float64).eps


@dataclass(frozen=True, eq=False)
class PrincipalComponents:
    """A fitted PCA; k components of D-dimensional items.

    Attributes:
        mean: ``[D]`` float64.
        components: ``[k, D]`` float64, orthonormal rows by descending variance; the entry of largest size in each row
            is positive.
        variances: ``[k]`` float64, the items' unit squared, divided by count - 1; those below rounding are exactly 0.
        total_variance: over all D directions.
        count: items it was fitted to.
    """

    mean: Tensor
    components: Tensor
    variances: Tensor
    total_variance: float
    count: int

    @property
    def dimension(self) -> int:
        """D."""
        return self.mean.shape[0]

    @property
    def explained_ratio(self) -> Tensor:
        """``[k]``: each component's share of the total variance; zeros where there is none."""
        return self.variances / self.total_variance if self.total_variance > 0 else torch.zeros_like(self.variances)

    @property
    def noise_variance(self) -> float:
        """sigma^2: the mean of the D - k discarded eigenvalues (Tipping and Bishop 1999, equation 8).

        Exactly 0 when none is discarded, and when what is left is rounding (``D eps`` of the total). scikit-learn
        divides by ``min(count, D) - k``, which differs from the paper for fewer items than dimensions.
        """
        left = self.total_variance - float(self.variances.sum())
        discarded = self.dimension - len(self.variances)
        if discarded == 0 or float(self.variances[-1]) == 0 or left <= self.dimension * _EPSILON * self.total_variance:
            return 0.0
        return left / discarded


def principal_components(
    stream: Callable[[], Iterable[Tensor]],
    components: int,
    *,
    method: Literal["auto", "exact", "randomised"] = "auto",
    passes: int = 2,
    seed: int = 0,
) -> PrincipalComponents:
    """The directions of largest variance of a stream of any length.

    Args:
        stream: gives an iterable over the same batches ``[B, D]`` each time it is called (real numbers, any dtype and
            device, taken as they are); called once per pass.
        components: k, in ``[1, min(items, D)]``.
        method: ``"exact"`` diagonalises the covariance (one pass, ``8 D^2`` bytes several times over);
            ``"randomised"`` sketches it (``16 D (2 k + 1)`` bytes, at least ``k + 10`` columns); ``"auto"`` is exact
            up to ``EXACT_DIMENSION``.
        passes: over the stream, for the randomised method: 1 suits spectra that fall quickly, and each further pass
            brings the subspace closer. The exact method takes one, and so does the sketch of so few items that it
            holds all directions in which they vary.
        seed: of the randomised method.

    Raises:
        ConfigError: more components than items or dimensions; a value out of range; an unknown method.
        DataError: no data, one item, NaN or Inf, items of different widths, or a stream that changes between passes.
    """
    if method not in ("auto", "exact", "randomised"):
        raise ConfigError(f"method={method!r}: choose 'auto', 'exact' or 'randomised'")
    if passes < 1:
        raise ConfigError(f"passes={passes}: give 1 or more passes over the data")
    if components < 1:
        raise ConfigError(f"components={components}: give 1 or more, at most min(items, dimension) of the data")

    def begin(dimension: int) -> StreamingCovariance | StreamingSketch:
        if components > dimension:
            raise ConfigError(
                f"components={components} is more than the dimension {dimension} (values per item of this data), and "
                "at most min(items, dimension) directions exist: ask for fewer"
            )
        if method == "exact" or (method == "auto" and dimension <= EXACT_DIMENSION):
            return StreamingCovariance(dimension)
        return StreamingSketch(dimension, components, seed=seed)

    seen = _first_pass(stream, begin)
    _check_count(seen, components)
    if isinstance(seen, StreamingCovariance):
        ascending, columns = torch.linalg.eigh(seen.covariance())
        variances, rows = ascending[-components:].flip(0), columns[:, -components:].T.flip(0).contiguous()
    else:
        for number in range(2, 2 if seen.is_exact else passes + 1):
            seen = _next_pass(stream, seen, number)
        variances, rows = seen.eigen()
    variances = torch.where(variances > seen.dimension * _EPSILON * variances[0], variances, 0.0)
    return PrincipalComponents(seen.mean, _signed(rows), variances, seen.total_variance(), seen.count)


def transform(pc: PrincipalComponents, x: Tensor, whiten: bool = False) -> Tensor:
    """Scores ``[B, k]`` float64 of items ``[B, D]``: coordinates on the components, uncorrelated on the fitted data.

    Args:
        pc: the fitted components.
        x: items.
        whiten: divide each score by its standard deviation (unit variance on the fitted data); a component of no
            variance gives 0.

    Raises:
        DataError: ``x`` is not ``[B, D]``.
    """
    scores = _centered(pc, x) @ pc.components.T
    return scores * _inverse(pc.variances.sqrt()) if whiten else scores


def inverse_transform(pc: PrincipalComponents, scores: Tensor, whitened: bool = False) -> Tensor:
    """Items ``[B, D]`` float64 of scores ``[B, k]``: the nearest point of the principal subspace to what gave them.

    Args:
        pc: the fitted components.
        scores: as from ``transform``.
        whitened: as ``whiten`` was there.

    Raises:
        DataError: ``scores`` is not ``[B, k]``.
    """
    scores = _double(scores, len(pc.variances), "scores", "components")
    return pc.mean + (scores * pc.variances.sqrt() if whitened else scores) @ pc.components


def log_likelihood(pc: PrincipalComponents, x: Tensor) -> Tensor:
    """Natural logarithm of the density of items ``[B, D]`` under ``N(mean, C)``: ``[B]`` float64, nats.

    Tipping and Bishop 1999, equation 4 for one item, in the principal axes: with scores s and the squared distance
    r^2 to the principal subspace,

        -1/2 (D ln 2 pi + sum_i ln L_i + (D - k) ln sigma^2 + sum_i s_i^2 / L_i + r^2 / sigma^2)

    The density is per unit of x; for 8-bit pixels in [0, 1] subtract ``D ln 255`` for nats per 8-bit level.

    Raises:
        DataError: ``x`` is not ``[B, D]``, or some direction has no variance, so that there is no density.
    """
    noise, discarded = pc.noise_variance, pc.dimension - len(pc.variances)
    if (discarded and noise == 0) or float(pc.variances[-1]) == 0:
        raise DataError(
            f"noise_variance={noise:g} and the least of {len(pc.variances)} variances is {float(pc.variances[-1]):g}: "
            f"the {pc.count} items this was fitted to lie in a subspace of their {pc.dimension} dimensions, where a "
            "density does not exist: fit with fewer components, more data, or data with a little noise"
        )
    centered = _centered(pc, x)
    scores = centered @ pc.components.T
    exponent = (scores.square() / pc.variances).sum(1)
    log_volume = pc.dimension * math.log(2 * math.pi) + float(pc.variances.log().sum())
    if discarded:
        exponent = exponent + (centered - scores @ pc.components).square().sum(1) / noise
        log_volume += discarded * math.log(noise)
    return -0.5 * (exponent + log_volume)


def posterior(pc: PrincipalComponents, x: Tensor) -> tuple[Tensor, Tensor]:
    """The Gaussian of z given items ``[B, D]``, for the z of ``x = W z + mean + noise``: its mean and variance.

    Tipping and Bishop 1999, equation 6, with ``M = W^T W + sigma^2 I = L``: mean ``(L - sigma^2)^(1/2) L^-1 s``,
    variance ``sigma^2 / L``, the same for every item. Without noise these are the whitened scores and 0; a component
    of no variance keeps the prior, 0 and 1.

    Returns:
        Mean ``[B, k]`` and the diagonal of the covariance ``[k]`` (off the diagonal it is 0); float64, no unit.

    Raises:
        DataError: ``x`` is not ``[B, D]``.
    """
    signal = (pc.variances - pc.noise_variance).clamp_min(0)
    mean = transform(pc, x) * (signal.sqrt() * _inverse(pc.variances))
    return mean, 1 - torch.where(signal > 0, signal / pc.variances, 0.0)


def sample(pc: PrincipalComponents, n: int, generator: torch.Generator, noise: bool = True) -> Tensor:
    """New items ``[n, D]`` float64.

    Scores are drawn from ``N(0, L)``, the full variances: a sample of the probabilistic model, projected on the
    principal subspace, is distributed so, because the noise has its part sigma^2 there as well. ``noise=True`` adds
    ``N(0, sigma^2)`` in the other D - k directions only, which makes the covariance C (the module's docstring):
    the same distribution as ``W z + mean + noise``. ``noise=False`` is the same sample without them.

    Args:
        pc: the fitted components.
        n: how many.
        generator: a CPU generator; the only source of chance.
        noise: leave the principal subspace.
    """
    scores = normal((n, len(pc.variances)), generator, torch.device("cpu"), torch.float64) * pc.variances.sqrt()
    if not noise:
        return inverse_transform(pc, scores)
    beside = normal((n, pc.dimension), generator, torch.device("cpu"), torch.float64) * math.sqrt(pc.noise_variance)
    return inverse_transform(pc, scores - beside @ pc.components.T) + beside


def _first_pass(
    stream: Callable[[], Iterable[Tensor]], begin: Callable[[int], StreamingCovariance | StreamingSketch]
) -> StreamingCovariance | StreamingSketch:
    seen = None
    for batch in stream():
        if seen is None:
            if batch.ndim != 2:
                raise DataError(f"got a batch of shape {tuple(batch.shape)}; give [items, dimension]: flatten the rest")
            seen = begin(batch.shape[1])
        seen.add(batch)
    if seen is None or seen.count == 0:
        raise DataError("no data: the stream gave no items; principal components need 2 or more")
    return seen


def _next_pass(stream: Callable[[], Iterable[Tensor]], previous: StreamingSketch, number: int) -> StreamingSketch:
    seen = previous.refine()
    for batch in stream():
        seen.add(batch)
    if seen.count != previous.count:
        raise DataError(
            f"pass {number} over the stream gave {seen.count} items, the pass before {previous.count}: stream() must "
            "give the same items each time it is called (not an iterator that is used up), or give passes=1"
        )
    return seen


def _check_count(seen: StreamingCovariance | StreamingSketch, components: int) -> None:
    if not math.isfinite(seen.total_variance()):
        raise DataError("the variance of this data is beyond float64 (1.8e308): scale the values down")
    bound = min(seen.count, seen.dimension)
    if components > bound:
        raise ConfigError(
            f"components={components} is more than {bound} = min(items, dimension) = min({seen.count}, "
            f"{seen.dimension}) of this data: ask for fewer components or give more items"
        )


def _signed(rows: Tensor) -> Tensor:
    """Rows ``[k, D]`` with the entry of largest size positive."""
    largest = rows.gather(1, rows.abs().argmax(1, keepdim=True))
    return torch.where(largest < 0, -rows, rows)


def _inverse(values: Tensor) -> Tensor:
    return torch.where(values > 0, 1 / values, 0.0)


def _centered(pc: PrincipalComponents, x: Tensor) -> Tensor:
    return _double(x, pc.dimension, "items", "dimension") - pc.mean


def _double(x: Tensor, width: int, what: str, origin: str) -> Tensor:
    if x.ndim != 2 or x.shape[1] != width:
        raise DataError(
            f"got {what} of shape {tuple(x.shape)}; expected [batch, {width}], the {origin} these principal "
            "components were fitted with"
        )
    return x.detach().cpu().double()
