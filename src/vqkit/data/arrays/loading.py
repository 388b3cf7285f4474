"""NumPy arrays, in memory or in ``.npy`` and ``.npz`` files, as sources. Nothing is ever unpickled.

The rule that reads a shape:

- ``[N, D]`` is N vectors of D numbers.
- ``[N, H, W]`` is N grey images.
- ``[N, ?, ?, ?]`` is N images. Channels are the last axis if it is 1, 3 or 4 and the two axes before it
  are at least 4 (the smallest side of an image); else the second axis, if it is 1, 3 or 4 and the two after
  it are at least 4. Where both readings are possible, channels last wins: so NumPy programs write images.

- ``[N, C, T, H, W]`` (or ``[N, T, H, W, C]``) is N videos.

Four channels are RGB with transparency, laid over white. A ``kind`` that is said replaces the rule: ``kind="sound"``
reads ``[N, C, T]`` or ``[N, T]``. What each kind reads is in its ``layouts``.
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
from vqkit.data.arrays.safetensors import read_safetensors
from vqkit.data.images.reading import over_white, scale_16_bit
from vqkit.data.source import Array, byte_words
from vqkit.errors import DataError
from vqkit.resources import resolve_memory_limit
from vqkit.signals import Image, Range, Signal, Vector, Video, signal_kind
from vqkit.signals.base import fill_words
from vqkit.spelling import option

IMAGE_KEYS = ("images", "x", "data", "arr_0")
LABEL_KEYS = ("labels", "y", "label")
BLOCK_BYTES = 64 * 2**20
OVER_WHITE = "transparency laid over white"
TO_8_BITS = "16 bits scaled to 8"
CLIPPED = "values a hair beyond [{0:g}, {1:g}] (rounding) taken for {0:g} and {1:g}"
_REPAIR = "; save a plain numeric array, e.g. np.save(file, np.stack(items))"


def load_npy(
    file: str | Path, *, memory_limit: int | str | None = None, kind: Signal | str | None = None
) -> ArraySource:
    """Load a ``.npy`` file: into memory, or memory-mapped when it is larger than ``memory_limit`` bytes.

    Layouts and values as in ``from_array``. Raises DataError for a damaged file or an object array.
    """
    limit = resolve_memory_limit(memory_limit)
    return from_array(read_npy(Path(file), limit=limit), name=str(file), kind=kind)


def load_safetensors(
    file: Path, key: str | None, memory_limit: int | str | None = None, kind: Signal | str | None = None
) -> ArraySource:
    """Load one tensor of a ``.safetensors`` file: into memory, or memory-mapped as ``load_npy`` does.

    Raises DataError for a damaged file, or several tensors of which none is named.
    """
    limit = resolve_memory_limit(memory_limit)
    return from_array(read_safetensors(file, key, limit=limit), name=str(file), kind=kind)


def load_npz(
    file: str | Path,
    key: str | None = None,
    *,
    memory_limit: int | str | None = None,
    kind: Signal | str | None = None,
) -> ArraySource:
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
    return from_array(array, name=str(file), labels=labels, kind=kind)


def from_array(
    array: Array, *, name: str = "array", labels: Array | None = None, kind: Signal | str | None = None
) -> ArraySource:
    """Make a source of an array of signals, of a kind or as the module's docstring states.

    Images: uint8 as they are; bool as black and white; uint16 scaled to 8 bits; other integers must lie
    in 0..255; floats must lie in [0, 1] and become float32. Vectors: any numbers, as float32. Other kinds: floats in
    their range (video: what images are made of). A memory-mapped
    array stays on disk and is converted when it is gathered; every value is checked once, block by block. What is lost
    is in the source's notes: OVER_WHITE, TO_8_BITS.

    Raises DataError for another layout or dtype, NaN or Inf (naming the first bad
    item), or values out of range.
    """
    read_as = None if kind is None else signal_kind(kind)
    gaps = read_as is not None and read_as.gaps
    if isinstance(array, np.ma.MaskedArray) and not gaps:
        if np.ma.is_masked(array):
            raise DataError(f"{name} has masked values, which are no signal; fill them (array.filled(0)) or drop them.")
        array = np.asarray(array)
    if array.dtype.names is not None:
        raise DataError(f"{name} holds records; take one of the fields {', '.join(array.dtype.names)}: array[field].")
    if array.dtype.kind not in "buif":
        raise DataError(f"{name} is an array of dtype {array.dtype}, which holds no signals{_REPAIR}.")
    if gaps and read_as is not None and (not array.ndim or array.size == 0):
        raise DataError(f"{name} has shape {list(array.shape)}, which holds no values; fields are {read_as.layouts}.")
    if array.ndim < (1 if gaps else 2) or array.size == 0:
        raise DataError(
            f"{name} has shape {list(array.shape)}; a data set is [N, D] vectors, [N, H, W] grey images, "
            "[N, H, W, C] or [N, C, H, W], with at least one item."
        )
    read_as, said = (_guessed(array) if read_as is None else read_as).settled(array, name)
    standard = _channels_first(array, name, read_as, guess=kind is None)
    alpha = read_as.transparency and standard.shape[1] == 4
    convert, beyond = _conversion(array, name, read_as, alpha=alpha)
    notes = said + [OVER_WHITE] * alpha + [TO_8_BITS] * (read_as.levels == 256 and _native(array) == np.uint16)
    notes += [CLIPPED.format(*read_as.value_range)] if beyond and read_as.value_range else []
    if kind is None and array.ndim == 3 and array.dtype.itemsize > 1:
        notes.append(f"read as grey images [N, H, W]; say {option('kind', 'sound')} if these are sounds [N, C, T]")
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
        kind=read_as,
    )


def _guessed(array: Array) -> Signal:
    """Return what kind an array holds whose kind nobody said: by its number of axes."""
    return Vector() if array.ndim == 2 else Video() if array.ndim == 5 else Image()


def _channels_first(array: Array, name: str, kind: Signal, *, guess: bool) -> Array:
    """Return signals as a view [N, C, *size], as their kind reads the shape."""
    standard = kind.channels_first(array)
    if standard is not None:
        return standard
    hint = ", vectors are [N, D]" if guess else ""
    if array.ndim == 3 and 3 in (array.shape[0], array.shape[2]):
        hint += "; for a single image add a leading axis, array[None]"
    elif guess and array.ndim == 3:
        hint += f", [N, C, T] is sound where you say {option('kind', 'sound')}"
    raise DataError(f"{name} has shape {list(array.shape)}; {kind.noun[1]} are {kind.layouts}{hint}.")


def _conversion(array: Array, name: str, kind: Signal, *, alpha: bool) -> tuple[Callable[[Array], Array] | None, bool]:
    """Check all values, and return what turns a block [B, C, *size] into uint8 or float32 (None: nothing).

    And whether some lie a hair beyond the range.
    """
    if kind.gaps:
        return _gappy(array, name, kind), False
    if array.dtype.kind == "f":
        beyond = _check_floats(array, name, kind)
        if alpha:
            return _float_over_white, False
        if beyond and kind.value_range is not None:
            return partial(_clipped, kind.value_range), True
        return (None if array.dtype == np.float32 else _as_float32), False
    return _from_integers(array, name, kind, alpha=alpha), False


def _gappy(array: Array, name: str, kind: Signal) -> Callable[[Array], Array] | None:
    """What turns blocks of a kind with gaps into floats with NaN for them, all values checked for infinity."""
    masked = isinstance(array, np.ma.MaskedArray) and bool(np.ma.is_masked(array))
    for start, block in _blocks(array) if array.dtype.kind == "f" else []:
        bad = np.isinf(kind.as_floats(block)).reshape(len(block), -1).any(axis=1)
        if bad.any():
            raise DataError(
                f"{name}: row {start + int(np.argmax(bad))} holds infinity; every value must be a finite number, or "
                "NaN for a gap (another number for gaps is said as nodata)."
            )
    plain = array.dtype == np.float32 and array.dtype.isnative and getattr(kind, "nodata", None) is None
    return None if plain and not masked else kind.as_floats


def _from_integers(array: Array, name: str, kind: Signal, *, alpha: bool) -> Callable[[Array], Array] | None:
    if kind.value_range is None:
        return _as_float32
    if kind.levels is None:
        raise DataError(
            f"{name} is of {array.dtype}, and of integers nobody knows the range; {kind.noun[1]} are floats of "
            f"[{kind.value_range[0]:g}, {kind.value_range[1]:g}]: {kind.repair_range(0.0, 256.0)}."
        )
    dtype = _native(array)
    if dtype in (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(bool)):
        scale = {"uint8": _unchanged, "uint16": scale_16_bit, "bool": _black_and_white}[dtype.name]
    else:
        lowest, highest = int(array.min()), int(array.max())
        if lowest < 0 or highest > 255:
            raise DataError(
                f"{name} holds {array.dtype} values {lowest}..{highest}; integer {kind.noun[1]} are 0..255 (or "
                f"dtype uint16, 0..65535){fill_words(lowest, highest)}; then scale them and save as uint8."
            )
        scale = _as_uint8
    if alpha:
        return partial(_scaled_over_white, scale)
    return None if scale is _unchanged else scale


def _native(array: Array) -> np.dtype[Any]:
    """The dtype whatever the order of its bytes."""
    return array.dtype.newbyteorder("=")


def _check_floats(array: Array, name: str, kind: Signal) -> bool:
    """Return True if some value lies beyond the kind's range by no more than rounding; reads in blocks.

    Raises DataError for NaN, Inf, what float32 cannot hold, or values beyond the range by more.
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
    kind.check_range(lowest, highest, name)
    if max(abs(lowest), abs(highest)) > float(np.finfo(np.float32).max):
        raise DataError(f"{name} holds values {lowest:g}..{highest:g}, more than float32 can hold: rescale them.")
    return kind.value_range is not None and (lowest < kind.value_range[0] or highest > kind.value_range[1])


def _blocks(array: Array) -> list[tuple[int, Array]]:
    rows = max(1, BLOCK_BYTES // max(1, array[0].nbytes))
    return [(start, array[start : start + rows]) for start in range(0, len(array), rows)]


def _converted_now(array: Array, convert: Callable[[Array], Array]) -> Array:
    plain = np.asanyarray if isinstance(array, np.ma.MaskedArray) else np.ascontiguousarray
    parts = [convert(plain(block)) for _, block in _blocks(array)]
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


def _clipped(bounds: Range, block: Array) -> Array:
    return block.astype(np.float32).clip(*bounds)


def _scaled_over_white(scale: Callable[[Array], Array], block: Array) -> Array:
    scaled = scale(block)
    return over_white(scaled[:, :3], scaled[:, 3:])


def _float_over_white(block: Array) -> Array:
    wide: Any = block.astype(np.float32)
    color, alpha = wide[:, :3], wide[:, 3:]
    return (color * alpha + (1 - alpha)).clip(0, 1).astype(np.float32)
