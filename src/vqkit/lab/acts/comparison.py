"""The comparison of a signal with its reconstruction: pictures, error map, measures, bytes at each rate."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from vqkit.codec import Compressor, Signal
from vqkit.codec.entropy.models import UniformModel
from vqkit.evaluation import psnr_db, squared_error, ssim
from vqkit.lab.acts.uploads import Upload, tensor
from vqkit.lab.workshop import OpenModel
from vqkit.models import IndexModel, model_rates
from vqkit.pictures import to_uint8

Array = npt.NDArray[Any]
ERROR_FULL = 0.25
"""The mean absolute error of a pixel, of a range of 1, that an error map shows in full colour."""
_HEAT = (
    (0.0, (13, 17, 38)),
    (0.35, (120, 28, 109)),
    (0.65, (229, 92, 48)),
    (0.85, (251, 180, 26)),
    (1.0, (252, 255, 164)),
)
_NOTHING = (float("nan"), float("nan"))


@final
@dataclass(frozen=True)
class RateRow:
    """What one rate of a model makes of a signal.

    Attributes:
        codebooks: that are used; 0 for a model without a codebook.
        nominal_bytes: indices times log2 K bits.
        entropy_bytes: of an ideal coder under the model's prior, or, without one, by the histogram of these indices.
        file_bytes: of a ``.vqk`` file, headers and checksums included.
        psnr: in dB; NaN for vectors.
        ssim: NaN for other signals than pictures.
        rate: of the file, in ``unit``.
        unit: ``"bits per pixel"``, ``"kbps"``, ``"bits per vector"``.
        under: the entropy model: ``"context"``, ``"histogram"``, ``"indices"``.
    """

    codebooks: int
    nominal_bytes: float
    entropy_bytes: float
    file_bytes: int
    psnr: float
    ssim: float
    rate: float
    unit: str
    under: str


@final
@dataclass(frozen=True)
class Comparison:
    """A signal and its reconstruction with all codebooks, or so many.

    Attributes:
        original: ``[n, channels, *size]`` float32.
        reconstruction: the same shape.
        tokens: how many indices; 0 for a model without a codebook.
        grid: positions on each axis.
        psnr: in dB.
        ssim: NaN for other signals than pictures.
        nmse: squared error over the variance of the signal.
        seconds: that encoding and decoding took.
    """

    original: Array
    reconstruction: Array
    tokens: int
    grid: tuple[int, ...]
    psnr: float
    ssim: float
    nmse: float
    seconds: float


@torch.no_grad()
def compare(opened: OpenModel, upload: Upload, codebooks: int | None = None) -> Comparison:
    """Encode and decode a signal.

    Args:
        opened: the model.
        upload: the signal.
        codebooks: the first so many are used; None: all.

    Raises:
        DataError: a signal that the model does not read.
        ConfigError: codebooks that it does not have.
    """
    model = opened.model
    with opened.lock:
        x = tensor(opened, upload)
        start = time.perf_counter()
        options = {"codebooks": codebooks} if isinstance(model, IndexModel) else {}
        codes = model.encode(x, **options)
        y = model.decode(codes, x.shape[2:])
        seconds = time.perf_counter() - start
    original = _floats(x)
    discrete = isinstance(model, IndexModel)
    grid = tuple(model.grid(tuple(x.shape[2:]))) if isinstance(model, IndexModel) and model.axes else ()
    measured = distortion(opened, original, y)
    variance = float(original.double().var(unbiased=False)) if opened.kind != "vector" else _spread(original)
    mse = float(squared_error(original, y).mean())
    return Comparison(
        original.cpu().numpy(),
        y.cpu().numpy(),
        int(codes.numel()) if discrete else 0,
        grid,
        *measured,
        mse / variance if variance else math.nan,
        seconds,
    )


def distortion(opened: OpenModel, x: Tensor, y: Tensor) -> tuple[float, float]:
    """PSNR in dB (of peak 1 for pictures, 2 for sounds; NaN for vectors), and SSIM (NaN but for pictures)."""
    if opened.kind == "vector":
        return _NOTHING
    low, high = opened.model.signal_range or (0.0, 1.0)
    psnr = psnr_db(float(squared_error(x, y).mean()), high - low)
    return psnr, float(ssim(x.float(), y.float()).mean()) if opened.kind == "image" else math.nan


@torch.no_grad()
def rate_table(opened: OpenModel, upload: Upload, counts: Sequence[int] | None = None) -> list[RateRow]:
    """What each rate of a model costs and gives for a signal; nothing for a model without a codebook.

    Args:
        opened: the model.
        upload: the signal.
        counts: numbers of codebooks; None: those of the rates that it was trained for.
    """
    model = opened.model
    if not isinstance(model, IndexModel):
        return []
    counts = [rate.codebooks for rate in model_rates(model)] if counts is None else counts
    return [_row(opened, model, upload, count) for count in counts]


def _row(opened: OpenModel, model: IndexModel, upload: Upload, count: int) -> RateRow:
    with opened.lock:
        x = tensor(opened, upload)
        used = count if count < model.num_codebooks else None
        indices = model.encode(x, codebooks=used)
        y = model.decode(indices, x.shape[2:])
        entropies = opened.entropies or [UniformModel(model.codebook_size)]
        signals = [Signal(np.ascontiguousarray(each)) for each in x.cpu().numpy()]
        files = [BytesIO() for _ in entropies]
        compressor = Compressor(model, entropies[0], codebooks=count, beside=entropies[1:])
        reports = compressor.write_each(files, signals)
    best = min(reports, key=lambda report: report.file_bytes)
    psnr, similarity = distortion(opened, _floats(x), y)
    under = best.used
    bits = best.model_bits.get(under, math.nan)
    if under == "uniform":
        under, bits = "indices", index_entropy(indices, count) * indices.numel()
    rate, unit = rate_of_bytes(opened, best.file_bytes, x)
    return RateRow(count, best.nominal_bits / 8, bits / 8, best.file_bytes, psnr, similarity, rate, unit, under)


def rate_of_bytes(opened: OpenModel, nbytes: float, x: Tensor) -> tuple[float, str]:
    """Bytes of a file of signals as a rate, and its unit."""
    positions = len(x) * math.prod(x.shape[2:])
    if opened.kind == "sound" and opened.model.kind.rate:
        return 8 * nbytes / (positions / opened.model.kind.rate) / 1000, "kbps"
    return 8 * nbytes / positions, f"bits per {opened.model.kind.position}"


def index_entropy(indices: Tensor, codebooks: int) -> float:
    """Bits an index by the histogram of these indices, each codebook with its own."""
    columns = indices.reshape(-1, codebooks) if codebooks > 1 else indices.reshape(-1, 1)
    total = 0.0
    for column in columns.T:
        shares = torch.bincount(column).double() / len(column)
        shares = shares[shares > 0]
        total -= float((shares * shares.log2()).sum())
    return total / columns.shape[1]


def picture(pixels: Array) -> Image.Image:
    """A Pillow picture of ``[C, H, W]``, floats of [0, 1] or uint8."""
    array = to_uint8(torch.from_numpy(np.ascontiguousarray(pixels))[None])[0]
    return Image.fromarray(array[0] if array.shape[0] == 1 else np.moveaxis(array, 0, -1)).convert("RGB")


def error_map(original: Array, reconstruction: Array) -> Image.Image:
    """The mean absolute error of each pixel of ``[C, H, W]``, dark for none, bright for ``ERROR_FULL`` and more."""
    error = np.abs(original.astype(np.float64) - reconstruction).mean(axis=0) / ERROR_FULL
    return Image.fromarray(heat(error))


def heat(values: Array) -> npt.NDArray[np.uint8]:
    """Colours ``[..., 3]`` of values of [0, 1], from dark to bright (also where colours cannot be told apart)."""
    places, colors = [place for place, _ in _HEAT], np.array([color for _, color in _HEAT], dtype=np.float64)
    clipped = np.clip(values, 0.0, 1.0)
    found = np.stack([np.interp(clipped, places, colors[:, channel]) for channel in range(3)], axis=-1)
    return np.rint(found).astype(np.uint8)


def _floats(x: Tensor) -> Tensor:
    return x.float() / 255 if x.dtype == torch.uint8 else x.float()


def _spread(vectors: Tensor) -> float:
    """The mean squared distance of vectors from their mean, a number of each."""
    return float((vectors.double() - vectors.double().mean(dim=0)).square().mean())
