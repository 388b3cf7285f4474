"""Random numbers of one generator for tensors on any device.

A generator draws on its own device, so that one on the CPU gives one sequence whatever device a model is on.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from vqkit.seeds import check_seed


def normal(
    shape: Sequence[int],
    generator: torch.Generator | None,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Independent N(0, 1) numbers on a device, from a generator on any device (None: torch's own)."""
    return torch.randn(tuple(shape), generator=generator, dtype=dtype, device=_source(generator, device)).to(device)


def uniform(
    shape: Sequence[int],
    generator: torch.Generator | None,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Independent numbers in [0, 1) on a device, from a generator on any device (None: torch's own)."""
    return torch.rand(tuple(shape), generator=generator, dtype=dtype, device=_source(generator, device)).to(device)


def integers(high: int, shape: Sequence[int], generator: torch.Generator | None, device: torch.device) -> Tensor:
    """Independent integers in ``[0, high)``, int64, on a device, from a generator on any device (None: torch's own)."""
    return torch.randint(high, tuple(shape), generator=generator, device=_source(generator, device)).to(device)


def chosen(weights: Tensor, count: int, generator: torch.Generator | None) -> Tensor:
    """``count`` independent places in ``weights``, int64 on their device, with probabilities in proportion."""
    own = weights.to(_source(generator, weights.device))
    return torch.multinomial(own, count, replacement=True, generator=generator).to(weights.device)


_drawing = threading.RLock()
_seeded = threading.local()


def _begin_anew() -> None:
    global _drawing
    _drawing = threading.RLock()  # a thread that the child does not have may hold the parent's


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


@contextmanager
def drawing() -> Iterator[None]:
    """Within the block no other thread seeds torch's own generators by ``forked`` or ``seeded``, or draws in a step."""
    with _drawing:
        yield


@contextmanager
def forked() -> Iterator[None]:
    """Within the block torch's generator on the CPU may be seeded and drawn from; afterwards it is as it was before.

    Other threads that do so wait.
    """
    with drawing(), torch.random.fork_rng(devices=[]):
        yield


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Let torch's own generators draw from a seed within the block, and go on afterwards as if it had not been.

    None: they are left alone.

    Raises:
        ConfigError: no seed.
    """
    if seed is None:
        yield
        return
    check_seed(seed)
    kind = torch.get_default_device().type
    before = is_seeded()
    _seeded.now = True
    try:
        if kind in ("cpu", "meta"):
            with forked():
                torch.default_generator.manual_seed(seed)
                yield
            return
        devices = range(torch.get_device_module(kind).device_count())
        with torch.random.fork_rng(devices=devices, device_type=kind):
            torch.manual_seed(seed)
            yield
    finally:
        _seeded.now = before


def is_seeded() -> bool:
    """Return whether this thread is within ``seeded``, where what is made has the seed that it was given."""
    return getattr(_seeded, "now", False)


def _source(generator: torch.Generator | None, device: torch.device) -> torch.device:
    return device if generator is None else generator.device
