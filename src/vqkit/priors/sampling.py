"""Validated sampling parameters, and drawing indices from the output head."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from vqkit.deprecation import moved, renamed
from vqkit.errors import ConfigError, DataError
from vqkit.priors.conditions import Conditions
from vqkit.priors.filtering import draw, filtered, guided
from vqkit.priors.head import CodebookHead

__getattr__ = moved(__name__, {"held": f"{__name__}:checked_known"})


@final
@dataclass(frozen=True)
class SamplingParams:
    """Checked arguments of ``Prior.sample``. Grids are flat here: n positions of C codebooks.

    Under guidance every grid is there twice in a network's batch: all with their condition, then all without.

    Attributes:
        count: grids to make.
        condition: of each, as ``Conditions.checked`` gives it.
        unconditional: "none" for each, where guidance is used.
        temperature, top_k, top_p: see ``filtered``.
        guidance: see ``guided``; 1: not used.
        generator: of the randomness.
        known: int64 ``[count, n, C]``, indices that are held where ``keep`` is True; None: nothing is held.
        keep: bool ``[count, n]``.

    Example:
        >>> from vqkit.priors import SamplingParams
        >>> SamplingParams(4, temperature=0.9, top_p=0.95).guidance
        1.0
    """

    count: int
    condition: Tensor | None = None
    unconditional: Tensor | None = None
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    guidance: float = 1.0
    generator: torch.Generator | None = None
    known: Tensor | None = None
    keep: Tensor | None = None

    @property
    def free(self) -> Tensor | None:
        """Earlier name of ``unconditional``."""
        renamed("SamplingParams.free", "unconditional")
        return self.unconditional

    @property
    def rows(self) -> int:
        """Grids in a network's batch."""
        return self.count * self.copies

    @property
    def copies(self) -> int:
        """2 under guidance, else 1."""
        return 1 if self.unconditional is None else 2

    @property
    def conditions(self) -> Tensor | None:
        """The condition of every row."""
        if self.condition is None or self.unconditional is None:
            return self.condition
        return torch.cat([self.condition, self.unconditional])

    def parts(self, most_rows: int) -> Iterator[SamplingParams]:
        """The same request in pieces of so many rows, so that a large one takes no more memory than a small one."""
        size = max(1, most_rows // self.copies)
        for start in range(0, self.count, size):
            here = slice(start, start + size)
            yield replace(
                self,
                count=min(size, self.count - start),
                condition=None if self.condition is None else self.condition[here],
                unconditional=None if self.unconditional is None else self.unconditional[here],
                known=None if self.known is None else self.known[here],
                keep=None if self.keep is None else self.keep[here],
            )

    def held(self, indices: Tensor, start: int) -> Tensor:
        """Indices ``[count, w, C]`` of the positions from ``start`` on, with those that are held in their places."""
        if self.keep is None or self.known is None:
            return indices
        here = slice(start, start + indices.shape[1])
        return torch.where(self.keep[:, here, None], self.known[:, here], indices)

    def draw(self, logits: Tensor, noise: Tensor | None = None) -> Tensor:
        """An index ``[rows]`` from each row of logits ``[rows, K]``, with temperature and filters.

        ``noise`` is that of ``vqkit.priors.filtering.noise_like``; None: drawn now.
        """
        kept = filtered(logits, temperature=self.temperature, top_k=self.top_k, top_p=self.top_p)
        return draw(kept, self.generator) if noise is None else (kept - noise).argmax(dim=-1)

    def pick(self, head: CodebookHead, features: Tensor, noise: Tensor | None = None) -> Tensor:
        """Indices ``[rows, C]`` drawn for features ``[rows * copies, F]``, one codebook after another.

        ``noise`` is ``[rows, C, K]``, see ``draw``.
        """
        return self._picked(head, features, None, noise)

    def pick_scored(self, head: CodebookHead, features: Tensor) -> tuple[Tensor, Tensor]:
        """``pick``, and the log-probability ``[rows]`` of what was drawn, before temperature and filters."""
        scores: list[Tensor] = []
        chosen = self._picked(head, features, scores)
        return chosen, torch.stack(scores).sum(dim=0)

    def _picked(
        self, head: CodebookHead, features: Tensor, scores: list[Tensor] | None, noise: Tensor | None = None
    ) -> Tensor:
        rows = len(features) // self.copies
        chosen = torch.zeros(len(features), head.num_codebooks, dtype=torch.int64, device=features.device)
        for codebook, every in enumerate(head(features, chosen)):
            logits = every if self.copies == 1 else guided(every[:rows], every[rows:], self.guidance)
            index = self.draw(logits, None if noise is None else noise[:, codebook])
            chosen.view(self.copies, rows, -1)[:, :, codebook] = index
            if scores is not None:
                scores.append(logits.log_softmax(dim=-1).gather(1, index[:, None])[:, 0])
        return chosen[:rows]


def check_numbers(
    count: int, codebook_size: int, *, temperature: float, top_k: int | None, top_p: float | None, **others: object
) -> None:
    """Raise ``ConfigError`` for a number out of range."""
    del others
    if count < 1:
        raise ConfigError(f"count={count}: give 1 or more")
    if not (0.0 < temperature < math.inf):
        raise ConfigError(f"temperature={temperature}: give a number above 0; 1 samples the prior itself")
    if top_k is not None and not 1 <= top_k <= codebook_size:
        raise ConfigError(f"top_k={top_k}: give 1 to {codebook_size} (the prior's codebook_size), or None for all")
    if top_p is not None and not 0.0 < top_p <= 1.0:
        raise ConfigError(f"top_p={top_p}: give a probability above 0 and at most 1, or None for all")


def check_guidance(
    guidance: float, condition: Tensor | None, conditions: Conditions, unguided: type | None = None
) -> None:
    """Raise ``ConfigError`` for guidance that a prior with these conditions, or of an unguided class, cannot give."""
    if not math.isfinite(guidance):
        raise ConfigError(f"guidance={guidance}: give a finite number; 1 samples with the condition as it is")
    if guidance == 1.0:
        return
    if unguided is not None and conditions:
        raise ConfigError(
            f"guidance={guidance}: {unguided.__name__} does not say that its _sample follows request.guidance; give "
            "guidance=1, or mix request.conditions in _sample (vqkit.priors.guided) and set guides = True"
        )
    if not conditions:
        raise ConfigError(f"guidance={guidance}: this prior has no condition to guide by; give guidance=1")
    if not conditions.dropout:
        raise ConfigError(
            f"guidance={guidance}: this prior was made with condition_dropout=0, so it has not learned the "
            "distribution without a condition that guidance compares with; give guidance=1, or train one with "
            "condition_dropout=0.1"
        )
    if condition is None:
        raise ConfigError(f"guidance={guidance} without a condition: give the condition to guide by, or guidance=1")


def checked_known(
    known: Tensor | None, keep: Tensor | None, count: int, grid: Sequence[int], item_shape: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """``known`` with 0 where it is not held, and ``keep`` as ``[count, n]``; raises unless both are there and fit.

    Raises:
        ConfigError: one of the two is missing.
        DataError: another shape, or a ``keep`` that is not bool.
    """
    if known is None or keep is None:
        lacking, given = ("known", "keep") if known is None else ("keep", "known")
        raise ConfigError(f"{given} is given without {lacking}: known says which indices, keep where they are held")
    if keep.dtype != torch.bool or tuple(keep.shape) != (count, *grid):
        raise DataError(
            f"keep is {keep.dtype} of shape {list(keep.shape)}; give torch.bool of shape {[count, *grid]}: one value "
            f"for each position (grid={list(grid)} in the config)"
        )
    if tuple(known.shape) != (count, *item_shape):
        raise DataError(f"known has shape {list(known.shape)}; give {[count, *item_shape]}, as the result has")
    where = keep.view(count, *grid, *[1] * (len(item_shape) - len(grid))).to(known.device)
    return known.masked_fill(~where, 0), keep.reshape(count, -1)
