"""The autoencoder: two networks and nothing that keeps the latent space in order (Hinton and Salakhutdinov 2006)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Self, Unpack, final

import numpy as np
import torch
from torch import Tensor

from vqkit.data.conversion import latent_tensor
from vqkit.errors import ConfigError
from vqkit.models.conditions.layer import DEFAULT_CHANNELS as DEFAULT_CONDITION
from vqkit.models.latents import LatentDensity, check_latents, latent_config, vector_size
from vqkit.models.matching import AutoencoderOptions, by_batches, said_kind, signals_of
from vqkit.models.network import NetworkModel
from vqkit.models.output import ModelOutput, add_losses
from vqkit.networks.pair import DEFAULT_CHANNELS, DEFAULT_DOWNSAMPLING, NetworkSpec, adopt_encoder
from vqkit.ops.precision import at_least_float32
from vqkit.recording import recorded

_DENSITY_VECTORS = 20_000


@final
class Autoencoder(NetworkModel):
    """Autoencoder: signals to continuous latents and back.

    It minimises the reconstruction error and nothing else, so its latents lie wherever they like: ``finish`` fits a
    Gaussian (or a mixture) to them after training, and what ``sample`` draws from it mostly decodes to garbage,
    which is why the next rungs exist.

    Args:
        latent_dim: numbers in the latent vector, or at each position of the grid.
        latent: ``"vector"`` (one for the whole signal; needs ``size``) or ``"grid"`` (signals of any size).
        size: of the signals, for a vector: height and width of images.
        noise: standard deviation of Gaussian noise added to the encoder's input while training, in units of the
            data's standard deviation (denoising: Vincent et al. 2008); 0 for none.
        density_components: Gaussians in the mixture fitted to the latents; with a grid every position is drawn on
            its own.
        linear_path: a linear encoder and decoder beside the networks, which begins as PCA: of the whole signal with a
            vector, of its blocks with a grid.

    Weight decay, the other usual rein, is ``weight_decay`` of the training settings.

    Raises:
        ConfigError: a value out of range, or an unknown name.

    Example:
        >>> import torch
        >>> from vqkit import Autoencoder
        >>> model = Autoencoder(8, size=(16, 16), channels=1, hidden_channels=8, residual_channels=4)
        >>> codes = model.encode(torch.rand(2, 1, 16, 16))
        >>> codes.shape, model.decode(codes).shape
        (torch.Size([2, 8]), torch.Size([2, 1, 16, 16]))
    """

    model_type: ClassVar[str] = "autoencoder"

    def __init__(
        self,
        latent_dim: int = 64,
        *,
        latent: str = "vector",
        size: Sequence[int] | None = None,
        noise: float = 0.0,
        density_components: int = 1,
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
        config = recorded(Autoencoder.__init__, locals())
        adopt_encoder(config)
        config = said_kind(config)
        vector = latent_config(config)
        if not 0 <= noise < math.inf:
            raise ConfigError(f"noise={noise}: a standard deviation is 0 or more, and finite")
        super().__init__(latent_dim, latent_dim, config, vector=vector)
        self.config = config
        self._size = config["size"]
        self.latent_dim = latent_dim
        self.noise = noise
        self.density = LatentDensity(latent_dim, density_components)

    @classmethod
    def for_source(
        cls,
        source: Any,
        latent_dim: int = 64,
        *,
        seed: int | None = None,
        conditional: bool = False,
        **options: Unpack[AutoencoderOptions],
    ) -> Self:
        """See ``NetworkModel.for_source``; a vector of latents is of the size of the source's signals."""
        source = signals_of(source, options)
        own = vector_size(source, options)
        return super().for_source(source, latent_dim, seed=seed, conditional=conditional, **own)

    @torch.no_grad()
    @by_batches
    def encode(self, x: Any, mask: Any = None) -> Tensor:
        """Latents ``[batch, latent_dim]`` or ``[batch, latent_dim, *grid]`` of signals ``[batch, channels, *size]``.

        Raises:
            DataError: signals that the model does not read.
        """
        return at_least_float32(self.latents(x, mask))

    def _read_codes(self, codes: Any, size: Sequence[int] | None) -> tuple[Tensor, Sequence[int] | None]:
        codes = latent_tensor(codes)
        check_latents(self, codes, size)
        size = self._size if self.vector and size is None else size
        return codes.to(self.device, self._dtype), size

    def forward(self, x: Any, mask: Any = None, condition: Any = None) -> ModelOutput:
        """See ``Model.forward``. Metrics: ``reconstruction_loss`` and ``mse``."""
        x, mask = self._read(x, mask)
        numbers = self._normalize(x, mask)
        if self.training and self.noise:
            numbers = numbers + self.noise * torch.randn_like(numbers)
        latents = self._encoded(numbers, self._counted(mask))
        with self.conditioned_on(condition):
            raw = self._decoded(latents, mask=mask, signal=self._read_back(x))
        reconstruction, losses, watched, decoded = self._reconstruction(x, raw, mask, latents, condition)
        metrics = {**{name: loss.detach() for name, loss in losses.items()}, **watched}
        counted = self._counted(mask)
        return ModelOutput(reconstruction, add_losses(losses), metrics, counted=counted, decoded=decoded)

    @torch.no_grad()
    def finish(self, batches: Iterable[Tensor]) -> None:
        """Fit the density of the latents, and the scale of a Gaussian likelihood."""
        kept: list[Any] = [batches] if isinstance(batches, Tensor | np.ndarray) else list(batches)
        super().finish(kept)
        vectors = torch.cat([self._as_vectors(self.encode(batch)) for batch in self.read_batches(kept)])
        self.density.fit(vectors[:_DENSITY_VECTORS])

    def sample_codes(self, count: int, size: Sequence[int], generator: torch.Generator | None = None) -> Tensor:
        """Latents from the fitted density (every position of a grid on its own)."""
        if self.vector:
            return self.density.sample(count, generator)
        grid = self.grid(size)
        positions = torch.Size(grid).numel()
        vectors = self.density.sample(count * positions, generator).view(count, *grid, self.latent_dim)
        return vectors.movedim(-1, 1)

    def latent_cost(self, x: Any, generator: torch.Generator | None = None) -> None:
        """None: an autoencoder has no prior under which its latents could be counted."""

    def _as_vectors(self, latents: Tensor) -> Tensor:
        return latents.movedim(1, -1).reshape(-1, self.latent_dim)
