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

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from vqkit.data.arrays.labels import array_labels
from vqkit.data.arrays.memory import ArraySource
from vqkit.data.arrays.npy import open_npz, read_npy
from vqkit.data.images.files import HAIR, MIN_SIDE
from vqkit.data.images.reading import over_white, scale_16_bit
from vqkit.data.ranges import fill_words, scale_words
from vqkit.data.source import Array, byte_words
from vqkit.errors import DataError
from vqkit.resources import resolve_memory_limit

IMAGE_KEYS = ("images", "x", "data", "arr_0")
LABEL_KEYS = ("labels", "y", "label")
BLOCK_BYTES = 64 * 2**20
OVER_WHITE = "transparency laid over white"
TO_8_BITS = "16 bits scaled to 8"
CLIPPED = "values a hair beyond [0, 1] (rounding) taken for 0 and 1"
_REPAIR = "; save a plain numeric array, e.g. np.save(file, np.stack(items))"


def load_npy(file: str | Path, *, memory_limit: int | str | None = None) -> ArraySource:
    """Load a ``.npy`` file: into memory, or memory-mapped when it is larger than ``memory_limit`` bytes.

    Layouts and values as in ``from_array``. Raises DataError for a damaged file or an object array.
    """
    limit = resolve_memory_limit(memory_limit)
    return from_array(read_npy(Path(file), limit=limit), name=str(file))


def load_npz(file: str | Path, key: str | None = None, *, memory_limit: int | str | None = None) -> ArraySource:
    """Load one array of a ``.npz`` file, with labels where the file has them.

    The array is ``key``, or the first present of images, x, data, arr_0, or the only one that is not labels. Labels
    are the first present of labels, y, label: whole numbers, names, or true and false. Raises DataError for a damaged
    file, an unknown key, several candidates, or an array larger than ``memory_limit`` (an .npz cannot be
    memory-mapped).
    """
    limit = resolve_memory_limit(memory_limit)
    with open_npz(Path(file)) as archive:
        chosen = _choose_key(str(file), archive.names, key)
        size = archive.nbytes(chosen)
        if size > limit:
            raise DataError(
                f"{file}: array {chosen!r} takes {byte_words(size)} in memory, and memory_limit is "
                f"{byte_words(limit)}; save it as .npy, which is memory-mapped."
            )
        array = archive.read(chosen)
        label_key = next((each for each in LABEL_KEYS if each in archive.names and each != chosen), None)
        labels = None if label_key is None else archive.read(label_key)
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
    if isinstance(array, np.ma.MaskedArray):
        if np.ma.is_masked(array):
            raise DataError(f"{name} has masked values, which are no signal; fill them (array.filled(0)) or drop them.")
        array = np.asarray(array)
    if array.dtype.names is not None:
        raise DataError(f"{name} holds records; take one of the fields {', '.join(array.dtype.names)}: array[field].")
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
    notes = [OVER_WHITE] * alpha + [TO_8_BITS] * (images and _native(array) == np.uint16)
    notes += [CLIPPED] * (convert is not None and convert is _clipped)
    bits = array.dtype.itemsize * 8 * standard.shape[1]
    numbers, class_names, told = (None, None, []) if labels is None else array_labels(labels, name)
    if convert is not None and not isinstance(standard, np.memmap):
        standard, convert = _converted_now(standard, convert), None
    return ArraySource(
        standard,
        name=name,
        labels=numbers,
        class_names=class_names,
        convert=convert,
        notes=[*notes, *told],
        position_bits=bits,
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
        beyond = _check_floats(array, name, images=images)
        if images and alpha:
            return _float_over_white
        if beyond:
            return _clipped
        return None if array.dtype == np.float32 else _as_float32
    if not images:
        return _as_float32
    dtype = _native(array)
    if dtype in (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(bool)):
        scale = {"uint8": _unchanged, "uint16": scale_16_bit, "bool": _black_and_white}[dtype.name]
    else:
        lowest, highest = int(array.min()), int(array.max())
        if lowest < 0 or highest > 255:
            raise DataError(
                f"{name} holds {array.dtype} values {lowest}..{highest}; integer images are 0..255 (or "
                f"dtype uint16, 0..65535){fill_words(lowest, highest)}; then scale them and save as uint8."
            )
        scale = _as_uint8
    if alpha:
        return partial(_scaled_over_white, scale)
    return None if scale is _unchanged else scale


def _native(array: Array) -> np.dtype[Any]:
    """The dtype whatever the order of its bytes."""
    return array.dtype.newbyteorder("=")


def _check_floats(array: Array, name: str, *, images: bool) -> bool:
    """Whether images lie a hair beyond [0, 1] somewhere; in blocks.

    Raises DataError for NaN, Inf, what float32 cannot hold, or images beyond [0, 1] by more.
    """
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
    if images and (lowest < -HAIR or highest > 1 + HAIR):
        raise DataError(
            f"{name} holds float values {lowest:g}..{highest:g}; float images lie in [0, 1], where 0 is "
            "black and 1 "
            f"is white: {scale_words(lowest, highest)}."
        )
    if max(abs(lowest), abs(highest)) > float(np.finfo(np.float32).max):
        raise DataError(f"{name} holds values {lowest:g}..{highest:g}, more than float32 can hold: rescale them.")
    return images and (lowest < 0 or highest > 1)


def _blocks(array: Array) -> list[tuple[int, Array]]:
    rows = max(1, BLOCK_BYTES // max(1, array[0].nbytes))
    return [(start, array[start : start + rows]) for start in range(0, len(array), rows)]


def _converted_now(array: Array, convert: Callable[[Array], Array]) -> Array:
    parts = [convert(np.ascontiguousarray(block)) for _, block in _blocks(array)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


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


def _unchanged(block: Array) -> Array:
    return block


def _as_float32(block: Array) -> Array:
    return block.astype(np.float32)


def _as_uint8(block: Array) -> Array:
    return block.astype(np.uint8)


def _black_and_white(block: Array) -> Array:
    return block.astype(np.uint8) * np.uint8(255)


def _clipped(block: Array) -> Array:
    return block.astype(np.float32).clip(0, 1)


def _scaled_over_white(scale: Callable[[Array], Array], block: Array) -> Array:
    scaled = scale(block)
    return over_white(scaled[:, :3], scaled[:, 3:])


def _float_over_white(block: Array) -> Array:
    wide: Any = block.astype(np.float32)
    colour, alpha = wide[:, :3], wide[:, 3:]
    return (colour * alpha + (1 - alpha)).clip(0, 1).astype(np.float32)
