"""The variational autoencoder (Kingma and Welling 2014, arXiv 1312.6114)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Self, Unpack, final

import torch
from torch import Tensor

from vqkit.chance import normal
from vqkit.data.conversion import latent_tensor
from vqkit.errors import ConfigError
from vqkit.models.conditions.layer import DEFAULT_CHANNELS as DEFAULT_CONDITION
from vqkit.models.conversion.target import DivergenceTarget
from vqkit.models.latents import check_latents, latent_config, vector_size
from vqkit.models.matching import VAEOptions, by_batches, said_kind, signals_of
from vqkit.models.network import NetworkModel
from vqkit.models.output import LatentCost, ModelOutput, add_losses, join_losses
from vqkit.models.scoring.scores import LatentScores
from vqkit.networks.pair import DEFAULT_CHANNELS, DEFAULT_DOWNSAMPLING, NetworkSpec, adopt_encoder
from vqkit.ops import float64
from vqkit.ops.precision import at_least_float32
from vqkit.recording import recorded

_LOG_VARIANCE = (-20.0, 10.0)


@final
class VAE(NetworkModel):
    """Variational autoencoder: signals to a Gaussian over latents, of which the decoder reads a sample.

    ::

        q(z | x) = N(mean(x), diag exp(log_variance(x))),    z = mean + exp(log_variance / 2) * noise
        loss     = -log p(x | z) + beta * KL(q(z | x) || N(0, I)),     nats, over the number of values in x

    With the Gaussian likelihood its scale is learned too, so that ``beta=1`` is the evidence lower bound and needs no
    tuning. ``encode`` gives the mean; in evaluation mode ``forward`` decodes the mean as well.

    Args:
        latent_dim: numbers in the latent vector, or at each position of the grid.
        latent: ``"vector"`` (one for the whole signal; needs ``size``) or ``"grid"`` (signals of any size).
        size: of the signals, for a vector: height and width of images.
        beta: weight of the KL term (Higgins et al. 2017); 1 is the bound itself.
        beta_warmup: training steps in which beta rises from 0, linearly (Bowman et al. 2016).
        free_bits: nats of KL that each latent number may have for free, on average over the batch (Kingma et al.
            2016, arXiv 1606.04934, equation 15): keeps them from collapsing onto the prior.
        group_bits: hold KL(q || N(0, I)) of each group of latent numbers, at each position of each signal, at so many
            bits (see ``vqkit.models.DivergenceTarget``): those of the index that ``vqkit.quantize`` makes of a group
            afterwards. 0: charge all of it. Not together with ``free_bits``.
        group_size: latent numbers in a group; None: all at a position.
        linear_path: a linear encoder and decoder beside the networks: the means begin as the whitened scores of PCA, as
            in probabilistic PCA, whose maximum likelihood a linear VAE shares (Lucas et al. 2019, arXiv 1911.02469).

    Raises:
        ConfigError: a value out of range, or an unknown name.

    Example:
        >>> import torch
        >>> from vqkit import VAE
        >>> model = VAE(8, size=(16, 16), channels=1, hidden_channels=8, residual_channels=4)
        >>> model.encode(torch.rand(2, 1, 16, 16)).shape, model.sample(3).shape
        (torch.Size([2, 8]), torch.Size([3, 1, 16, 16]))
    """

    model_type: ClassVar[str] = "vae"
    whitened_path: ClassVar[bool] = True

    def __init__(
        self,
        latent_dim: int = 64,
        *,
        latent: str = "vector",
        size: Sequence[int] | None = None,
        beta: float = 1.0,
        beta_warmup: int = 0,
        free_bits: float = 0.0,
        group_bits: float = 0.0,
        group_size: int | None = None,
        channels: int = DEFAULT_CHANNELS,
        axes: int = 2,
        downsampling: int | Sequence[int] = DEFAULT_DOWNSAMPLING,
        hidden_channels: int = 128,
        residual_blocks: int = 2,
        residual_channels: int = 32,
        widths: Sequence[int] | None = None,
        upsampling: str = "transposed",
        encoder: NetworkSpec = "conv",
        decoder: NetworkSpec = "conv",
        likelihood: str | None = None,
        likelihood_warmup: int = 1000,
        linear_path: bool = False,
        channel_means: bool = False,
        classes: int | None = None,
        class_names: Sequence[str] | None = None,
        condition_dim: int | None = None,
        condition_dropout: float = 0.0,
        condition_channels: int = DEFAULT_CONDITION,
        kind: str | None = None,
    ) -> None:
        config = recorded(VAE.__init__, locals())
        adopt_encoder(config)
        config = said_kind(config)
        vector = latent_config(config)
        for name in ("beta", "beta_warmup", "free_bits"):
            if not 0 <= config[name] < math.inf:
                raise ConfigError(f"{name}={config[name]}: give 0 or more, and finite")
        target = _target(config)
        super().__init__(2 * latent_dim, latent_dim, config, vector=vector, learned_scale=True)
        self.divergence_target = target
        self.config = config
        self._size = config["size"]
        self.latent_dim = latent_dim
        self.beta = beta
        self.beta_warmup = beta_warmup
        self.free_bits = free_bits

    @classmethod
    def for_source(
        cls,
        source: Any,
        latent_dim: int = 64,
        *,
        seed: int | None = None,
        conditional: bool = False,
        **options: Unpack[VAEOptions],
    ) -> Self:
        """See ``NetworkModel.for_source``; a vector of latents is of the size of the source's signals."""
        source = signals_of(source, options)
        own = vector_size(source, options)
        return super().for_source(source, latent_dim, seed=seed, conditional=conditional, **own)

    def posterior(self, x: Any, mask: Any = None) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z | x), each ``[batch, latent_dim]`` or ``[batch, latent_dim, *grid]``."""
        x, mask = self._read(x, mask)
        return self._posterior(x, mask)

    def _posterior(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        mean, log_variance = at_least_float32(self._latents(x, mask)).chunk(2, dim=1)
        return mean, log_variance.clamp(*_LOG_VARIANCE)

    @torch.no_grad()
    @by_batches
    def encode(self, x: Any, mask: Any = None) -> Tensor:
        """The mean of q(z | x), ``[batch, latent_dim]`` or ``[batch, latent_dim, *grid]``.

        Raises:
            DataError: signals that the model does not read.
        """
        return self.posterior(x, mask)[0]

    def _read_codes(self, codes: Any, size: Sequence[int] | None) -> tuple[Tensor, Sequence[int] | None]:
        codes = latent_tensor(codes)
        check_latents(self, codes, size)
        size = self._size if self.vector and size is None else size
        return codes.to(self.device, self._dtype), size

    def forward(self, x: Any, mask: Any = None, condition: Any = None) -> ModelOutput:
        """See ``Model.forward``. Metrics: ``reconstruction_loss``, ``kl_loss``, ``kl_nats`` a signal, ``mse``."""
        x, mask = self._read(x, mask)
        mean, log_variance = self._posterior(x, mask)
        z = mean
        if self.training:
            z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        with self.conditioned_on(condition):
            raw = self._decoded(z.to(self._dtype), mask=mask, signal=self._read_back(x))
        reconstruction, terms, watched, decoded = self._reconstruction(x, raw, mask, z, condition)
        kl = kl_nats(mean, log_variance)
        counted = self._counted(mask)
        if counted is not None:
            kl = torch.where(counted.unsqueeze(1), kl, kl.new_zeros(()))
        values: float | Tensor = x[0].numel()
        if mask is not None:  # of a signal, on average
            each = 1 if mask.ndim == x.ndim else x.shape[1]
            values = (mask.sum() * each).clamp_min(1) / len(x)
        target = self.divergence_target
        charged = (kl if target is None else target.charged(kl)).mean(dim=0)
        if self.free_bits and counted is None:
            charged = charged.clamp_min(self.free_bits)
        elif self.free_bits and counted is not None:  # what is padding in some signals is free in the others only
            charged = torch.maximum(charged, self.free_bits * counted.to(kl.dtype).mean(dim=0).expand_as(charged))
        losses = join_losses(terms, {"kl_loss": self._beta_now() * charged.sum() / values}, self)
        metrics = {name: value.detach() for name, value in losses.items()}
        watched["kl_nats"] = kl.detach().flatten(1).sum(dim=1).mean()
        if target is not None:
            watched |= target.watched(kl, counted)
            if self.training and self._past_steps is None:  # not in a forward pass that runs again
                target.follow(kl, log_variance, counted)
        metrics |= watched
        return ModelOutput(reconstruction, add_losses(losses), metrics, counted=counted, decoded=decoded)

    def sample_codes(self, count: int, size: Sequence[int], generator: torch.Generator | None = None) -> Tensor:
        """Latents from N(0, I)."""
        shape = (count, self.latent_dim, *(() if self.vector else self.grid(size)))
        return normal(shape, generator, self.device)

    @torch.no_grad()
    def latent_cost(self, x: Any, generator: torch.Generator | None = None) -> LatentCost:
        """A sample of q(z | x), and KL(q(z | x) || N(0, I)): what bits-back coding pays for it."""
        mean, log_variance = self.posterior(x)
        noise = normal(mean.shape, generator, mean.device, mean.dtype)
        rate = float64(kl_nats(mean, log_variance)).flatten(1).sum(dim=1)
        return LatentCost(mean + torch.exp(0.5 * log_variance) * noise, rate, "KL to N(0, I)")

    @torch.no_grad()
    def score_latents(self, x: Tensor, *, positions: bool = False) -> LatentScores:
        """See ``Model.score_latents``: KL(q(z | x) || N(0, I)) in bits."""
        mean, log_variance = self.posterior(x)
        bits = float64(kl_nats(mean, log_variance)) / math.log(2)
        each = bits.sum(dim=1) if positions and not self.vector else None
        return LatentScores(mean, bits.flatten(1).sum(dim=1), each)

    @torch.no_grad()
    def importance_bound(self, x: Any, samples: int, generator: torch.Generator | None = None) -> Tensor:
        """The importance-weighted bound on log p(x), ``[batch]`` float64 nats (Burda et al. 2016, arXiv 1509.00519).

        ``log mean_k p(x | z_k) p(z_k) / q(z_k | x)``: the evidence lower bound for one sample on average, tighter
        with more, log p(x) in the limit.
        """
        if samples < 1:
            raise ConfigError(f"samples={samples}: give 1 or more")
        x = self.read_signals(x)
        mean, log_variance = self.posterior(x)
        found = []
        for _ in range(samples):
            noise = normal(mean.shape, generator, mean.device, mean.dtype)
            z = mean + torch.exp(0.5 * log_variance) * noise
            # log p(z) - log q(z | x): the constants of the two Gaussians cancel
            log_ratio = 0.5 * (noise.square() + log_variance - z.square())
            found.append(self.log_likelihood(x, z) + float64(log_ratio).flatten(1).sum(dim=1))
        return torch.logsumexp(torch.stack(found), dim=0) - math.log(samples)

    def _beta_now(self) -> float | Tensor:
        if not self.beta_warmup:
            return self.beta
        steps = self.steps_seen if self._past_steps is None else self._past_steps + 1
        return self.beta * (steps / self.beta_warmup).clamp_max(1.0)


def _target(config: dict[str, Any]) -> DivergenceTarget | None:
    """Return the target of a config, which is left without those keys where there is none, as it has always been."""
    bits, size = config["group_bits"], config["group_size"]
    if not bits:
        if size is not None:
            raise ConfigError(f"group_size={size} is for group_bits=, the bits that each group is to hold")
        del config["group_bits"], config["group_size"]
        return None
    if config["free_bits"]:
        raise ConfigError(f"group_bits={bits} leaves each group so many bits for nothing: leave free_bits out")
    return DivergenceTarget(config["latent_dim"], size, bits)


def kl_nats(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, exp(log_variance)) || N(0, 1)) of each number, in nats (arXiv 1312.6114, appendix B)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)


def active_units(means: Tensor, threshold: float = 0.01) -> int:
    """How many latent numbers move with the signal: the variance of the posterior mean over the data is above 0.01.

    Burda, Grosse and Salakhutdinov 2016 (arXiv 1509.00519), section 5.2. The others have collapsed onto the prior.

    Args:
        means: posterior means of a set, ``[N, ...]``.
        threshold: of the variance.

    Example:
        >>> import torch
        >>> from vqkit.models import active_units
        >>> active_units(torch.tensor([[0.0, 1.0], [0.0, -1.0]]))
        1
    """
    return int((means.flatten(1).var(dim=0) > threshold).sum())
