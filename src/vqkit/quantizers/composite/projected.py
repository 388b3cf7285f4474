"""A quantizer behind a linear map to fewer channels, and one back."""

from __future__ import annotations

from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from vqkit.errors import ConfigError
from vqkit.ops import all_reduce_sum_
from vqkit.ops.precision import at_least_float32
from vqkit.ops.reproducible import is_reproducible, reproducible_linear
from vqkit.quantizers.base import Quantization, Quantizer, flatten_grid, per_channel, unflatten_grid
from vqkit.quantizers.codebook.learning import clone_for_backward, joined
from vqkit.quantizers.codebook.restart import initialize_from
from vqkit.quantizers.first_codebooks import encode_first
from vqkit.quantizers.replay import Replay, recomputing

_WEIGHT = 0.1
"""Of a batch in the running means and variances."""
_LEAST = 1e-8


@final
class Projected(Quantizer):
    """``codes = back(inner(to(latents)))``: factorised codes (Yu et al. 2022, arXiv 2110.04627, section 3.2).

    In few dimensions neighbouring latents find the same codes more evenly and the search costs less; quantizers whose
    dimension follows from their number of codes (finite scalar, binary) meet any latents this way. Both maps learn.
    They begin as the principal components of the first latents and their transpose: the best linear reduction. Where
    the inner quantizer has a fixed scale (finite scalar, binary), the projected latents are normalised by running means
    and variances of each channel, in training as in evaluation: nothing else keeps an encoder from shrinking its
    latents until they fall into few codes.

    Args:
        inner: the quantizer of ``[batch, inner.code_dim, *grid]``.
        code_dim: channels of the latents, at least as many.

    Raises:
        ConfigError: fewer channels than the inner quantizer has.

    Example:
        >>> import torch
        >>> from vqkit.quantizers import EMAVectorQuantizer, Projected
        >>> layer = Projected(EMAVectorQuantizer(64, 4), 32)  # searches in 4 of 32 dimensions
        >>> layer(torch.randn(2, 32, 4, 4)).quantized.shape
        torch.Size([2, 32, 4, 4])
    """

    set_up: Tensor
    latent_mean: Tensor
    latent_variance: Tensor

    def __init__(self, inner: Quantizer, code_dim: int) -> None:
        super().__init__()
        if code_dim < inner.code_dim:
            raise ConfigError(
                f"code_dim={code_dim} is less than the {inner.code_dim} channels that the quantizer takes: give "
                f"code_dim={inner.code_dim} or more"
            )
        inner.channels_first = True
        self.inner = inner
        self.codebook_size = inner.codebook_size
        self.num_codebooks = inner.num_codebooks
        self.nested = inner.nested
        self.code_dim = code_dim
        self.project_in = nn.Linear(code_dim, inner.code_dim)
        self.project_out = nn.Linear(inner.code_dim, code_dim)
        self._normalizes = inner.fixed_scale
        if self._normalizes:
            self.register_buffer("latent_mean", torch.zeros(inner.code_dim))
            self.register_buffer("latent_variance", torch.ones(inner.code_dim))
        self.register_buffer("set_up", torch.tensor(0, dtype=torch.int64))
        self._set_up = False
        self._replay = Replay()

    @property
    def restarts(self) -> int:
        """See ``Quantizer.restarts``."""
        return self.inner.restarts

    @restarts.setter
    def restarts(self, value: int) -> None:
        self.inner.restarts = value

    @property
    def initialized(self) -> bool:
        """See ``Quantizer.initialized``."""
        return self._set_up and self.inner.initialized

    @torch.no_grad()
    def initialize(self, vectors: Tensor) -> None:
        """Set the maps from the principal components of latents ``[N, code_dim]``, and the inner codebook."""
        if not self._set_up:
            double = vectors.double()
            mean = double.mean(dim=0)
            values, axes = torch.linalg.eigh((double - mean).t() @ (double - mean) / max(len(double) - 1, 1))
            rows = axes.flip(1).t()[: self.inner.code_dim]
            scale = _scales(values.flip(0)[: self.inner.code_dim]) if self.inner.fixed_scale else 1.0
            rows_in, rows_out = (rows.t() / scale).t(), (rows.t() * scale).t()
            self.project_in.weight.copy_(rows_in)
            self.project_in.bias.copy_(-rows_in @ mean)
            self.project_out.weight.copy_(rows_out.t())
            self.project_out.bias.copy_(mean)
            self.set_up.fill_(1)
            self._set_up = True
        if not self.inner.initialized and not self.inner.frozen:
            self.inner.initialize(functional.linear(vectors, self.project_in.weight, self.project_in.bias))

    def forward(self, latents: Tensor, mask: Tensor | None = None) -> Quantization:
        """See ``Quantizer.forward``."""
        latents = self.validate(latents, mask)
        with torch.autocast(latents.device.type, enabled=False):
            if self.training and not self.initialized:
                initialize_from(self, latents.detach(), mask)
            projected = self._mapped(latents, self.project_in)
            learns = self._normalizes and self.training
            again = learns and recomputing()
            moments = [self.latent_mean, self.latent_variance] if self._normalizes else []
            if again:
                moments = self._replay.recall(projected)
            elif learns:
                self._replay.keep(projected, moments)
            found = self.inner(self._normal(projected, *moments), mask)
            if learns and not again and not self.frozen:
                seen = flatten_grid(projected.detach()), None, None if mask is None else mask.reshape(-1)
                if self.seen is None:
                    self._follow(seen[0], seen[2])
                else:
                    self.seen.append(seen)
            return Quantization(self._out(found.quantized), found.indices, found.losses)

    def encode(self, latents: Tensor) -> Tensor:
        """See ``Quantizer.encode``."""
        return self.encode_first(latents, None)

    def encode_first(self, latents: Tensor, codebooks: int | None) -> Tensor:
        """See ``EncodesFirst``."""
        self.check_latents(latents)
        with torch.no_grad(), torch.autocast(latents.device.type, enabled=False):
            return encode_first(self.inner, self._in(latents), codebooks)

    def lookup(self, indices: Tensor) -> Tensor:
        """See ``Quantizer.lookup``."""
        with torch.autocast(self.project_out.weight.device.type, enabled=False):
            return self._out(self.inner.lookup(indices))

    def _in(self, latents: Tensor) -> Tensor:
        moments = [self.latent_mean, self.latent_variance] if self._normalizes else []
        return self._normal(self._mapped(at_least_float32(latents), self.project_in), *moments)

    def _normal(self, projected: Tensor, mean: Tensor | None = None, variance: Tensor | None = None) -> Tensor:
        if mean is None or variance is None:
            return projected
        if self.training:
            mean, variance = map(clone_for_backward, (mean, variance))  # they move before the backward pass
        scale = variance.clamp_min(_LEAST).rsqrt()
        return (projected - per_channel(mean, projected)) * per_channel(scale, projected)

    def learn_seen(self, seen: list[tuple[Tensor, Tensor | None, Tensor | None]]) -> None:
        """See ``Quantizer.learn_seen``."""
        vectors, mask = joined([each[0] for each in seen]), joined([each[2] for each in seen])
        assert vectors is not None
        self._follow(vectors, mask)

    @torch.no_grad()
    def _follow(self, vectors: Tensor, mask: Tensor | None) -> None:
        """Take the means and variances of this batch ``[N, d]``, of all processes, into the running ones."""
        keep = torch.isfinite(vectors).all(dim=1)
        keep = keep if mask is None else keep & mask
        vectors = torch.where(keep.unsqueeze(1), vectors, vectors.new_zeros(()))
        count, sums, squares = keep.sum().to(vectors.dtype), vectors.sum(dim=0), vectors.square().sum(dim=0)
        all_reduce_sum_(count, sums, squares)
        mean = sums / count.clamp_min(1)
        variance = (squares / count.clamp_min(1) - mean.square()).clamp_min(0)
        weight = _WEIGHT * (count > 0).to(mean.dtype)
        self.latent_mean.lerp_(mean.to(self.latent_mean.dtype), weight.to(self.latent_mean.dtype))
        self.latent_variance.lerp_(variance.to(self.latent_mean.dtype), weight.to(self.latent_mean.dtype))

    def _out(self, quantized: Tensor) -> Tensor:
        return self._mapped(quantized, self.project_out)

    def _mapped(self, latents: Tensor, linear: nn.Linear) -> Tensor:
        vectors = flatten_grid(latents).to(linear.weight.dtype)
        product = reproducible_linear if is_reproducible(self) else functional.linear
        return unflatten_grid(product(vectors, linear.weight, linear.bias), latents)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *rest)
        self._set_up = bool(self.set_up)


def _scales(variances: Tensor) -> Tensor:
    """Standard deviations to divide by: none below a hundredth of the greatest, 1 where nothing varies."""
    most = variances.max()
    return variances.clamp_min(1e-4 * most).sqrt() if most > 1e-12 else torch.ones_like(variances)
