"""A codebook's own learning as one node of a compiled graph.

What happens after the codes are chosen (moving averages, restarts of dead codes, messages between processes) depends on
the data in ways that no graph can hold. Compiled code therefore calls one opaque operation, which finds its quantizer
by number; eager code calls the quantizer's method directly.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from vqkit.deprecation import moved
from vqkit.quantizers.base import Quantizer

__getattr__ = moved(__name__, {"steady": f"{__name__}:clone_for_backward"})


class Learner(Protocol):
    """A quantizer that learns from the latents it has just quantised."""

    def learn(self, vectors: Tensor, indices: Tensor, keep: Tensor | None) -> None:
        """Update buffers from vectors ``[N, D]``, their indices ``[N]`` and which of them count ``[N]``."""
        ...

    def changes(self) -> list[Tensor]:
        """Every tensor that ``learn`` may write to."""
        ...


_learners: weakref.WeakValueDictionary[int, Learner] = weakref.WeakValueDictionary()
_numbers = itertools.count()


def register(learner: Learner) -> int:
    """A number by which the operation finds this quantizer in this process."""
    number = next(_numbers)
    _learners[number] = learner
    return number


def learn_in_graph(
    number: int, vectors: Tensor, indices: Tensor, keep: Tensor | None, changes: Sequence[Tensor]
) -> None:
    """``learn`` of the quantizer with this number; ``changes`` are its ``changes()``."""
    torch.ops.vqkit.learn_codes(vectors, indices, keep, list(changes), number)


@contextmanager
def whole_batch(module: nn.Module) -> Iterator[None]:
    """Let the parts of a batch, each a forward pass within the block, teach codebooks at its end, as the whole would.

    For gradient accumulation: codes are the same for all parts, and running averages and restarts are of all latents
    together. A codebook without first values takes them from the first part.

    Args:
        module: a quantizer, or a network with some in it.

    Example:
        >>> import torch
        >>> from vqkit.quantizers import EMAVectorQuantizer, whole_batch
        >>> layer = EMAVectorQuantizer(16, 4)
        >>> with whole_batch(layer):
        ...     for part in torch.randn(64, 4).chunk(2):
        ...         loss = layer(part).loss / 2
        >>> int(layer.updates)
        1
    """
    quantizers = [each for each in module.modules() if isinstance(each, Quantizer)]
    for each in quantizers:
        each.seen = []
    try:
        yield
        for each in quantizers:
            if each.seen:
                each.learn_seen(each.seen)
    finally:
        for each in quantizers:
            each.seen = None


def joined(parts: Sequence[Tensor | None]) -> Tensor | None:
    """The parts of a batch as one tensor; None where there are none."""
    there = [part for part in parts if part is not None]
    return torch.cat(there) if there else None


def clone_for_backward(tensor: Tensor) -> Tensor:
    """A copy for the backward pass, with a gradient: what learning writes to ``tensor`` later does not reach it.

    In a compiled graph it is an operation of its own, since a plain copy would be made anew in the backward pass, from
    what learning has left.
    """
    found: Tensor = torch.ops.vqkit.steady(tensor) if torch.compiler.is_compiling() else tensor.clone()
    return found


@torch.library.custom_op("vqkit::steady", mutates_args=())
def _steady(tensor: Tensor) -> Tensor:
    return tensor.clone()


@_steady.register_fake
def _(tensor: Tensor) -> Tensor:
    return torch.empty_like(tensor)


def _pass_on(ctx: Any, gradient: Tensor) -> Tensor:
    del ctx
    return gradient


_steady.register_autograd(_pass_on)


@torch.library.custom_op("vqkit::learn_codes", mutates_args=("changes",))
def _learn(vectors: Tensor, indices: Tensor, keep: Tensor | None, changes: list[Tensor], number: int) -> None:
    learner = _learners[number]
    learner.learn(vectors, indices, keep)
    for given, own in zip(changes, learner.changes(), strict=True):
        if given.data_ptr() != own.data_ptr():  # a graph without side effects hands in copies, and takes them back
            given.copy_(own)


@_learn.register_fake
def _(vectors: Tensor, indices: Tensor, keep: Tensor | None, changes: list[Tensor], number: int) -> None:
    del vectors, indices, keep, changes, number
