"""Conversion of signals and indices from tensors, arrays, pictures and lists of them to tensors of one meaning.

Every entry of a model, a prior or a codec reads its arguments here, so that the same numbers mean the same everywhere,
and the same as to ``load_source``. Tensors are ``[batch, channels, *size]``, as in torch; what is no tensor (arrays,
pictures, image files, lists of them) may be a single signal, and may have its channels last, as NumPy programs do.
Values:

- images and video: uint8 of 0..255, other integers that lie in 0..255, uint16 of 0..65535 (rounded to 8 bits), bool as
  black and white, floats of [0, 1];
- sound: floats of [-1, 1];
- vectors: any finite numbers.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vqkit.checking import reason, shown
from vqkit.data.arrays.items import IndexSet
from vqkit.data.images.reading import decode_image, from_picture, scale_16_bit, to_channels
from vqkit.data.source import Array, Source
from vqkit.errors import DataError
from vqkit.signals import Signal
from vqkit.signals.base import fill_words

_LAYOUT_AXES = ((), ("time",), ("height", "width"), ("frames", "height", "width"))


def as_tensor(given: Any, what: str = "signals", *, channels: int | None = None) -> Tensor:
    """Convert one object to a tensor with the same numbers: a tensor as it is, an array, a picture as uint8 [C, H, W].

    Args:
        given: a tensor, a NumPy array (or what NumPy makes one of), a Pillow image, the path of an image file, or a
            list of these, of one shape.
        what: it is, for messages.
        channels: 1 or 3 to have pictures in grey or RGB.

    Raises:
        DataError: anything else, or a list of different shapes.
    """
    if isinstance(given, Tensor):
        if given.layout != torch.strided or given.is_quantized:
            raise DataError(f"{what} are a sparse or quantized tensor ({given.layout}); give a dense one: x.to_dense()")
        return given
    if _is_picture(given):
        picture = from_picture(given) if isinstance(given, Image.Image) else _decoded(Path(given), what)
        return torch.from_numpy((to_channels(picture, channels) if channels in (1, 3) else picture).copy())
    if isinstance(given, Sequence) and not isinstance(given, bytes):
        if not len(given):
            raise DataError(f"{what} are an empty list; give at least one")
        if not isinstance(given[0], int | float | bool):
            parts = [as_tensor(each, what, channels=channels) for each in given]
            shapes = sorted({tuple(each.shape) for each in parts})
            if len(shapes) > 1:
                raise DataError(
                    f"{what} have {len(shapes)} shapes ({list(shapes[0])} to {list(shapes[-1])}), which make no batch: "
                    "give them one by one"
                )
            return torch.stack(parts)
    elif isinstance(given, Source):
        raise DataError(f"{what} are a whole source ({given.describe()}); give a batch of it: source[:16]")
    elif not hasattr(given, "__array__"):
        raise DataError(
            f"{what} are an object of type {type(given).__name__}; give a tensor, a NumPy array, a Pillow image, the "
            "path of an image, or a list of them (data sets: vqkit.load_source)"
        )
    array = np.asarray(given)
    if array.dtype.kind not in "biuf":
        raise DataError(f"{what} are an array of dtype {array.dtype}; give numbers: integers or floats")
    if array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    return torch.from_numpy(array if array.flags.writeable and min(array.strides, default=0) >= 0 else array.copy())


def signal_tensor(given: Any, channels: int, kind: Signal, *, look: bool = True, what: str = "signals") -> Tensor:
    """Convert what ``as_tensor`` takes to ``[batch, channels, *size]``, uint8 of 0..255 or floats in the kind's range.

    Args:
        given: signals; a single one that is no tensor is a batch of one. Pictures are converted to 1 or 3 channels.
        channels: of the signal.
        kind: of the signal.
        look: at the values of floats; False where that would cost too much (in training, on a device).
        what: they are, for messages.

    Raises:
        DataError: another layout or number of channels, an empty axis, NaN or Inf, numbers out of range, integers
            whose range nobody knows, or a path of what is no image; with the repair.
    """
    return _numbers(batch_tensor(given, channels, kind, what), kind, look=look, what=what)


def batch_tensor(given: Any, channels: int, kind: Signal, what: str = "signals") -> Tensor:
    """Convert what ``as_tensor`` takes to ``[batch, channels, *size]``, without a look at the values.

    Raises:
        DataError: as ``signal_tensor`` for all but the values.
    """
    if isinstance(given, str | os.PathLike) and not kind.encoded:
        raise DataError(f"{what} are a path; {kind.noun[1]} are read by vqkit.load_source({os.fspath(given)!r})")
    tensor = as_tensor(given, what, channels=channels)
    if not isinstance(given, Tensor):
        tensor = _batch(tensor, channels, kind.axes)
    check_layout(tuple(tensor.shape), channels, kind.axes, what)
    return tensor


def each_signal(given: Any, channels: int, kind: Signal) -> list[Tensor]:
    """Convert what ``signal_tensor`` takes to single signals ``[channels, *size]``, which may differ in size in a list.

    A tensor of one signal needs no axis of the batch here.
    """

    def one_or_more(part: Any) -> Tensor:
        single = isinstance(part, Tensor) and part.ndim == kind.axes + 1
        return signal_tensor(part[None] if single else part, channels, kind)

    alone = isinstance(given, list | tuple) and len(given) > 0 and not isinstance(given[0], int | float | bool)
    return [signal for part in (given if alone else [given]) for signal in one_or_more(part)]


def _decoded(path: Path, what: str) -> Array:
    """The pixels [C, H, W] of an image file."""
    try:
        return decode_image(path, smallest=1)[0]
    except DataError as error:
        raise DataError(f"{what}: {shown(str(path))}: {reason(error)} (data sets: vqkit.load_source)") from error


def _is_picture(given: Any) -> bool:
    """Tell whether an object is a picture, or the path of one."""
    return isinstance(given, Image.Image | str | os.PathLike)


def _batch(tensor: Tensor, channels: int, axes: int) -> Tensor:
    """View signals that were no tensors as ``[batch, channels, *size]``: channels last, a single one, grey [H, W].

    Where both readings of an axis are possible, channels come first. Another layout stays as it is.
    """
    shape = tuple(tensor.shape)
    if len(shape) == 2 + axes and axes and shape[1] != channels and shape[-1] == channels:
        return tensor.movedim(-1, 1)
    if len(shape) == 1 + axes and shape[0] == channels and (axes or channels > 1):
        return tensor.unsqueeze(0)
    if len(shape) == 1 + axes and axes and shape[-1] == channels:
        return tensor.movedim(-1, 0).unsqueeze(0)
    if len(shape) == 1 + axes and axes and channels == 1:
        return tensor.unsqueeze(1)
    return tensor[None, None] if len(shape) == axes and axes and channels == 1 else tensor


def check_layout(shape: tuple[int, ...], channels: int, axes: int, what: str = "signals") -> None:
    """Raise ``DataError`` unless a shape is ``[batch, channels, *size]`` with no empty axis; with the repair."""
    if len(shape) == 2 + axes and shape[1] == channels and 0 not in shape:
        return
    layout = f"[{', '.join(('batch', 'channels', *_LAYOUT_AXES[axes]))}]"
    if len(shape) == 1 + axes and shape[0] == channels:
        repair = "; of a single one make a batch: x[None]"
    elif axes and len(shape) == 2 + axes and shape[-1] == channels and 0 not in shape:
        repair = "; channels are the last axis here: move them with x.movedim(-1, 1) (NumPy: np.moveaxis(x, -1, 1))"
    elif axes and len(shape) == 1 + axes and channels == 1:
        repair = "; add the axis of channels: x[:, None]"
    elif len(shape) == 4 == 2 + axes and {shape[1], channels} == {1, 3}:
        repair = (
            "; repeat the grey channel, x.expand(-1, 3, -1, -1)"
            if channels == 3
            else "; make them grey, e.g. vqkit.load_source(x, channels=1)"
        )
    else:
        repair = ""
    raise DataError(
        f"{what} have shape {tuple(shape)}; this model reads {layout} with channels={channels} and no empty axis (both "
        f"from its config){repair}"
    )


def _numbers(tensor: Tensor, kind: Signal, *, look: bool, what: str) -> Tensor:
    """Values of one meaning, whatever the dtype."""
    if kind.gaps and not (tensor.is_complex() or tensor.is_quantized):
        return _gappy(tensor, kind, look=look, what=what)
    if tensor.is_floating_point():
        return _floats(tensor, kind, what) if look and not _unseen(tensor) else tensor
    if tensor.is_complex() or tensor.is_quantized:
        raise DataError(f"{what} are {tensor.dtype}; give uint8, or floats in the signal's range")
    if kind.value_range is None:
        return tensor.to(torch.float32)
    if tensor.dtype == torch.uint8 and kind.from_bytes:
        return tensor
    if kind.levels is None:
        raise DataError(
            f"{what} are {tensor.dtype}, and of integers nobody knows the range; {kind.noun[1]} are floats in "
            f"[{kind.value_range[0]:g}, {kind.value_range[1]:g}]: {kind.repair_range(0.0, 256.0)}"
        )
    if tensor.dtype == torch.bool:
        return tensor.to(torch.uint8) * 255
    if tensor.dtype == torch.uint16:
        return torch.from_numpy(scale_16_bit(tensor.cpu().numpy())).to(tensor.device)
    if not _unseen(tensor):
        low, high = (int(each) for each in tensor.long().aminmax())
        if low < 0 or high > 255:
            raise DataError(
                f"{what} are {tensor.dtype} of {low}..{high}; integers of images lie in 0..255 (uint16: 0..65535)"
                f"{fill_words(low, high)}; then scale them and give uint8, or floats in [0, 1]"
            )
    return tensor.to(torch.uint8)


def _gappy(tensor: Tensor, kind: Signal, *, look: bool, what: str) -> Tensor:
    """Floats with NaN for gaps, float64 of what float32 does not hold."""
    wide = tensor.dtype in (torch.int32, torch.uint32, torch.int64, torch.float64)
    floats = tensor.to(torch.float64 if wide and tensor.device.type != "mps" else torch.float32)
    nodata = getattr(kind, "nodata", None)
    if nodata is not None:
        missing = torch.tensor(nodata, dtype=torch.float64).to(floats.dtype).to(floats.device)
        if tensor.dtype == torch.float16:
            missing = missing.to(torch.float16).to(floats.dtype)
        floats = torch.where(floats == missing, floats.new_full((), math.nan), floats)
    if look and not _unseen(tensor) and tensor.is_floating_point() and bool(torch.isinf(floats).any()):
        raise DataError(f"{what} hold infinity; every value must be a finite number, or NaN for a gap")
    return floats


def _floats(tensor: Tensor, kind: Signal, what: str) -> Tensor:
    signal_range = kind.value_range
    low, high = (float(each) for each in tensor.detach().aminmax())
    if not (math.isfinite(low) and math.isfinite(high)):
        bad = int((~torch.isfinite(tensor)).sum())
        raise DataError(
            f"{what} hold NaN or Inf in {bad:,} of {tensor.numel():,} values, which no index stands for: drop or "
            "repair those items"
        )
    if signal_range is None:
        if max(abs(low), abs(high)) > torch.finfo(torch.float32).max:
            raise DataError(f"{what} hold values {low:g}..{high:g}, more than float32 can hold: rescale them")
        return tensor
    kind.check_range(low, high, what)
    return tensor.clamp(*signal_range) if low < signal_range[0] or high > signal_range[1] else tensor


def mask_tensor(given: Any, shape: tuple[int, ...], each: tuple[int, ...] | None = None) -> Tensor:
    """A mask of this shape, ``[batch, *size]`` bool; or of the shape ``each``, ``[batch, channels, *size]``.

    Raises:
        DataError: another shape, or no bool.
    """
    mask = as_tensor(given, "the mask")
    if mask.dtype == torch.bool and each is not None and tuple(mask.shape) == each:
        return mask
    if mask.dtype != torch.bool or tuple(mask.shape) != shape:
        raise DataError(
            f"the mask is {mask.dtype} of shape {tuple(mask.shape)}; give torch.bool of shape {shape}, one value for "
            "each position of each signal, False where it is padding"
        )
    return mask


def index_tensor(given: Any, what: str = "indices") -> Tensor:
    """Indices as int64 of the same shape, from integers of any dtype, or all of a token set.

    Raises:
        DataError: floats (NaN among them), bool, no numbers at all, or tokens of several grids.
    """
    if not isinstance(given, Tensor) and isinstance(given, IndexSet):
        given = given[:]
    tensor = as_tensor(given, what)
    if tensor.dtype == torch.int64:
        return tensor
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool or tensor.is_quantized:
        raise DataError(f"{what} are {tensor.dtype}; give integers (of floats that are whole numbers: x.long())")
    return tensor.to(torch.int64)


def latent_tensor(given: Any, what: str = "latents") -> Tensor:
    """Latents as a floating tensor of the same shape.

    Raises:
        DataError: NaN, Inf, or no real numbers.
    """
    tensor = as_tensor(given, what)
    if tensor.is_complex() or tensor.dtype == torch.bool or tensor.is_quantized:
        raise DataError(f"{what} are {tensor.dtype}; give floats")
    if not tensor.is_floating_point():
        return tensor.to(torch.float32)
    if tensor.numel() and not _unseen(tensor) and not bool(torch.isfinite(tensor).all()):
        raise DataError(f"{what} hold NaN or Inf, which decode to nothing: give finite numbers")
    return tensor


def _unseen(tensor: Tensor) -> bool:
    """Return True if the values cannot be read: while a graph is traced, or on the meta device."""
    return tensor.is_meta or torch.compiler.is_compiling() or tensor.numel() == 0
