"""Continuous latents: one vector for the whole signal or one for each position, and a density fitted to them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vqkit.chance import chosen, normal
from vqkit.data import default_crop
from vqkit.errors import ConfigError, DataError
from vqkit.ops.buffers import SteadyBuffers

_FLOOR = 1e-6
_EM_STEPS = 100
_EM_GAIN = 1e-3
"""Nats per vector: expectation maximization ends with the first step that gains less."""


def latent_config(config: Mapping[str, Any]) -> bool:
    """Whether the latents are one vector; raises ``ConfigError`` for a config that does not fit together."""
    latent, size, axes = config["latent"], config["size"], config["axes"]
    if latent not in ("vector", "grid"):
        raise ConfigError(f"latent={latent!r}: choose 'vector' (one for the whole signal) or 'grid' (one a position)")
    if latent == "grid" or axes == 0:
        return False
    if size is None or len(size) != axes or min(size) < 1:
        raise ConfigError(
            f"size={size}: a vector of latents belongs to signals of one size, so give {axes} lengths of 1 or more "
            "(for images [height, width]; for_source(source) fills it in), or take latent='grid'"
        )
    return True


def vector_size(source: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """Add the size of signals to the options, where a vector of latents needs it: that of the default crops, if any.

    Raises:
        ConfigError: the signals are of different sizes.
    """
    if options.get("latent", "vector") != "vector" or options.get("size") is not None or source.axes == 0:
        return dict(options)
    crop = default_crop(source)
    if crop is not None:
        return {**options, "size": list(source.kind.crop_size(crop, source.item_sizes()))}
    if source.size is None:
        raise ConfigError(
            f"{source.name} has signals of different sizes, and a vector of latents belongs to one size: give size= "
            "(with crop= of that size while training), or take latent='grid'"
        )
    return {**options, "size": list(source.size)}


def check_latents(model: Any, latents: Tensor, size: Sequence[int] | None) -> None:
    """Raise ``ValueError`` unless latents have the shape that the model's decoder reads (for signals of ``size``)."""
    dimension = model.decoded_channels
    if model.vector:
        expected = f"[batch, {dimension}]"
        fits = latents.ndim == 2 and latents.shape[1] == dimension
    else:
        expected = f"[batch, {dimension}, *grid] with {model.axes} grid axes"
        fits = latents.ndim == 2 + model.axes and latents.shape[1] == dimension
    if not fits:
        raise ValueError(f"latents have shape {tuple(latents.shape)}; expected {expected}")
    if size is None:
        return
    grid = model.grid(model.config["size"]) if model.vector else tuple(latents.shape[2:])
    if model.grid(size) != grid:
        raise ValueError(f"size {tuple(size)} has a grid of {model.grid(size)}, not {grid}")


class LatentDensity(SteadyBuffers):
    """A mixture of Gaussians with full covariances over vectors ``[D]``; one component is a single Gaussian.

    Args:
        dimension: D.
        components: of the mixture.

    Raises:
        ConfigError: less than one component.
    """

    weights: Tensor
    means: Tensor
    factors: Tensor

    def __init__(self, dimension: int, components: int = 1) -> None:
        super().__init__()
        if components < 1:
            raise ConfigError(f"density_components={components}: give 1 (one Gaussian) or more (a mixture)")
        self.register_buffer("weights", torch.full((components,), 1 / components))
        self.register_buffer("means", torch.zeros(components, dimension))
        self.register_buffer("factors", torch.eye(dimension).repeat(components, 1, 1))

    @torch.no_grad()
    def fit(self, vectors: Tensor, seed: int = 0) -> None:
        """Fit to vectors ``[N, D]`` by maximum likelihood; a mixture by expectation maximization from k-means.

        Raises:
            DataError: fewer vectors than components, or less than two.
        """
        count, dimension = vectors.shape
        components = len(self.weights)
        if count < max(2, components):
            raise DataError(f"{count} latents cannot tell a density with {components} component(s): give more signals")
        vectors = vectors.detach().cpu().double()
        variance = vectors.var(dim=0, correction=0).mean()
        ridge = _FLOOR * float(variance) + 1e-12
        if components == 1:
            mean = vectors.mean(dim=0, keepdim=True)
            centered = vectors - mean
            covariance = (centered.T @ centered / count).unsqueeze(0)
            weights = torch.ones(1, dtype=torch.float64)
        else:
            generator = torch.Generator().manual_seed(seed)
            weights, mean, covariance = _fit_mixture(vectors, components, max(ridge, 1e-3 * float(variance)), generator)
        eye = torch.eye(dimension, dtype=torch.float64)
        self.weights.copy_(weights)
        self.means.copy_(mean)
        self.factors.copy_(torch.linalg.cholesky(covariance + ridge * eye))

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """``[count, D]``."""
        places = chosen(self.weights, count, generator)
        noise = normal((count, self.means.shape[1], 1), generator, self.means.device, self.means.dtype)
        return self.means[places] + (self.factors[places] @ noise).squeeze(2)


def _fit_mixture(
    points: Tensor, components: int, ridge: float, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Fit a mixture of Gaussians to ``[N, D]`` by expectation maximization (Dempster, Laird and Rubin 1977).

    It starts from k-means. ``ridge`` is added to the diagonal of every covariance.

    Returns:
        Weights ``[K]``, means ``[K, D]`` and covariances ``[K, D, D]``.
    """
    count, dimension = points.shape
    clusters = _nearest_centers(points, components, generator)
    memberships = nn.functional.one_hot(clusters, components).to(points.dtype)
    eye = ridge * torch.eye(dimension, dtype=points.dtype)
    bound = -math.inf
    for _ in range(_EM_STEPS):
        sizes = memberships.sum(dim=0) + 10 * torch.finfo(points.dtype).eps
        means = memberships.T @ points / sizes[:, None]
        covariances = torch.empty(components, dimension, dimension, dtype=points.dtype)
        scores = torch.empty(count, components, dtype=points.dtype)
        for k in range(components):
            centered = points - means[k]
            covariances[k] = (memberships[:, k, None] * centered).T @ centered / sizes[k] + eye
            factor = torch.linalg.cholesky(covariances[k])
            squares = torch.linalg.solve_triangular(factor, centered.T, upper=False).square().sum(dim=0)
            scores[:, k] = (sizes[k] / count).log() - factor.diagonal().log().sum() - squares / 2
        evidence = scores.logsumexp(dim=1)
        memberships = (scores - evidence[:, None]).exp()
        before, bound = bound, float(evidence.mean())
        if bound - before < _EM_GAIN:
            break
    return sizes / sizes.sum(), means, covariances


def _nearest_centers(points: Tensor, clusters: int, generator: torch.Generator) -> Tensor:
    """Cluster ``[N, D]`` by k-means from greedy k-means++ centers (Arthur and Vassilvitskii 2007); int64 ``[N]``."""
    first = torch.randint(len(points), (1,), generator=generator)
    centers, nearest = points[first], torch.cdist(points, points[first]).square()[:, 0]
    for _ in range(1, clusters):
        candidates = points[chosen(nearest + torch.finfo(points.dtype).tiny, 2 + int(math.log(clusters)), generator)]
        closer = torch.minimum(nearest[:, None], torch.cdist(points, candidates).square())
        best = int(closer.sum(dim=0).argmin())
        centers, nearest = torch.cat([centers, candidates[best : best + 1]]), closer[:, best]
    places = torch.cdist(points, centers).argmin(dim=1)
    for _ in range(_EM_STEPS):
        sizes = torch.bincount(places, minlength=clusters)
        sums = torch.zeros_like(centers).index_add_(0, places, points)
        centers = torch.where(sizes[:, None] > 0, sums / sizes.clamp_min(1)[:, None], centers)
        before, places = places, torch.cdist(points, centers).argmin(dim=1)
        if torch.equal(before, places):
            break
    return places
