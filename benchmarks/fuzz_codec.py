"""What ``benchmarks/fuzz.py`` reads with real models: small ones, made on the spot, untrained."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import torch

from vqkit.codec import Compressor, Decompressor, Signal, entropy_model
from vqkit.codec.inspecting import inspect_file
from vqkit.models import VQVAE
from vqkit.priors import ContextPrior

_VALUES = 1 << 16


def models() -> tuple[VQVAE, ContextPrior]:
    """A tokenizer of grey images with two residual codebooks, and a context prior of its indices."""
    torch.manual_seed(0)
    model = VQVAE(
        8,
        code_dim=4,
        channels=1,
        downsampling=4,
        hidden_channels=4,
        residual_channels=2,
        residual_blocks=1,
        num_codebooks=2,
        stacking="residual",
    )
    model.prepare([torch.rand(64, 1, 16, 16)])
    prior = ContextPrior(8, (4, 4), num_codebooks=2, hidden_channels=8, layers=1)
    for parameter in prior.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return model.eval(), prior.eval()


def files(model: VQVAE, prior: ContextPrior) -> list[bytes]:
    """Whole files, of several sizes and settings."""
    rng = np.random.default_rng(0)
    found = []
    for sizes, options in (
        (((16, 16),) * 3, {}),
        (((9, 13), (9, 13), (20, 6)), {"codebooks": 1}),
        (((16, 24),), {"rate_weight": 0.05}),
    ):
        file = io.BytesIO()
        writer = Compressor(model, entropy_model(prior, 8), **options)
        images = (rng.integers(0, 256, (1, *size), dtype=np.uint8) for size in sizes)
        writer.write(file, (Signal(image, f"folder/{number}.png") for number, image in enumerate(images)))
        found.append(file.getvalue())
    return found


def decompressing(model: VQVAE, prior: ContextPrior) -> Callable[[bytes], object]:
    """All that a file decodes to."""
    reader = Decompressor(model, entropy_model(prior, 8), fast=True, max_values=_VALUES)

    def decode(data: bytes) -> object:
        return [
            (each.name, each.values.shape, each.values.numpy().tobytes(), each.indices.numpy().tobytes())
            for each in reader.read(io.BytesIO(data))
        ]

    return decode


def inspecting(data: bytes) -> object:
    """What ``vqkit inspect`` says of a file."""
    return inspect_file(io.BytesIO(data), max_values=_VALUES).as_dict()
