"""What the quantizers with an explicit codebook share: search, look-up, first values, dead codes."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from vqkit.errors import ConfigError
from vqkit.ops import nearest_code, straight_through
from vqkit.quantizers.base import Quantization, Quantizer, at_least_float32, flatten_grid
from vqkit.quantizers.restart import dead_codes, first_codebook, replacements, sample_rows


class CodebookQuantizer(Quantizer, ABC):
    """A table ``codebook [K, D]``, searched for the nearest code.

    Subclasses hold ``codebook`` (a parameter or a buffer) and say how it learns. The state kept here: running
    counts of how often each code is chosen, and the number of updates (-1 until the first values are set).

    Args:
        codebook_size: K, at least 2.
        code_dim: D.
        beta: weight of the commitment loss, on the encoder's side.
        restart_below: a code used less than this fraction of the average code is moved to a random latent of the
            current batch; 0 never restarts.
        restart_every: updates between two looks for such codes.
        seed: of k-means and restarts.

    Raises:
        ConfigError: when a number is out of its range.
    """

    codebook: Tensor
    average_counts: Tensor
    updates: Tensor

    def __init__(
        self, codebook_size: int, code_dim: int, *, beta: float, restart_below: float, restart_every: int, seed: int
    ) -> None:
        super().__init__()
        if codebook_size < 2:
            raise ConfigError(
                f"codebook_size={codebook_size}: a codebook needs at least 2 codes, since an index into 1 code carries "
                "0 bits; give codebook_size=2 or more"
            )
        if code_dim < 1:
            raise ConfigError(f"code_dim={code_dim}: a code needs at least 1 number; give code_dim=1 or more")
        if not beta >= 0:
            raise ConfigError(f"beta={beta}: the weight of the commitment loss is 0 or more (0.25 in the paper)")
        if not 0 <= restart_below < 1 or restart_every < 1:
            raise ConfigError(
                f"restart_below={restart_below}, restart_every={restart_every}: allowed are a fraction in [0, 1) of "
                "the mean count and at least 1 update"
            )
        self.codebook_size = codebook_size
        self.code_dim = code_dim
        self.beta = beta
        self.restart_below = restart_below
        self.restart_every = restart_every
        self.seed = seed
        self.restarts = 0
        self.register_buffer("average_counts", torch.ones(codebook_size))
        self.register_buffer("updates", torch.tensor(-1, dtype=torch.int64))
        self._updates = -1

    @property
    def initialised(self) -> bool:
        """Whether k-means (or a loaded state) has set the codebook."""
        return self._updates >= 0

    @torch.no_grad()
    def initialise(self, vectors: Tensor) -> None:
        """Set the first codebook by k-means on latent vectors ``[N, code_dim]``."""
        vectors = vectors.to(self.codebook.dtype)
        centres, counts = first_codebook(vectors, self.codebook_size, self.seed)
        weights = counts.to(vectors.dtype).clamp_min(1.0)
        self.set_codebook(centres, weights / weights.mean())

    @torch.no_grad()
    def set_codebook(self, codebook: Tensor, counts: Tensor | None = None) -> None:
        """Start from given codewords ``[K, D]`` and running counts ``[K]`` (default: one each)."""
        self.codebook.copy_(codebook)
        self.average_counts.copy_(torch.ones_like(self.average_counts) if counts is None else counts)
        self._set_updates(0)

    def encode(self, latents: Tensor) -> Tensor:
        """See ``Quantizer.encode``."""
        self.check_latents(latents)
        return nearest_code(flatten_grid(latents), self.codebook).view(latents.shape[0], *latents.shape[2:])

    def codes(self, indices: Tensor) -> Tensor:
        """See ``Quantizer.codes``."""
        return self._lookup(self.check_indices(indices))

    def forward(self, latents: Tensor) -> Quantization:
        """See ``Quantizer.forward``. Runs in float32 under autocast (float64 stays float64)."""
        self.check_latents(latents)
        with torch.autocast(latents.device.type, enabled=False):
            latents = at_least_float32(latents)
            vectors = flatten_grid(latents)
            if self.training and not self.initialised:
                self.initialise(sample_rows(vectors.detach(), self.codebook_size, self.seed))
            flat = nearest_code(vectors, self.codebook)
            indices = flat.view(latents.shape[0], *latents.shape[2:])
            codes = self._lookup(indices)
            losses = self._losses(latents, codes)
            quantized = straight_through(latents, codes)
            if self.training:
                self._set_updates(self._updates + 1)
                self._learn(vectors.detach(), flat)
        return Quantization(quantized, indices, losses)

    @abstractmethod
    def _losses(self, latents: Tensor, codes: Tensor) -> dict[str, Tensor]:
        """The weighted loss terms of latents and their codes, both ``[batch, D, *grid]``."""

    @abstractmethod
    def _learn(self, vectors: Tensor, indices: Tensor) -> None:
        """Update the codebook's state from this batch: vectors ``[N, D]`` and their indices ``[N]``."""

    def _lookup(self, indices: Tensor) -> Tensor:
        return nn.functional.embedding(indices, self.codebook).movedim(-1, 1)

    def _restart_due(self) -> Tensor | None:
        """Numbers of the dead codes, or None when there are none or it is not the time to look."""
        if not self.restart_below or self._updates % self.restart_every:
            return None
        dead = dead_codes(self.average_counts, self.restart_below)
        self.restarts += len(dead)
        return dead if len(dead) else None

    def _replacements(self, vectors: Tensor, how_many: int) -> Tensor:
        return replacements(vectors, how_many, self.seed + 1 + self._updates).to(self.codebook.dtype)

    def _set_updates(self, value: int) -> None:
        self._updates = value
        self.updates.fill_(value)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: object) -> None:
        super()._load_from_state_dict(state_dict, prefix, *rest)
        self._updates = int(self.updates)
