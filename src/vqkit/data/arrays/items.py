"""Signals that are handed over one by one: lists of pictures, arrays and paths, and data sets in the sense of torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vqkit.checking import reason, shown
from vqkit.data.arrays.loading import IMAGE_KEYS, LABEL_KEYS, from_array
from vqkit.data.arrays.memory import ArraySource, RaggedSource
from vqkit.data.images.reading import decode_image, from_picture, to_channels
from vqkit.data.source import Array, Source
from vqkit.errors import DataError
from vqkit.signals import Signal, signal_kind

_IMAGE_KEYS = ("image", "img", *IMAGE_KEYS)


def holds_items(spec: Any) -> bool:
    """Tell whether an object is a sequence of signals (it has a length and items), not one array of numbers."""
    if isinstance(spec, list | tuple):
        return len(spec) > 0 and not isinstance(spec[0], int | float | bool | list)
    single = hasattr(spec, "__array__") or hasattr(spec, "numpy") or isinstance(spec, str | bytes | dict)
    return not single and hasattr(spec, "__len__") and hasattr(spec, "__getitem__")


def holds_batches(spec: Any) -> bool:
    """Tell whether an object is a loader of batches in the sense of torch (``DataLoader``)."""
    return all(hasattr(spec, name) for name in ("dataset", "collate_fn", "batch_size", "__iter__"))


def stream_error(name: str) -> DataError:
    """Return what is said of an object that gives items one after the other, and has no length."""
    return DataError(
        f"{name} reads a stream, whose end nobody knows; give its first items as a list: "
        "list(itertools.islice(dataset, 10_000))"
    )


def from_batches(spec: Any, kind: Signal | None = None) -> Source:
    """Make a source of all items of a ``DataLoader``, in memory, in the order of one pass over it.

    A batch is a tensor or an array ``[batch, ...]``, a list of pictures, or such signals with labels (see
    ``from_items``). How many items a batch of training has is a setting of the training.

    Raises DataError for a loader of a stream, whose end nobody knows, and for what ``from_items`` refuses.
    """
    name = type(spec).__name__
    try:
        count = len(spec)
    except TypeError:
        raise stream_error(name) from None
    items: list[Any] = []
    for number, batch in zip(range(count), spec, strict=False):
        if spec.batch_size is None and getattr(spec, "batch_sampler", None) is None:
            items.append(batch)
            continue
        pictures = isinstance(batch, list | tuple) and len(batch) > 0 and isinstance(batch[0], Image.Image)
        signals, labels = (batch, None) if pictures else signal_and_label(batch, f"{name}: batch {number}")
        items += list(signals) if labels is None else list(zip(signals, labels, strict=True))
    return from_items(items, kind)


def from_items(spec: Any, kind: Signal | str | None = None) -> Source:
    """Make a source of all items of a sequence, in memory.

    An item is a Pillow image, the path of an image file, an array or a tensor of one layout that ``from_array`` knows;
    or such a signal with a label: a pair, or a mapping with keys such as "image" and "label". Pictures may differ in
    size; so may the arrays [C, *size] of a kind that is said.

    Raises DataError for no items, items that are no signals, or arrays of different shapes.
    """
    name = type(spec).__name__ if not isinstance(spec, list | tuple) else "list"
    signals: list[Array] = []
    labels: list[Any] = []
    pictures = 0
    names: list[str] = []
    for number in range(len(spec)):
        signal, label = signal_and_label(spec[number], f"{name}: item {number}")
        pictures += isinstance(signal, Image.Image | str | os.PathLike)
        names += [os.fspath(signal)] if isinstance(signal, str | os.PathLike) else []
        signals.append(_array(signal, f"{name}: item {number}"))
        labels += [] if label is None else [label]
    if not signals:
        raise DataError(f"{name} holds no items; a source needs at least one.")
    if pictures not in (0, len(signals)):
        raise DataError(f"{name} holds {pictures:,} pictures and {len(signals) - pictures:,} arrays; give one kind.")
    known = _labels(labels, len(signals), name)
    about: dict[str, Any] = {"name": name, "labels": known, "class_names": _class_names(spec)}
    about |= {"item_names": names} if len(names) == len(signals) else {}
    if pictures:
        channels = max(each.shape[0] for each in signals)
        signals = [to_channels(each, channels) for each in signals]
    shapes = sorted({each.shape for each in signals})
    if len(shapes) == 1:
        stacked = np.stack(signals)
        return ArraySource(stacked, **about) if pictures else from_array(stacked, name=name, labels=known, kind=kind)
    if not pictures and kind is not None:
        read_as = signal_kind(kind)
        signals = [read_as.checked(item, f"{name}: item {number}") for number, item in enumerate(signals)]
        return ragged(signals, read_as, name=name, labels=known)
    if not pictures:
        raise DataError(
            f"{name} holds arrays of {len(shapes)} shapes ({list(shapes[0])} to {list(shapes[-1])}), which do not "
            "stack: give arrays of one shape, Pillow images, or say their kind (kind='sound')."
        )
    return ragged(signals, signal_kind("image"), **about)


def ragged(items: list[Array], kind: Signal, **about: Any) -> RaggedSource:
    """Make a source of arrays [C, *size] of different sizes, one after the other; ``about``: its other arguments.

    Raises DataError where the number of channels or the dtype differs.
    """
    kinds = sorted({(len(item), str(item.dtype)) for item in items})
    if len(kinds) > 1:
        said = " and ".join(f"{channels} channels of {dtype}" for channels, dtype in kinds[:2])
        raise DataError(f"{about['name']} holds {kind.noun[1]} of {said}; give all the same channels and dtype.")
    lengths = np.array([item.size for item in items], dtype=np.int64)
    return RaggedSource(
        np.concatenate([item.ravel() for item in items]),
        np.concatenate([[0], np.cumsum(lengths)[:-1]]),
        np.array([item.shape[1:] for item in items], dtype=np.int64),
        channels=len(items[0]),
        kind=kind,
        **about,
    )


def signal_and_label(item: Any, what: str) -> tuple[Any, Any]:
    """Return the signal and the label (or None) of an item, or those of a batch of them.

    Raises DataError for a mapping without a key of a signal.
    """
    if isinstance(item, dict):
        key = next((each for each in _IMAGE_KEYS if each in item), None)
        if key is None:
            raise DataError(f"{what} has keys {', '.join(map(str, item))}; the signal's is one of {_IMAGE_KEYS}.")
        return item[key], next((item[each] for each in LABEL_KEYS if each in item), None)
    if isinstance(item, list | tuple):
        return item[0], item[1] if len(item) > 1 else None
    return item, None


def _array(signal: Any, what: str) -> Array:
    if isinstance(signal, Image.Image | str | os.PathLike):
        try:
            return from_picture(signal) if isinstance(signal, Image.Image) else decode_image(Path(signal))[0]
        except DataError as error:
            where = f"{what}: {shown(os.fspath(signal))}" if isinstance(signal, str | os.PathLike) else what
            raise DataError(f"{where}: {reason(error)}") from error
    for step in ("detach", "cpu", "numpy"):
        signal = getattr(signal, step, lambda signal=signal: signal)()
    if not hasattr(signal, "__array__"):
        raise DataError(f"{what} is a {type(signal).__name__}; give Pillow images, arrays or tensors.")
    return np.asarray(signal)


def _class_names(spec: Any) -> list[str] | None:
    """The names of the classes, of a Hugging Face ``Dataset`` whose column of labels says them."""
    features = getattr(spec, "features", None)
    columns = [features[key] for key in LABEL_KEYS if key in features] if isinstance(features, dict) else []
    names = getattr(columns[0], "names", None) if columns else None
    return [str(each) for each in names] if isinstance(names, list) else None


def _labels(labels: list[Any], count: int, name: str) -> Array | None:
    if not labels:
        return None
    found = np.array(
        [int(each) if np.ndim(each) == 0 and np.asarray(each).dtype.kind in "biu" else -2 for each in labels]
    )
    if len(found) != count or (found == -2).any():
        raise DataError(f"{name}: labels are one whole number for each item, or none at all.")
    return found
