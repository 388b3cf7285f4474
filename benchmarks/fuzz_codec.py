"""What ``benchmarks/fuzz.py`` reads with real models: small ones, made on the spot, untrained."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import nn

from vqkit.codec import Compressor, Decompressor, Signal, entropy_model
from vqkit.codec.inspect import inspect_file
from vqkit.codec.lossless import PixelCoder
from vqkit.coding import Block
from vqkit.models import VQVAE
from vqkit.pixels import PixelPrior
from vqkit.priors import ContextPrior

_VALUES = 1 << 16
_TILE = 2
"""Positions of a tile on each axis: so few that small images have several."""


def models(channels: int = 1) -> tuple[VQVAE, ContextPrior]:
    """A tokenizer of images with two residual codebooks, and a context prior of its indices."""
    torch.manual_seed(0)
    model = VQVAE(
        8,
        code_dim=4,
        channels=channels,
        downsampling=4,
        hidden_channels=4,
        residual_channels=2,
        residual_blocks=1,
        num_codebooks=2,
        stacking="residual",
    )
    model.prepare([torch.rand(64, channels, 16, 16)])
    prior = ContextPrior(8, (4, 4), num_codebooks=2, hidden_channels=8, layers=1)
    _disturb(prior, 0.3)
    return model.eval(), prior.eval()


def lossless_models() -> tuple[VQVAE, ContextPrior, PixelPrior]:
    """The same of colour images, and a pixel prior."""
    model, prior = models(channels=3)
    pixels = PixelPrior.for_model(
        model,
        hidden_channels=8,
        layers=1,
        neighbours=6,
        features=3,
        components=2,
        cell=2,
        token_channels=8,
        token_layers=1,
    )
    _disturb(pixels, 0.2)
    return model, prior, pixels.eval()


def files(model: VQVAE, prior: ContextPrior) -> list[bytes]:
    """Whole files, of several sizes and settings."""
    rng = np.random.default_rng(0)
    kinds: tuple[tuple[tuple[tuple[int, int], ...], dict[str, Any]], ...] = (
        (((16, 16),) * 3, {}),
        (((9, 13), (9, 13), (20, 6)), {"codebooks": 1}),
        (((16, 24),), {"rate_weight": 0.05}),
    )
    return [_file(rng, Compressor(model, entropy_model(prior, 8), **options), sizes) for sizes, options in kinds]


def lossless_files(model: VQVAE, prior: ContextPrior, pixels: PixelPrior) -> list[bytes]:
    """Whole lossless files: one pixel; two small images and another; a group of three; one in several tiles."""
    rng = np.random.default_rng(1)
    compressor = Compressor(model, entropy_model(prior, 8), pixel_model=PixelCoder(pixels))
    kinds = (((1, 1),), ((5, 7), (5, 7), (4, 4)), ((6, 6),) * 3)
    found = [_file(rng, compressor, sizes) for sizes in kinds]
    with mock.patch("vqkit.codec.compressor.tile_side", return_value=_TILE):
        return [*found, _file(rng, compressor, ((5, 11),))]


def decompressing(
    model: VQVAE, prior: ContextPrior, pixels: PixelPrior | None = None, *, checked: bool = True
) -> Callable[[bytes], object]:
    """All that a file decodes to; unless it is checked, whatever integers the coded ones turn out to be."""
    coder = None if pixels is None else PixelCoder(pixels)
    reader = Decompressor(model, entropy_model(prior, 8), pixel_model=coder, fast=True, max_values=_VALUES)

    def decode(data: bytes) -> object:
        return [
            (each.name, each.values.shape, each.values.numpy().tobytes(), each.indices.numpy().tobytes())
            for each in reader.read(io.BytesIO(data))
        ]

    def decode_unchecked(data: bytes) -> object:
        with mock.patch.object(Block, "check"):
            return decode(data)

    return decode if checked else decode_unchecked


def inspecting(data: bytes) -> object:
    """What ``vqkit inspect`` says of a file."""
    return inspect_file(io.BytesIO(data), max_values=_VALUES).as_dict()


def _disturb(module: nn.Module, noise: float) -> None:
    """Random parameters, so that everything matters to everything."""
    for parameter in module.parameters():
        parameter.data += noise * torch.randn_like(parameter)


def _file(rng: np.random.Generator, compressor: Compressor, sizes: Iterable[tuple[int, int]]) -> bytes:
    """A file of random images, named."""
    file = io.BytesIO()
    images = (rng.integers(0, 256, (compressor.model.channels, *size), dtype=np.uint8) for size in sizes)
    compressor.write(file, (Signal(image, f"folder/{number}.png") for number, image in enumerate(images)))
    return file.getvalue()
