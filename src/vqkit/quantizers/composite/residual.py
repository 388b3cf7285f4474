"""Residual quantisation: each codebook quantises what the ones before it have left (Juang and Gray 1982)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from vqkit.errors import ConfigError
from vqkit.ops import straight_through
from vqkit.ops.precision import at_least_float32
from vqkit.quantizers.base import Quantization, Quantizer, mean_losses
from vqkit.quantizers.candidates import nearest_sums
from vqkit.quantizers.codebook.base import CodebookQuantizer
from vqkit.quantizers.codebook.restart import initialize_from
from vqkit.quantizers.composite.weighing import weighing_bits
from vqkit.spelling import setting


@final
class ResidualQuantizer(Quantizer):
    """The codeword is a sum: ``quantized = q_1(z) + q_2(z - q_1) + ...`` (SoundStream, arXiv 2107.03312, algorithm 1).

    C codebooks of K codes cost ``C log2 K`` bits a position, and the first m of them alone are a coarser code of
    ``m log2 K`` bits. With quantizer dropout one model serves every such rate: in training each signal uses a random
    number of codebooks, and the indices of those it leaves out are -1, which ``lookup`` takes as "nothing".
    ``lookup`` also takes indices of the first m codebooks only.

    Indices are ``[batch, *grid, C]``; each loss is the mean over the stages. The gradient with respect to the latents
    is the identity (for Gumbel and index back-propagation stages: the sum of theirs).

    Args:
        stages: two or more quantizers, equal in codebook size and dimension.
        dropout: the probability that a signal of a training batch uses fewer than all codebooks (then 1 to C - 1,
            equally likely).
        dropout_codebooks: numbers of codebooks that are drawn from instead, each at least 1 and below C: the rates
            that the model is to serve besides its highest.
        rate_weight_range: lowest and highest ``rate_weight``: each training batch draws one for all its stages, evenly
            on a logarithmic scale, so that one model serves every rate between; codebooks that one high weight would
            leave unused learn from the low ones. Evaluation keeps the ``rate_weight`` of the stages.

    Raises:
        ConfigError: fewer stages, stages of different sizes, stages on a sphere, a dropout outside [0, 1], or no such
            numbers of codebooks; or a range of rate weights that is none, or stages that weigh no bits.

    Example:
        >>> import torch
        >>> from vqkit.quantizers import EMAVectorQuantizer, ResidualQuantizer
        >>> layer = ResidualQuantizer([EMAVectorQuantizer(16, 8) for _ in range(3)])
        >>> layer(torch.randn(2, 8, 4, 4)).indices.shape
        torch.Size([2, 4, 4, 3])
    """

    nested = True

    def __init__(
        self,
        stages: Sequence[Quantizer],
        *,
        dropout: float = 0.0,
        dropout_codebooks: Sequence[int] | None = None,
        rate_weight_range: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        sizes = {(stage.codebook_size, stage.code_dim) for stage in stages}
        if len(stages) < 2 or len(sizes) != 1:
            raise ConfigError(f"{len(stages)} residual stages of sizes {sorted(sizes)}: give 2 or more, equal")
        if any(getattr(stage, "cosine", False) for stage in stages):
            raise ConfigError("cosine=true: residuals have lengths, which codes on a sphere cannot follow")
        if not 0 <= dropout <= 1:
            raise ConfigError(f"{setting('quantizer_dropout', dropout)}: a probability lies in [0, 1]")
        fewer = None if dropout_codebooks is None else sorted(set(dropout_codebooks))
        if fewer is not None and (not fewer or not 1 <= fewer[0] <= fewer[-1] < len(stages)):
            raise ConfigError(
                f"{setting('dropout_codebooks', fewer)}: of {len(stages)} codebooks give numbers from 1 to "
                f"{len(stages) - 1}, those that a signal may use besides all"
            )
        if fewer is not None and not dropout:
            raise ConfigError(
                f"{setting('dropout_codebooks', fewer)}: give {setting('quantizer_dropout', 0.5)} too, the probability"
            )
        if rate_weight_range is not None:
            low, high = rate_weight_range if len(rate_weight_range) == 2 else (0.0, 0.0)
            if not 0 < low <= high < math.inf:
                raise ConfigError(
                    f"{setting('rate_weight_range', list(rate_weight_range))}: give the lowest and the highest rate "
                    "weight, both above 0"
                )
            if not all(isinstance(stage, CodebookQuantizer) for stage in stages):
                raise ConfigError(
                    f"{setting('rate_weight_range', list(rate_weight_range))}: these quantizers have no codebook that "
                    "could weigh bits"
                )
        self.rate_weight_range = None if rate_weight_range is None else (low, high)
        for stage in stages:
            stage.join_residual()
            stage.channels_first = True
        self.stages = nn.ModuleList(stages)
        self.dropout = dropout
        self.dropout_codebooks = fewer
        self.num_codebooks = len(stages)
        self.codebook_size = stages[0].codebook_size
        self.code_dim = stages[0].code_dim

    @property
    def restarts(self) -> int:
        """Codes restarted so far, in all codebooks."""
        return sum(stage.restarts for stage in self._quantizers())

    @restarts.setter
    def restarts(self, value: int) -> None:
        for number, stage in enumerate(self._quantizers()):
            stage.restarts = value if number == 0 else 0

    @property
    def initialized(self) -> bool:
        """See ``Quantizer.initialized``."""
        return all(stage.initialized for stage in self._quantizers())

    @property
    def fixed_scale(self) -> bool:  # type: ignore[override]
        """See ``Quantizer.fixed_scale``."""
        return bool(self._quantizers()[0].fixed_scale)

    @torch.no_grad()
    def initialize(self, vectors: Tensor) -> None:
        """Set each codebook from what the ones before it leave of the latents ``[N, code_dim]``."""
        vectors = self._bounded(at_least_float32(vectors))
        for number, stage in enumerate(self._quantizers()):
            gain = self._gain(number, vectors)
            if not stage.initialized and not stage.frozen:
                stage.initialize(vectors * gain)
            vectors = vectors - self._codes_of(number, stage.encode(vectors * gain))

    def forward(self, latents: Tensor, mask: Tensor | None = None) -> Quantization:
        """See ``Quantizer.forward``."""
        latents = self.validate(latents, mask)
        with torch.autocast(latents.device.type, enabled=False):
            if self.training and not self.initialized:
                initialize_from(self, latents.detach(), mask)
            latents = self._bounded(latents)
            stages = self._quantizers()
            used = self._used(latents)
            left, total, soft, indices, losses = latents, None, None, [], []
            weight = self._drawn_weight()
            for number, stage in enumerate(stages):
                gain = self._gain(number, latents)
                on = None if used is None else (used > number).view(-1, *[1] * (latents.ndim - 2))
                kept = mask if on is None else on.expand_as(latents[:, 0]) & (True if mask is None else mask)
                with weighing_bits([stage], weight):
                    found = stage(left * gain, kept)
                codes, number_of = found.quantized / gain, found.indices
                if on is not None:
                    codes = torch.where(on.unsqueeze(1), codes, codes.new_zeros(()))
                    number_of = torch.where(on, number_of, -1)
                total = codes if total is None else total + codes
                left = left - codes.detach()
                indices.append(number_of)
                losses.append(found.losses)
            assert total is not None
            soft = total if stages[0].learns_from_output else straight_through(latents, total.detach())
            means = mean_losses(losses)
        return Quantization(soft, torch.stack(indices, dim=-1), means)

    def encode(self, latents: Tensor) -> Tensor:
        """Indices ``[batch, *grid, C]``."""
        return self.encode_first(latents, None)

    @torch.no_grad()
    def encode_first(self, latents: Tensor, codebooks: int | None) -> Tensor:
        """See ``EncodesFirst``."""
        self.check_latents(latents)
        with torch.autocast(latents.device.type, enabled=False):
            left = self._bounded(at_least_float32(latents))
            found: list[Tensor] = []
            for number, stage in enumerate(self._quantizers()[:codebooks]):
                if number:
                    left = left - self._codes_of(number - 1, found[-1])
                found.append(stage.encode(left * self._gain(number, left)))
        return torch.stack(found, dim=-1)

    def lookup(self, indices: Tensor) -> Tensor:
        """Codewords ``[batch, code_dim, *grid]`` of indices ``[batch, *grid, m]``, m <= C; -1 adds nothing.

        Raises:
            ValueError: more codebooks than there are, or an index outside ``[-1, codebook_size)``.
        """
        if indices.ndim < 2 or not 1 <= indices.shape[-1] <= self.num_codebooks:
            raise ValueError(
                f"indices have shape {tuple(indices.shape)}; the last axis is 1 to {self.num_codebooks} codebooks"
            )
        total = None
        for number in range(indices.shape[-1]):
            own = indices[..., number]
            on = own >= 0 if own.dtype != torch.bool else own
            codes = self._codes_of(number, torch.where(own == -1, 0, own))
            codes = torch.where(on.unsqueeze(1), codes, codes.new_zeros(()))
            total = codes if total is None else total + codes
        assert total is not None
        return total

    @torch.no_grad()
    def candidates(self, vectors: Tensor, count: int, width: int | None = None) -> tuple[Tensor, Tensor]:
        """See ``ListsCandidates``: sums of codewords, whatever each stage alone would choose."""
        every = torch.arange(self.codebook_size, device=vectors.device)
        codewords = torch.stack([self._codes_of(number, every) for number in range(self.num_codebooks)])
        return nearest_sums(self._bounded(at_least_float32(vectors)), codewords, count, width)

    def place(self, latents: Tensor) -> Tensor:
        """See ``Quantizer.place``: where the stages, whose sum is compared with it, see them."""
        return self._bounded(at_least_float32(latents))

    def _codes_of(self, number: int, indices: Tensor) -> Tensor:
        codes: Tensor = self._quantizers()[number].lookup(indices)
        return codes / self._gain(number, codes)

    def _bounded(self, latents: Tensor) -> Tensor:
        """Latents where all stages see them: bounded once, where the stages bound them at all."""
        bounded: Tensor = self._quantizers()[0].residual_start(latents)
        return bounded

    def _gain(self, number: int, like: Tensor) -> Tensor | float:
        """By how much a stage magnifies what is left: nothing where codebooks learn their scale."""
        gain: Tensor | float = self._quantizers()[number].residual_gain(like)
        return gain**number

    def _drawn_weight(self) -> float | None:
        """The rate weight of this training batch; None: that of each stage."""
        if not self.training or self.rate_weight_range is None:
            return None
        low, high = self.rate_weight_range
        return low * (high / low) ** float(torch.rand(()))

    def _used(self, latents: Tensor) -> Tensor | None:
        """``[batch]``: how many codebooks each signal uses; None for all."""
        if not self.training or not self.dropout:
            return None
        if self.dropout_codebooks is None:
            fewer = torch.randint(1, self.num_codebooks, (len(latents),), device=latents.device)
        else:
            choices = torch.tensor(self.dropout_codebooks, device=latents.device)
            fewer = choices[torch.randint(len(choices), (len(latents),), device=latents.device)]
        drop = torch.rand(len(latents), device=latents.device) < self.dropout
        return torch.where(drop, fewer, self.num_codebooks)

    def _quantizers(self) -> list[Any]:
        return list(self.stages)
