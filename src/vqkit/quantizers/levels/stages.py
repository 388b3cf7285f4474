"""Stages of levels, coarse to fine: one quantizer each, of which the first ones alone are a coarser code."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vqkit.errors import ConfigError
from vqkit.quantizers.base import Quantizer


class LevelStages(Quantizer, ABC):
    """A quantizer for each level, equal in codebook size and dimension (D); all indices of a cell at one position.

    Args:
        stages: of the levels.
        scales: positions of each level on each axis of a cell, ascending.
        axes: of the cells.
        dropout: the probability that a signal of a training batch uses the first levels only (1 to all but one,
            equally likely); indices of the others are -1, which ``lookup`` takes as "nothing".

    Raises:
        ConfigError: other numbers of stages and scales, stages of different sizes, or a value out of range.
    """

    nested = True
    level_codebooks: tuple[int, ...]
    """Indices of each level in a cell."""

    def __init__(self, stages: Sequence[Quantizer], scales: Sequence[int], axes: int, dropout: float) -> None:
        super().__init__()
        scales = tuple(scales)
        if len(scales) < 2 or scales[0] < 1 or list(scales) != sorted(set(scales)):
            raise ConfigError(f"scales={list(scales)}: give 2 or more, ascending, e.g. 1 2 4")
        if len(stages) != len(scales):
            raise ConfigError(f"{len(stages)} stages for {len(scales)} scales: give one for each level")
        sizes = {(stage.codebook_size, stage.code_dim, stage.num_codebooks) for stage in stages}
        if len(sizes) != 1 or stages[0].num_codebooks != 1:
            raise ConfigError(f"levels of sizes {sorted(sizes)}: give equal ones, each of one codebook")
        if not 1 <= axes <= 3:
            raise ConfigError(f"axes={axes}: levels are of signals with 1 to 3 axes")
        if not 0 <= dropout <= 1:
            raise ConfigError(f"dropout={dropout}: a probability lies in [0, 1]")
        for stage in stages:
            stage.channels_first = True
        self.stages = nn.ModuleList(stages)
        self.scales, self.axes, self.dropout = scales, axes, dropout
        self.cell = scales[-1]
        self.level_codebooks = self.indices_of_levels()
        self.num_codebooks = sum(self.level_codebooks)
        self.codebook_size = stages[0].codebook_size
        self.level_dim = stages[0].code_dim
        self.code_dim = self.level_dim * self.cell**axes

    @abstractmethod
    def indices_of_levels(self) -> tuple[int, ...]:
        """Return how many indices of a cell each level has."""

    @property
    def trained_codebooks(self) -> list[int]:
        """Return the numbers of codebooks that signals of a training use, in ascending order: whole levels."""
        every = list(itertools.accumulate(self.level_codebooks))
        return every if self.dropout else every[-1:]

    @property
    def restarts(self) -> int:
        """Codes restarted so far, in all levels."""
        return sum(stage.restarts for stage in self._quantizers())

    @restarts.setter
    def restarts(self, value: int) -> None:
        for number, stage in enumerate(self._quantizers()):
            stage.restarts = value if number == 0 else 0

    @property
    def initialized(self) -> bool:
        """See ``Quantizer.initialized``."""
        return all(stage.initialized for stage in self._quantizers())

    def encode(self, latents: Tensor) -> Tensor:
        """Indices ``[batch, *coarse, C]``."""
        return self.encode_first(latents, None)

    @abstractmethod
    def encode_first(self, latents: Tensor, codebooks: int | None) -> Tensor:
        """See ``EncodesFirst``."""

    def whole_indices(self, indices: Tensor) -> Tensor:
        """Return indices ``[batch, *coarse, C]`` of those of the first codebooks; -1 for the others.

        Raises:
            ValueError: more codebooks than there are, or no indices.
        """
        if indices.ndim < 2 or not 1 <= indices.shape[-1] <= self.num_codebooks:
            raise ValueError(
                f"indices have shape {tuple(indices.shape)}; the last axis is 1 to {self.num_codebooks} codebooks"
            )
        whole = torch.full((*indices.shape[:-1], self.num_codebooks), -1, dtype=torch.int64, device=indices.device)
        if indices.dtype == torch.bool or indices.is_floating_point():
            self.check_indices(indices)
        whole[..., : indices.shape[-1]] = indices
        return whole

    def _used(self, latents: Tensor) -> Tensor | None:
        """``[batch]``: how many levels each signal uses; None for all."""
        if not self.training or not self.dropout:
            return None
        fewer = torch.randint(1, len(self.scales), (len(latents),), device=latents.device)
        drop = torch.rand(len(latents), device=latents.device) < self.dropout
        return torch.where(drop, fewer, len(self.scales))

    def _quantizers(self) -> list[Any]:
        return list(self.stages)


def codes_of(stage: Quantizer, indices: Tensor) -> Tensor:
    """Codewords ``[batch, D, *grid]`` of indices ``[batch, *grid]``; zeros where an index is -1."""
    found = stage.lookup(torch.where(indices == -1, 0, indices))
    return torch.where((indices >= 0).unsqueeze(1), found, found.new_zeros(()))
