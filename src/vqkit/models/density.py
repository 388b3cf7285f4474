"""A density fitted to latents after training: a Gaussian, or a mixture of them."""

from __future__ import annotations

import torch
from torch import Tensor

from vqkit.chance import chosen, normal
from vqkit.errors import ConfigError, DataError
from vqkit.ops.buffers import SteadyBuffers

_FLOOR = 1e-6


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
        """Fit to vectors ``[N, D]`` by maximum likelihood; a mixture by expectation maximisation from k-means.

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
            centred = vectors - mean
            covariance = (centred.T @ centred / count).unsqueeze(0)
            weights = torch.ones(1, dtype=torch.float64)
        else:
            from sklearn.mixture import GaussianMixture

            found = GaussianMixture(components, reg_covar=max(ridge, 1e-3 * float(variance)), random_state=seed)
            found.fit(vectors.numpy())
            weights, mean, covariance = (
                torch.from_numpy(each) for each in (found.weights_, found.means_, found.covariances_)
            )
        eye = torch.eye(dimension, dtype=torch.float64)
        self.weights.copy_(weights)
        self.means.copy_(mean)
        self.factors.copy_(torch.linalg.cholesky(covariance + ridge * eye))

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """``[count, D]``."""
        places = chosen(self.weights, count, generator)
        noise = normal((count, self.means.shape[1], 1), generator, self.means.device, self.means.dtype)
        return self.means[places] + (self.factors[places] @ noise).squeeze(2)
