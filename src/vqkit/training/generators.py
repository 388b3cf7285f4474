"""The global random generators: training draws from a seed, and leaves them as they were."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from vqkit.chance import drawing

_training = threading.RLock()


def _begin_anew() -> None:
    global _training
    _training = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


@contextmanager
def one_training() -> Iterator[None]:
    """Within the block no other thread of this process trains: they share the generators, and wait for one another.

    The generators are kept, see ``kept_generators``.
    """
    with _training, kept_generators():
        yield


@contextmanager
def kept_generators(device: torch.device | None = None) -> Iterator[None]:
    """Within the block anything may be drawn and seeded; afterwards the generators go on as if it had not been.

    Those of Python, NumPy and torch on the CPU, of CUDA where it is in use already, and of the device.

    Args:
        device: that the block uses; None: none that is not in use.
    """
    with drawing():  # not the state of another thread's seeding
        python, array, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
        kind = "cpu" if device is None else device.type
        cuda = torch.cuda.get_rng_state_all() if kind == "cuda" or torch.cuda.is_initialized() else None
        mps = torch.mps.get_rng_state() if kind == "mps" else None
    try:
        yield
    finally:
        with drawing():
            random.setstate(python)
            np.random.set_state(array)  # noqa: NPY002
            torch.set_rng_state(cpu)
            if cuda is not None:
                torch.cuda.set_rng_state_all(cuda)
            if mps is not None:
                torch.mps.set_rng_state(mps)


def seed_generators(seed: int, device: torch.device) -> None:
    """Seed torch's generators on the CPU and on the device; those of devices that are not used stay as they are."""
    with drawing():
        torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed_all(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)
