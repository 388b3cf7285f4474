"""Lossless images: bytes of tokens + residual beside PNG, WebP and JPEG XL, and how fast they are made and read.

    python benchmarks/lossless.py RUN [--lossless RUN/lossless] [--data DATA] [--images 500]

Every image is encoded alone, decoded again and compared bit for bit. Tokens are range coded with uniform frequencies,
or under the context prior of ``RUN/context`` where there is one. The other formats are whole files, as their libraries
write them at the highest effort; JPEG XL is there where imagecodecs is installed.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from figures import Figure, figure, parser, report
from vqkit.codec import decode_pixels, encode_pixels
from vqkit.codec import lossless as coding_of_pixels
from vqkit.coding import Decoder, Encoder, uniform_frequencies
from vqkit.data import load_source
from vqkit.models import load_model
from vqkit.pixels import PixelPrior
from vqkit.priors import ContextPrior, load_prior
from vqkit.training.config import TrainConfig
from vqkit.training.inputs.holdout import validation_split
from vqkit.training.recipes.lossless import context_of
from vqkit.training.record.run import read_config


def main() -> None:
    built = parser(__doc__)
    built.add_argument("run", type=Path, help="the tokenizer's run")
    built.add_argument("--lossless", type=Path, help="the pixel prior's run (default: RUN/lossless)")
    built.add_argument("--data", help="images (default: the held-out ones of the pixel prior's run)")
    built.add_argument("--images", type=int, default=500, help="the first so many")
    arguments = built.parse_args()
    torch.set_num_threads(1)
    folder = arguments.lossless or arguments.run / "lossless"
    model, prior, settings = load_model(arguments.run), PixelPrior.from_pretrained(folder), read_config(folder)
    source = load_source(arguments.data or settings["data"]).with_channels(prior.channels)
    if arguments.data is None:
        source = validation_split(source, TrainConfig.from_dict(settings["training"]))[1]
    count = min(len(source), 50 if arguments.quick else arguments.images)
    items = [torch.as_tensor(source.read(number)) for number in range(count)]
    pixels = [prior.read_batch(each[None].contiguous()) for each in items]
    indices = [model.encode(each) for each in pixels]
    values = sum(each.numel() for each in pixels)

    residual, restored = 0, 0
    for index, each in zip(indices, pixels, strict=True):
        payload = encode_pixels(prior, index, each)
        size = (int(each.shape[2]), int(each.shape[3]))
        restored += int(torch.equal(decode_pixels(prior, index, payload, size, prior.channels), each))
        residual += len(payload)
    tokens = sum(len(_tokens(prior.codebook_size, each)) for each in indices)
    rates = {"residual": residual, "tokens_uniform": tokens, "total_uniform": residual + tokens}
    context = context_of(arguments.run)
    if context is not None:
        found = load_prior(context)
        assert isinstance(found, ContextPrior)
        rates["tokens_context"] = sum(len(_context_tokens(found, each)) for each in indices)
        rates["total_context"] = residual + rates["tokens_context"]
    peers = {name: sum(len(write(_array(each))) for each in pixels) for name, write in _formats().items()}
    as_bits = {name: 8 * size / values for name, size in peers.items()}
    figures = [
        figure(f"{name}_bits_per_dim", [8 * size / values], "bits", as_bits if name.startswith("total") else None)
        for name, size in rates.items()
    ]
    figures += [figure(f"{name}_bits_per_dim", [bits], "bits") for name, bits in as_bits.items()]
    figures.append(figure("restored_bit_for_bit", [restored / count], "of the images"))
    if len({each.shape for each in pixels}) == 1:
        figures += _speeds(prior, torch.cat(indices[:128]), torch.cat(pixels[:128]), "batch")
    figures += _speeds(prior, indices[0], pixels[0], "alone")
    report(figures, arguments, run=str(arguments.run.name), images=count, data=source.describe())


def _tokens(codebook_size: int, indices: Tensor) -> bytes:
    encoder = Encoder()
    encoder.encode(indices.flatten().numpy(), uniform_frequencies(codebook_size))
    return encoder.bytes()


@torch.no_grad()
def _context_tokens(prior: ContextPrior, indices: Tensor) -> bytes:
    encoder = Encoder()
    grid = indices.shape[1 : 1 + len(prior.grid)]
    items = indices.reshape(1, *grid, prior.num_codebooks)
    for step in prior.steps(tuple(grid)):
        symbols = items.flatten(1, -2)[0, step.positions, step.codebook]
        encoder.encode(symbols.numpy(), prior.frequencies(items, step)[0].numpy())
    return encoder.bytes()


def _array(pixels: Tensor) -> np.ndarray[Any, Any]:
    return np.ascontiguousarray(pixels[0].permute(1, 2, 0).squeeze(-1).numpy())


def _formats() -> dict[str, Callable[[np.ndarray[Any, Any]], bytes]]:
    """Writers of other formats, losslessly and at the highest effort."""

    def by_pillow(**options: Any) -> Callable[[np.ndarray[Any, Any]], bytes]:
        def write(array: np.ndarray[Any, Any]) -> bytes:
            file = io.BytesIO()
            Image.fromarray(array).save(file, **options)
            return file.getvalue()

        return write

    found = {
        "png": by_pillow(format="PNG", optimize=True),
        "webp": by_pillow(format="WebP", lossless=True, quality=100, method=6),
    }
    try:
        from imagecodecs import jpegxl_encode
    except ImportError:
        return found
    found["jpegxl"] = lambda array: bytes(jpegxl_encode(array, lossless=True, effort=9))
    return found


def _speeds(prior: PixelPrior, indices: Tensor, pixels: Tensor, name: str) -> list[Figure]:
    """Megapixels a second on one thread, and the entropy coder's share of the time."""
    size, megapixels = (int(pixels.shape[2]), int(pixels.shape[3])), pixels[:, 0].numel() / 1e6
    spent = [0.0]

    def clocked(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            start = time.perf_counter()
            try:
                return method(*given, **named)
            finally:
                spent[0] += time.perf_counter() - start

        return call

    class ClockedEncoder:
        def __init__(self) -> None:
            inner = Encoder()
            self.encode, self.bytes = clocked(inner.encode), clocked(inner.bytes)

    class ClockedDecoder:
        def __init__(self, data: bytes) -> None:
            inner = Decoder(data)
            self.decode, self.finish = clocked(inner.decode), clocked(inner.finish)

    payload = encode_pixels(prior, indices, pixels)
    work: dict[str, Callable[[], Any]] = {
        "encode": lambda: encode_pixels(prior, indices, pixels),
        "decode": lambda: decode_pixels(prior, indices, payload, size, prior.channels),
    }
    figures = []
    patched: Any = coding_of_pixels
    plain = patched.Encoder, patched.Decoder
    patched.Encoder, patched.Decoder = ClockedEncoder, ClockedDecoder
    try:
        for verb, do in work.items():
            rates, shares = [], []
            for _ in range(3):
                spent[0], start = 0.0, time.perf_counter()
                do()
                wall = time.perf_counter() - start
                rates.append(megapixels / wall)
                shares.append(spent[0] / wall)
            figures.append(figure(f"{verb}_{name}", rates, "megapixels/s"))
            figures.append(figure(f"{verb}_{name}_coder_share", shares, "of the time"))
    finally:
        patched.Encoder, patched.Decoder = plain
    return figures


if __name__ == "__main__":
    main()
