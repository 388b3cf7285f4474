"""Random crops of items of any size: where they may lie, and how small items are made large enough."""

from __future__ import annotations

import numpy as np

from vqkit.data.rng import below
from vqkit.data.source import Array, Source
from vqkit.signals import Signal


def default_crop(source: Source) -> int | None:
    """Return the side of the crops to train on (pixels, samples), or None to train on whole items.

    The kind of signal says it. Images: None where all have one size of at most 256 a side, else 128, or the median of
    the shorter sides rounded down to a multiple of 16 (at least 16) where that is less.

    Example:
        >>> import vqkit
        >>> from vqkit.data import default_crop
        >>> print(default_crop(vqkit.load_source("builtin:digits")))  # images of one small size are read whole
        None
    """
    return None if source.dtype == np.int32 else source.kind.default_crop(source.item_sizes())


def training_size(source: Source, crop: int | None) -> tuple[int, ...] | None:
    """Return the size of the items that training sees; None: several sizes."""
    return source.size if crop is None else source.kind.crop_size(crop, source.item_sizes())


def crop_starts(words: Array, size: Array, crop: tuple[int, ...]) -> Array:
    """Return where crops begin, int64 [B, axes], uniform over all places, from random words uint64 [B, axes].

    Items are of one size int64 [axes], or each of its own, [B, axes].
    """
    starts = [below(words[:, axis], np.asarray(size[..., axis]) - side + 1) for axis, side in enumerate(crop)]
    return np.stack(starts, axis=1)


def crop_item(item: Array, words: Array, crop: tuple[int, ...], kind: Signal) -> Array:
    """Return the crop [C, *crop] of one item that the random words uint64 [axes] choose.

    An item that is too small is first made larger, as its kind says (images are upscaled, sounds padded).
    """
    large = kind.enlarge(item, crop)
    return _cut(large, crop_starts(words[None], np.array(large.shape[1:]), crop)[0], crop)


def random_crop(source: Source, index: int, words: Array, crop: tuple[int, ...]) -> Array:
    """Return the crop ``[C, *crop]`` of an item of a source that the random words uint64 [axes] choose.

    Where the source reads parts, only the crop is read: that of an hour of sound is a second of it.
    """
    if source.reads_parts:
        size = source.item_size(index)
        if all(have >= want for have, want in zip(size, crop, strict=True)):
            return source.part(index, crop_starts(words[None], np.array(size), crop)[0].tolist(), crop)
    return crop_item(source.peek(index), words, crop, source.kind)


def middle_crop(source: Source, index: int, crop: tuple[int, ...]) -> Array:
    """Return the middle ``[C, *crop]`` of an item of a source; where the source reads parts, only that is read."""
    if source.reads_parts:
        size = source.item_size(index)
        if all(have >= want for have, want in zip(size, crop, strict=True)):
            starts = [(have - want) // 2 for have, want in zip(size, crop, strict=True)]
            return source.part(index, starts, crop)
    return crop_middle(source.peek(index), crop, source.kind)


def crop_middle(item: Array, crop: tuple[int, ...], kind: Signal) -> Array:
    """Return the middle [C, *crop] of one item, made larger where it is too small."""
    large = kind.enlarge(item, crop)
    return _cut(large, (np.array(large.shape[1:]) - crop) // 2, crop)


def _cut(item: Array, starts: Array, crop: tuple[int, ...]) -> Array:
    places = (slice(int(start), int(start) + side) for start, side in zip(starts, crop, strict=True))
    return item[(slice(None), *places)]
