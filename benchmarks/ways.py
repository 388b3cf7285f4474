"""What must not change an integer: the circumstances that benchmarks compute in again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from vqkit.priors import ContextPrior


@contextmanager
def threads(number: int) -> Iterator[None]:
    """So many CPU threads for a moment."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    yield
    torch.set_num_threads(before)


@contextmanager
def no_mkldnn(prior: ContextPrior) -> Iterator[None]:
    """Products of float32 by another library than the int8 ones, for a moment."""
    with float32_products(prior), torch.backends.mkldnn.flags(enabled=False):
        yield


@contextmanager
def products(precision: str) -> Iterator[None]:
    """Another precision of float32 products for a moment."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    yield
    torch.set_float32_matmul_precision(before)


@contextmanager
def float64_carrier(prior: ContextPrior) -> Iterator[None]:
    """Integers held in float64 for a moment."""
    prior.set_storage_dtype(torch.float64)
    yield
    prior.set_storage_dtype(torch.float32)


@contextmanager
def float32_products(prior: ContextPrior) -> Iterator[None]:
    """Products of float32 for a moment, where those of int8 would be taken (``vqkit.exact.int8_helps``)."""
    prior.set_storage_dtype(torch.float32, int8=False)
    yield
    prior.set_storage_dtype(torch.float32)
