"""Forward passes that are computed a second time, in the backward pass: activation checkpointing.

``torch.utils.checkpoint`` keeps no activations of a part of a network and runs its forward pass again when gradients
are due. What learns in the forward pass, as a codebook by moving averages, must not learn twice, and the second run has
to see the state that the first one saw. A ``Replay`` keeps that state for the second run; without checkpointing it
keeps nothing and costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor

_MOST, _BYTES = 64, 1 << 29
"""Passes, and bytes of their states, that are remembered before their backward pass."""


def recomputing() -> bool:
    """Whether this forward pass runs inside a backward pass: again, for its gradients."""
    return not torch.compiler.is_compiling() and int(torch._C._current_graph_task_id()) != -1


def may_be_recomputed() -> bool:
    """Whether this forward pass may run again: under hooks for saved tensors, or without a graph of its own."""
    if torch.compiler.is_compiling():
        return False
    autograd: Any = torch._C._autograd
    return not torch.is_grad_enabled() or autograd._top_saved_tensors_default_hooks(False) is not None


@final
class Replay:
    """The states that forward passes saw, each found again by what was passed in."""

    def __init__(self) -> None:
        self._kept: list[tuple[tuple[int, ...], Tensor, list[Tensor], list[bool]]] = []

    def keep(self, given: Tensor, state: Sequence[Tensor]) -> None:
        """Remember copies of the state for the pass over ``given``, if it may run again."""
        if self._kept:
            self._kept = [each for each in self._kept if not each[3]]  # those that ran again are done
        if not may_be_recomputed():
            return
        self._kept.append((tuple(given.shape), _mark(given), [each.detach().clone() for each in state], []))
        size = sum(each.numel() * each.element_size() for each in state)
        del self._kept[: max(0, len(self._kept) - max(2, min(_MOST, _BYTES // max(size, 1))))]

    @torch.no_grad()
    def recall(self, given: Tensor) -> list[Tensor]:
        """The state that the first pass over ``given`` saw; of several the latest that has not run again.

        Raises:
            RuntimeError: no such pass is remembered.
        """
        mark, best, least = _mark(given), None, float("inf")
        for again in (False, True):
            for each in reversed(self._kept):
                if each[0] == tuple(given.shape) and bool(each[3]) == again:
                    distance = float((each[1] - mark).abs().sum())
                    if best is None or distance < least:
                        best, least = each, distance
            if best is not None and least == 0:
                break
        if best is None:
            raise RuntimeError(
                "a quantizer's forward pass is computed again for its gradients, and the state that it saw is no "
                f"longer remembered: more than {_MOST} passes (or {_BYTES >> 20} MiB of codebooks) lie between the "
                "two; run the backward pass sooner, or leave the quantizer out of the checkpointed part"
            )
        best[3].append(True)
        return best[2]

    def __reduce__(self) -> tuple[type[Replay], tuple[()]]:
        return Replay, ()


def _mark(given: Tensor) -> Tensor:
    """A few sums that tell one batch from another."""
    values = given.detach().double().reshape(-1)
    steps = torch.arange(1, len(values) + 1, device=values.device, dtype=values.dtype)
    return torch.stack([values.sum(), values.abs().sum(), values @ steps / max(len(values), 1)])
