"""NumPy arrays, in memory or in ``.npy`` and ``.npz`` files, as sources. Nothing is ever unpickled.

The rule that reads a shape:

- ``[N, D]`` is N vectors of D numbers.
- ``[N, H, W]`` is N grey images.
- ``[N, ?, ?, ?]`` is N images. Channels are the last axis if it is 1, 3 or 4 and the two axes before it
  are at least 4 (the smallest side of an image); else the second axis, if it is 1, 3 or 4 and the two after
  it are at least 4. Where both readings are possible, channels last wins: so NumPy programs write images.

Four channels are RGB with transparency, laid over white. For sound and video make an ``ArraySource``.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from vqkit.data.image_files import MIN_SIDE
from vqkit.data.images import over_white, scale_16_bit
from vqkit.data.limits import resolve_memory_limit
from vqkit.data.memory import ArraySource
from vqkit.data.source import Array, byte_words
from vqkit.errors import DataError

IMAGE_KEYS = ("images", "x", "data", "arr_0")
LABEL_KEYS = ("labels", "y", "label")
BLOCK_BYTES = 64 * 2**20
OVER_WHITE = "transparency laid over white"
TO_8_BITS = "16 bits scaled to 8"
_REPAIR = "; save a plain numeric array, e.g. np.save(file, np.stack(items))"


def load_npy(file: str | Path, *, memory_limit: int | None = None) -> ArraySource:
    """Load a ``.npy`` file: into memory, or memory-mapped when it is larger than ``memory_limit`` bytes.

    Layouts and values as in ``from_array``. Raises DataError for a damaged file or an object array.
    """
    path = Path(file)
    limit = resolve_memory_limit(memory_limit)
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if array.nbytes <= limit:
            array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{file} cannot be read as a .npy array: {_short(error)}{_REPAIR}.") from error
    return from_array(array, name=str(file))


def load_npz(file: str | Path, key: str | None = None, *, memory_limit: int | None = None) -> ArraySource:
    """Load one array of a ``.npz`` file, with labels where the file has them.

    The array is ``key``, or the first present of images, x, data, arr_0, or the only one that is not labels.
    Labels are the first present of labels, y, label. Raises DataError for a damaged file, an unknown key,
    several candidates, or an array larger than ``memory_limit`` (an .npz cannot be memory-mapped).
    """
    limit = resolve_memory_limit(memory_limit)
    try:
        with np.load(Path(file), allow_pickle=False) as archive:
            names = list(archive.files)
            chosen = _choose_key(str(file), names, key)
            size = _unpacked_bytes(archive.zip, chosen)
            if size > limit:
                raise DataError(
                    f"{file}: array {chosen!r} takes {byte_words(size)} in memory, and memory_limit is "
                    f"{byte_words(limit)}; save it as .npy, which is memory-mapped."
                )
            array = archive[chosen]
            label_key = next((each for each in LABEL_KEYS if each in names and each != chosen), None)
            labels = None if label_key is None else archive[label_key]
    except DataError:
        raise
    except (OSError, ValueError, EOFError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        raise DataError(f"{file} cannot be read as an .npz archive: {_short(error)}{_REPAIR}.") from error
    return from_array(array, name=str(file), labels=labels)


def from_array(array: Array, *, name: str = "array", labels: Array | None = None) -> ArraySource:
    """Make a source of an array of vectors or images, in the layouts that the module's docstring states.

    Images: uint8 as they are; bool as black and white; uint16 scaled to 8 bits; other integers must lie
    in 0..255; floats must lie in [0, 1] and become float32. Vectors: any numbers, as float32. A memory-mapped
    array stays on disk and is converted when it is gathered; every value is checked once, block by block. What is lost
    is in the source's notes: OVER_WHITE, TO_8_BITS.

    Raises DataError for another layout or dtype, NaN or Inf (naming the first bad
    item), or values out of range.
    """
    if array.dtype.kind not in "buif":
        raise DataError(f"{name} is an array of dtype {array.dtype}, which holds no signals{_REPAIR}.")
    if array.ndim < 2 or array.size == 0:
        raise DataError(
            f"{name} has shape {list(array.shape)}; a data set is [N, D] vectors, [N, H, W] grey images, "
            "[N, H, W, C] or [N, C, H, W], with at least one item."
        )
    images = array.ndim > 2
    standard = _channels_first(array, name) if images else array
    alpha = images and standard.shape[1] == 4
    convert = _conversion(array, name, images=images, alpha=alpha)
    notes = [OVER_WHITE] * alpha + [TO_8_BITS] * (images and array.dtype == np.uint16)
    bits = array.dtype.itemsize * 8 * standard.shape[1]
    if labels is not None:
        labels = _checked_labels(labels, name)
    if convert is not None and not isinstance(standard, np.memmap):
        standard, convert = _converted_now(standard, convert), None
    return ArraySource(
        standard, name=name, labels=labels, convert=convert, notes=notes, position_bits=np.full(len(array), bits)
    )


def _channels_first(array: Array, name: str) -> Array:
    """Return images as a view [N, C, H, W], by the rule in the module's docstring."""
    shape = array.shape
    if array.ndim == 3 and min(shape[1:]) >= MIN_SIDE:
        return array[:, None]
    if array.ndim == 4 and shape[3] in (1, 3, 4) and min(shape[1:3]) >= MIN_SIDE:
        return np.moveaxis(array, 3, 1)
    if array.ndim == 4 and shape[1] in (1, 3, 4) and min(shape[2:]) >= MIN_SIDE:
        return array
    hint = ""
    if array.ndim == 3 and 3 in (shape[0], shape[2]):
        hint = "; for a single image add a leading axis, array[None]"
    raise DataError(
        f"{name} has shape {list(shape)}; images are [N, H, W], [N, H, W, C] or [N, C, H, W] with C = 1, 3 "
        "or 4 and "
        f"sides of at least {MIN_SIDE}, vectors are [N, D]{hint}."
    )


def _conversion(array: Array, name: str, *, images: bool, alpha: bool) -> Callable[[Array], Array] | None:
    """Check all values, and return what turns a block [B, C, *size] into uint8 or float32; None: nothing."""
    if array.dtype.kind == "f":
        _check_floats(array, name, images=images)
        if images and alpha:
            return _float_over_white
        return None if array.dtype == np.float32 else _as_float32
    if not images:
        return _as_float32
    if array.dtype in (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(bool)):
        scale = {"uint8": _unchanged, "uint16": scale_16_bit, "bool": _black_and_white}[array.dtype.name]
    else:
        lowest, highest = int(array.min()), int(array.max())
        if lowest < 0 or highest > 255:
            raise DataError(
                f"{name} holds {array.dtype} values {lowest}..{highest}; integer images are 0..255 (or "
                "dtype uint16, "
                "0..65535): rescale them and save as uint8."
            )
        scale = _as_uint8
    if alpha:
        return lambda block: over_white(scale(block)[:, :3], scale(block)[:, 3:])
    return None if scale is _unchanged else scale


def _check_floats(array: Array, name: str, *, images: bool) -> None:
    """Raise DataError for NaN, Inf, what float32 cannot hold, or images outside [0, 1]; in blocks."""
    lowest, highest = np.inf, -np.inf
    for start, block in _blocks(array):
        flat = np.asarray(block).reshape(len(block), -1)
        low, high = flat.min(axis=1), flat.max(axis=1)
        bad = ~(np.isfinite(low) & np.isfinite(high))
        if bad.any():
            item = start + int(np.argmax(bad))
            raise DataError(
                f"{name}: item {item} holds NaN or Inf; every value must be a finite number: drop or repair that item."
            )
        lowest, highest = min(lowest, float(low.min())), max(highest, float(high.max()))
    if images and (lowest < 0 or highest > 1):
        fix = "divide by 255" if lowest >= 0 and 1 < highest <= 255 else "rescale them, e.g. (x - x.min()) / np.ptp(x)"
        raise DataError(
            f"{name} holds float values {lowest:g}..{highest:g}; float images lie in [0, 1], where 0 is "
            "black and 1 "
            f"is white: {fix}, or save as uint8."
        )
    if max(abs(lowest), abs(highest)) > float(np.finfo(np.float32).max):
        raise DataError(f"{name} holds values {lowest:g}..{highest:g}, more than float32 can hold: rescale them.")


def _blocks(array: Array) -> list[tuple[int, Array]]:
    rows = max(1, BLOCK_BYTES // max(1, array[0].nbytes))
    return [(start, array[start : start + rows]) for start in range(0, len(array), rows)]


def _converted_now(array: Array, convert: Callable[[Array], Array]) -> Array:
    parts = [convert(np.ascontiguousarray(block)) for _, block in _blocks(array)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _checked_labels(labels: Array, name: str) -> Array:
    if labels.dtype.kind not in "biu" or labels.ndim != 1:
        raise DataError(
            f"{name}: labels are {labels.dtype} of shape {list(labels.shape)}; labels are one whole number "
            "per item, "
            "shape [N]."
        )
    return labels.astype(np.int64)


def _choose_key(file: str, names: list[str], key: str | None) -> str:
    if key is not None and key not in names:
        raise DataError(f"{file} has no array {key!r}; it holds: {', '.join(names) or 'nothing'}.")
    if key is not None:
        return key
    named = [each for each in IMAGE_KEYS if each in names]
    rest = [each for each in names if each not in LABEL_KEYS]
    if named or len(rest) == 1:
        return (named or rest)[0]
    raise DataError(
        f"{file} holds {len(names)} arrays ({', '.join(names)}) and none is called "
        f"{' or '.join(IMAGE_KEYS)}; "
        f"name one, e.g. {file}:{names[0] if names else 'images'}."
    )


def _unpacked_bytes(archive: zipfile.ZipFile, key: str) -> int:
    """Return the size that the zip directory states; reading stops there, so it bounds what is allocated."""
    names = archive.namelist()
    return archive.getinfo(key if key in names else f"{key}.npy").file_size


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _unchanged(block: Array) -> Array:
    return block


def _as_float32(block: Array) -> Array:
    return block.astype(np.float32)


def _as_uint8(block: Array) -> Array:
    return block.astype(np.uint8)


def _black_and_white(block: Array) -> Array:
    return block.astype(np.uint8) * np.uint8(255)


def _float_over_white(block: Array) -> Array:
    wide: Any = block.astype(np.float32)
    colour, alpha = wide[:, :3], wide[:, 3:]
    return (colour * alpha + (1 - alpha)).clip(0, 1).astype(np.float32)
