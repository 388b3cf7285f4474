"""Recalibration: codebooks follow latents once more, after training, while everything else stays as it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from vqkit.quantizers.base import Quantizer
from vqkit.quantizers.codebook.base import CodebookQuantizer


@contextmanager
def recalibrating(quantizer: nn.Module) -> Iterator[None]:
    """Within the block, codebooks average over all latents that the quantizer is shown; frozen ones stay."""
    codebooks = [module for module in quantizer.modules() if isinstance(module, CodebookQuantizer)]
    before = [(part, part.training) for part in quantizer.modules()]
    for part, _ in before:
        part.training = not (isinstance(part, Quantizer) and part.frozen)
    for codebook in codebooks:
        codebook.recalibrating = True
    try:
        yield
    finally:
        for codebook in codebooks:
            codebook.recalibrating = False
        for part, was_training in before:
            part.training = was_training
