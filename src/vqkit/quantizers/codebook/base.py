"""Base of quantizers with an explicit codebook: search, lookup, initialization, restart of dead codes."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from vqkit.errors import ConfigError
from vqkit.ops import GRADIENTS, index_histogram, nearest_code, on_sphere, rotation, soft_assignment, straight_through
from vqkit.ops.collectives import global_rows
from vqkit.ops.precision import at_least_float32
from vqkit.ops.reproducible import is_reproducible, reproducible_sum
from vqkit.quantizers.base import (
    Quantization,
    Quantizer,
    flatten_grid,
    masked_mean,
    unflatten_grid,
)
from vqkit.quantizers.codebook.learning import joined, learn_in_graph, register
from vqkit.quantizers.codebook.restart import dead_codes, draw, first_codebook, initialize_from, replacements
from vqkit.quantizers.entropy import entropy_losses, position_weights
from vqkit.quantizers.replay import Replay, recomputing
from vqkit.seeds import check_seed, later_seed

_USES = 10.0
_PROBATION = 0.5
"""Of the average use, with which a restarted code begins: too little of its own, and it is moved again soon."""
_FEW_CODES, _RESERVOIR = 4096, 32_768
_SELDOM = 0.02
"""Of the average use, added to that of each code before its bits are counted."""
_TURNS = 16
"""Batches that a full reservoir remembers, at least."""


class CodebookQuantizer(Quantizer, ABC):
    """A table of codewords ``[K, D]``, searched for the nearest.

    Subclasses say what the table is and how it learns. The state kept here: running counts of how often each code is
    chosen, the number of updates (-1 until the first values are set), and a reservoir of recent latents.

    Args:
        codebook_size: K, at least 2.
        code_dim: D.
        beta: weight of the commitment loss, on the encoder's side.
        cosine: latents and codewords lie on the sphere of radius ``sqrt(D)``; the nearest is the nearest by angle.
        gradient: ``"straight_through"``, or ``"rotation"`` (see ``ops.rotation``).
        entropy_weight: of the entropy penalty on ``softmax(-|z - e|^2 / (2 temperature))``; 0 has none. It costs
            several times the search (``ops.soft_assignment``).
        temperature: of that softmax, in the units of a squared distance.
        restart_below: a code used less than this fraction of the average code is moved to a random recent latent; 0
            never restarts.
        restart_every: updates between two looks for such codes.
        reservoir: how many recent latents are kept to choose from; 0 chooses from the current batch; None keeps 32,768
            for codebooks of more than 4,096 codes, where many codes restart at once, and 0 for others.
        rate_weight: the squared distance that one bit is worth: codes are chosen by |z - e_k|^2 + rate_weight bits_k,
            bits_k being -log2 of how often code k is used (entropy-constrained vector quantisation: Chou, Lookabaugh
            and Gray 1989). The indices then cost fewer bits under an entropy coder, and are used less evenly. It may
            also be set on a trained quantizer, for a lower rate. 0: the nearest code.
        seed: of k-means and restarts.

    Raises:
        ConfigError: when a number is out of its range.
    """

    recalibrates = True
    codebook: Tensor
    uses: Tensor
    updates: Tensor
    reservoir: Tensor
    remembered: Tensor
    restarted: Tensor | None = None

    def __init__(
        self,
        codebook_size: int,
        code_dim: int,
        *,
        beta: float,
        cosine: bool,
        gradient: str,
        entropy_weight: float,
        temperature: float,
        restart_below: float,
        restart_every: int,
        reservoir: int | None,
        seed: int,
        rate_weight: float = 0.0,
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
        if cosine and code_dim < 2:
            raise ConfigError(f"cosine=true with code_dim={code_dim}: an angle needs codes of at least 2 numbers")
        if gradient not in GRADIENTS:
            raise ConfigError(f"gradient={gradient!r} is unknown; choose one of: {', '.join(GRADIENTS)}")
        if not (entropy_weight >= 0 and temperature > 0):
            raise ConfigError(
                f"entropy_weight={entropy_weight}, temperature={temperature}: the weight is 0 or more, the temperature "
                "is above 0"
            )
        if reservoir is None:
            reservoir = 0 if codebook_size <= _FEW_CODES else _RESERVOIR
        if reservoir < 0:
            raise ConfigError(f"reservoir={reservoir}: the number of recent latents to keep is 0 or more")
        if not 0 <= rate_weight < math.inf:
            raise ConfigError(f"rate_weight={rate_weight}: give 0 or more, the squared distance that one bit is worth")
        self.rate_weight = rate_weight
        self.codebook_size = codebook_size
        self.code_dim = code_dim
        self.beta = beta
        self.cosine = cosine
        self.gradient = gradient
        self.entropy_weight = entropy_weight
        self.temperature = temperature
        self.restart_below = restart_below
        self.restart_every = restart_every
        self.seed = check_seed(seed)
        self.register_buffer("uses", torch.ones(codebook_size))
        self.register_buffer("updates", torch.tensor(-1, dtype=torch.int64))
        self.register_buffer("reservoir", torch.zeros(reservoir if restart_below else 0, code_dim))
        self.register_buffer("remembered", torch.tensor(0, dtype=torch.int64))
        self._updates = -1
        self._ready = False
        self._remembered = 0
        self._number = register(self)
        self.recalibrating = False
        self._replay = Replay()
        self._past: list[Tensor] | None = None  # what codebook and uses were, in a forward pass that runs again

    @abstractmethod
    def table(self) -> Tensor:
        """The codewords ``[K, D]`` as they are now, with a gradient where they learn by one."""

    @abstractmethod
    def set_table(self, codewords: Tensor, counts: Tensor) -> None:
        """Start from codewords ``[K, D]`` and running counts ``[K]``."""

    @abstractmethod
    def learn(self, vectors: Tensor, indices: Tensor, keep: Tensor | None) -> None:
        """Update the codebook's state from this batch: see ``Learner.learn``; in training, after the search."""

    @abstractmethod
    def _losses(self, latents: Tensor, codes: Tensor, mask: Tensor | None) -> dict[str, Tensor]:
        """The weighted loss terms of latents and their codes, both ``[batch, D, *grid]``."""

    def per_code(self) -> list[Tensor]:
        """Return the tensors with a row per code, ``[K, ...]`` each: a restart renews rows of all of them."""
        return [self.uses]

    @abstractmethod
    def changes(self) -> list[Tensor]:
        """Every tensor that ``learn`` may write to."""

    def _statistics(self) -> list[Tensor]:
        return [self.uses, self.updates, self.reservoir, self.remembered]

    @property
    def _learns(self) -> bool:
        """Whether the codebook may move; running counts follow it, and stay with it."""
        return not self.frozen

    @property
    def initialized(self) -> bool:
        """Whether k-means (or a loaded state) has set the codebook."""
        return self._ready

    @torch.no_grad()
    def initialize(self, vectors: Tensor) -> None:
        """Set the first codebook by k-means on latent vectors ``[N, code_dim]``."""
        vectors = vectors.to(self.uses.dtype)
        centers, counts = first_codebook(on_sphere(vectors) if self.cosine else vectors, self.codebook_size, self.seed)
        weights = counts.to(vectors.dtype).clamp_min(1.0)
        self.set_codebook(centers, weights / weights.mean())

    @torch.no_grad()
    def set_codebook(self, codebook: Tensor, counts: Tensor | None = None) -> None:
        """Start from given codewords ``[K, D]`` and running counts ``[K]`` (default: one each)."""
        self.uses.copy_(torch.ones_like(self.uses) if counts is None else counts)
        self.set_table(on_sphere(codebook) if self.cosine else codebook, self.uses)
        self._set_updates(0)

    def chosen(self, vectors: Tensor, table: Tensor) -> Tensor:
        """The code ``[N]`` of each latent vector ``[N, D]``: the nearest one, or with ``rate_weight`` the cheapest.

        The bits of a code are one more coordinate, in which latents are 0: so both are the same exact search.
        """
        if not self.rate_weight:
            return nearest_code(vectors, table)
        more = (self.rate_weight * self.code_bits()).sqrt().to(table.dtype).unsqueeze(1)
        return nearest_code(functional.pad(vectors, (0, 1)), torch.cat([table, more], dim=1))

    def code_bits(self) -> Tensor:
        """-log2 of how often each code is used, ``[K]``; a code that is not used counts as one used very seldom."""
        seldom = (self.uses if self._past is None else self._past[1]) + _SELDOM
        return torch.log2((reproducible_sum(seldom, dim=0) if is_reproducible(self) else seldom.sum()) / seldom)

    def encode(self, latents: Tensor) -> Tensor:
        """See ``Quantizer.encode``."""
        self.check_latents(latents)
        with torch.no_grad(), torch.autocast(latents.device.type, enabled=False):
            vectors = flatten_grid(self.place(latents))
            return self.chosen(vectors, self.table()).view(latents.shape[0], *latents.shape[2:])

    def lookup(self, indices: Tensor) -> Tensor:
        """See ``Quantizer.lookup``."""
        with torch.autocast(indices.device.type, enabled=False):
            return self._lookup(self.check_indices(indices), self.table())

    def forward(self, latents: Tensor, mask: Tensor | None = None) -> Quantization:
        """See ``Quantizer.forward``. Runs in float32 under autocast (float64 stays float64)."""
        latents = self.validate(latents, mask)
        with torch.autocast(latents.device.type, enabled=False):
            latents = self.place(latents)
            vectors = flatten_grid(latents)
            keep = None if mask is None else mask.reshape(-1)
            again = self.training and recomputing()
            if again:
                self._past = self._replay.recall(vectors)
            elif self.training:
                if not self.initialized:
                    initialize_from(self, latents.detach(), mask, self.seed)
                if not self.recalibrating:
                    self._replay.keep(vectors, [self.codebook, self.uses])
            try:
                table = self.table()
                flat = self.chosen(vectors.detach(), table.detach())
                codes = unflatten_grid(nn.functional.embedding(flat, table), latents)
                losses = self._losses(latents, codes, mask)
                quantized, more = self._estimate(latents, vectors, table, codes, flat, keep)
            finally:
                self._past = None
            losses.update(more)
            if self.training and self.initialized and self._learns and not again:
                if self.seen is not None:
                    self.seen.append((vectors.detach(), flat, keep))
                elif torch.compiler.is_compiling():
                    learn_in_graph(self._number, vectors.detach(), flat, keep, self.changes())
                else:
                    self.learn(vectors.detach(), flat, keep)
        return Quantization(quantized, flat.view(latents.shape[0], *latents.shape[2:]), losses)

    def learn_seen(self, seen: list[tuple[Tensor, Tensor | None, Tensor | None]]) -> None:
        """See ``Quantizer.learn_seen``."""
        vectors, indices, keep = (joined(each) for each in zip(*seen, strict=True))
        assert vectors is not None
        assert indices is not None
        self.learn(vectors, indices, keep)

    def _estimate(
        self, latents: Tensor, vectors: Tensor, table: Tensor, codes: Tensor, indices: Tensor, keep: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The codes with their gradient, and the entropy penalty."""
        quantized = rotation(latents, codes) if self.gradient == "rotation" else straight_through(latents, codes)
        if not self.entropy_weight:
            return quantized, {}
        return quantized, self._soft(vectors, table, table[:, :0], indices, keep)[1]

    def _soft(
        self, vectors: Tensor, table: Tensor, values: Tensor, indices: Tensor, keep: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The chosen values ``[N, V]`` with a gradient through all codes' probabilities, and the entropy penalty."""
        dtype = values.dtype
        table, values = at_least_float32(table), at_least_float32(values)
        vectors = vectors.to(table.dtype)
        weights, count = position_weights(keep, vectors)
        soft = soft_assignment(
            vectors,
            table,
            values,
            offsets=-0.5 * table.square().sum(dim=1),
            indices=indices,
            weights=weights,
            temperature=self.temperature,
        )
        losses = {}
        if self.entropy_weight:
            losses = entropy_losses(
                soft.entropy,
                soft.mean_probabilities,
                count,
                self.entropy_weight,
                diversity=1.0,
                reduce_over_ranks=self.training,
            )
        return soft.quantized.to(dtype), losses

    def _commitment(self, latents: Tensor, codes: Tensor, mask: Tensor | None) -> Tensor:
        return self.beta * masked_mean((latents - codes.detach()).square(), mask, reduce_over_ranks=self.training)

    def place(self, latents: Tensor) -> Tensor:
        """See ``Quantizer.place``."""
        latents = at_least_float32(latents)
        return on_sphere(latents, reproducible=is_reproducible(self)) if self.cosine else latents

    def _lookup(self, indices: Tensor, table: Tensor) -> Tensor:
        return nn.functional.embedding(indices, table).movedim(-1, 1)

    def _counted(self, vectors: Tensor, indices: Tensor, keep: Tensor | None) -> tuple[Tensor, Tensor]:
        """One more update begins: the vectors that count in it, and their indices."""
        self._set_updates(self._updates + 1)
        self.restarted = None
        if keep is not None:
            vectors, indices = vectors[keep], indices[keep]
        on_cpu = vectors.device.type == "cpu"
        if on_cpu and bool(torch.isfinite(vectors.sum())):  # a sum over everything costs less than a look at each
            return vectors, indices
        sound = torch.isfinite(vectors).all(dim=1)
        if not on_cpu:  # without waiting for the device
            return torch.where(sound.unsqueeze(1), vectors, vectors.new_zeros(())), indices
        return vectors[sound], indices[sound]

    def _count_uses(self, counts: Tensor) -> None:
        """Take counts ``[K]`` of all processes into ``uses``, whose mean is 1.

        The average reaches back 100 updates, or ten uses of the average code where that is longer: with less, a code
        of a large codebook would often be taken for dead by chance. At first it reaches back less, as the moving
        averages of a codebook do: while the encoder still moves fast, codes had better follow it than be judged well.
        """
        total = counts.sum()
        per_code = total / self.codebook_size
        start = 0.0 if self.recalibrating else 1 - self._updates / (9 + self._updates)
        weight = (per_code / _USES).clamp_max(0.01).clamp_min(start)
        self.uses.lerp_(counts / per_code.clamp_min(1e-12), weight * (total > 0))

    def _histogram(self, indices: Tensor) -> Tensor:
        return index_histogram(indices, self.codebook_size).to(self.uses.dtype)

    def _restart_due(self, vectors: Tensor) -> Tensor | None:
        """Numbers of the codes to restart, or None when there are none or it is not the time to look.

        No more than there are latents to move them to: two codes in one place would be one.
        """
        if not self.restart_below or self._updates % self.restart_every:
            return None
        dead = dead_codes(self.uses, self.restart_below)
        if not len(dead):
            return None
        places = min(len(self.reservoir), self._remembered) or global_rows(vectors)[1]
        if len(dead) > places:
            dead = dead[self.uses[dead].argsort(stable=True)[:places]].sort().values
        if not len(dead):
            return None
        self.uses[dead] = _PROBATION * self.uses.mean()
        self.restarted = dead
        self.restarts += len(dead)
        return dead

    def _remember(self, vectors: Tensor) -> None:
        """Let vectors of this batch take the oldest places of the reservoir, the same on every process."""
        size = len(self.reservoir)
        if not size:
            return
        share = min(max(1, size // _TURNS), global_rows(vectors)[1])
        if share == 0:
            return
        seen = self._remembered
        places = torch.arange(seen, seen + share, device=vectors.device) % size
        self.reservoir[places] = replacements(vectors, share, later_seed(self.seed, self._updates)).to(
            self.reservoir.dtype
        )
        self._remembered = seen + share
        self.remembered.fill_(self._remembered)

    def _replacements(self, vectors: Tensor, how_many: int) -> Tensor:
        filled = min(len(self.reservoir), self._remembered)
        seed = later_seed(self.seed, 1 + self._updates)
        if not filled:
            return replacements(vectors, how_many, seed).to(self.uses.dtype)
        return self.reservoir[draw(filled, how_many, seed).to(self.reservoir.device)]

    def _set_updates(self, value: int) -> None:
        self._updates, self._ready = value, value >= 0
        self.updates.fill_(value)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *rest)
        self._updates, self._remembered = int(self.updates), int(self.remembered)
        self._ready = self._updates >= 0

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._number = register(self)  # a copy learns for itself
