"""Signals that are handed over one by one: lists of pictures, arrays and paths, and data sets in the sense of torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from PIL import Image

from vqkit.checking import reason, shown
from vqkit.data.arrays.loading import IMAGE_KEYS, LABEL_KEYS, from_array
from vqkit.data.arrays.memory import ArraySource, RaggedSource
from vqkit.data.images.reading import decode_image, from_picture, to_channels
from vqkit.data.source import Array, Source
from vqkit.errors import DataError
from vqkit.signals import Signal, signal_kind
from vqkit.spelling import option

_IMAGE_KEYS = ("image", "img", *IMAGE_KEYS, "pixel_values")


@runtime_checkable
class IndexSet(Protocol):
    """Protocol of a set of indices (``vqkit.tokens.Tokens``): its items are no signals."""

    codebook_size: int

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any, /) -> Any: ...


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
        f"{name} reads a stream, whose end nobody knows; give its first items as a list, "
        "list(itertools.islice(dataset, 10_000)), and batches joined: np.concatenate(list(batches))"
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
    or such a signal with a label: a pair, or a mapping with keys such as "image" (``_IMAGE_KEYS``) and "label"
    (``LABEL_KEYS``). Sizes may differ; of arrays each is then read by itself, channels first or last.

    Raises DataError for no items, items that are no signals, vectors of different lengths, and arrays of which some are
    floats and some integers.
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
        labels.append(label)
    if not signals:
        raise DataError(f"{name} holds no items; a source needs at least one.")
    if pictures not in (0, len(signals)):
        raise DataError(f"{name} holds {pictures:,} pictures and {len(signals) - pictures:,} arrays; give one kind.")
    known = _labels(labels, name)
    about: dict[str, Any] = {"name": name, "labels": known, "class_names": _class_names(spec)}
    about |= {"item_names": names} if len(names) == len(signals) else {}
    if pictures:
        channels = max(each.shape[0] for each in signals)
        signals = [to_channels(each, channels) for each in signals]
        if len({each.shape for each in signals}) == 1:
            return ArraySource(np.stack(signals), **about)
        return ragged(signals, signal_kind("image"), **about)
    read_as = None if kind is None else signal_kind(kind)
    notes = _check_alike(signals, name, read_as)
    if len({each.shape for each in signals}) == 1:
        source = from_array(np.stack(signals), name=name, labels=known, kind=kind)
        source.notes += notes
        return source
    return _of_several_sizes(signals, read_as, notes, **about)


def _of_several_sizes(signals: list[Array], kind: Signal | None, notes: list[str], **about: Any) -> RaggedSource:
    """Make a source of arrays of different shapes, each read by itself as ``from_array`` reads its shape."""
    name = about["name"]
    if kind is None:
        axes = sorted({each.ndim for each in signals})
        guess = "image" if set(axes) <= {2, 3} else "video" if axes == [4] else None
        if guess is None:
            shapes = sorted({each.shape for each in signals})
            raise DataError(
                f"{name} holds arrays of {len(shapes)} shapes ({list(shapes[0])} to {list(shapes[-1])}), which do not "
                f"stack: give arrays of one shape, images, or say their kind ({option('kind', 'sound')})."
            )
        kind = signal_kind(guess)
    items: list[Array] = []
    bits: list[int] = []
    for number, each in enumerate(signals):
        what = f"{name}: item {number}"
        standard = kind.channels_first(each[None]) if each.ndim else None
        if standard is None:
            items.append(kind.checked(each, what))
            bits.append(each.dtype.itemsize * 8 * len(items[-1]))
            continue
        one = from_array(each[None], name=what, kind=kind)
        items.append(one.read(0))
        bits.append(each.dtype.itemsize * 8 * standard.shape[1])
        notes += [note for note in one.notes if note not in notes]
    return ragged(items, kind, notes=notes, position_bits=bits, **about)


def _check_alike(signals: list[Array], name: str, kind: Signal | None) -> list[str]:
    """Return notes on arrays of one data set; raise DataError for batches, and for numbers of several scales."""
    axes = {each.ndim for each in signals}
    notes = []
    if kind is None and axes == {4}:
        joined = "of batches make one array: np.concatenate(list)"
        odd = next((each for each in signals if not {each.shape[0], each.shape[-1]} & {1, 3}), None)
        if odd is not None:
            raise DataError(
                f"{name} holds arrays of 4 axes, such as {list(odd.shape)}, which are no images and no videos "
                f"[C, T, H, W]; {joined}."
            )
        notes = [f"read as videos [C, T, H, W] or [T, H, W, C]; {joined}"]
    if axes == {1} if kind is None else kind.value_range is None:
        return notes  # numbers as they are
    meanings = {_meaning(each): (number, each.dtype) for number, each in reversed(list(enumerate(signals)))}
    if len(meanings) > 1:
        (first, one), (second, other) = sorted(meanings.values(), key=lambda told: told[0])[:2]
        raise DataError(
            f"{name}: item {first} is {one} and item {second} {other}, in which the same number means another "
            "brightness: give all in one dtype (of uint8 floats in [0, 1]: x / np.float32(255))."
        )
    return notes


def _meaning(array: Array) -> str:
    """The scale of the numbers of a dtype."""
    kind = array.dtype.kind
    return {"f": "unit", "b": "bool"}.get(kind, "16 bits" if array.dtype.newbyteorder("=") == np.uint16 else "8 bits")


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
            keys = ", ".join(map(str, item))
            first = next(map(str, item), "...")
            raise DataError(
                f"{what} has keys {keys}; the signal's is one of {', '.join(_IMAGE_KEYS)}: rename it (of datasets: "
                f"data.rename_column({first!r}, 'image')), or give dicts with 'image' and 'label'."
            )
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
    if isinstance(signal, list) and signal:  # nested lists of numbers, as data sets of Hugging Face give columns
        try:
            signal = np.asarray(signal)
        except ValueError as error:
            raise DataError(f"{what} is a list of lists of different lengths; give arrays or tensors.") from error
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


def _labels(labels: list[Any], name: str) -> Array | None:
    if all(each is None for each in labels):
        return None
    for number, label in enumerate(labels):
        if np.ndim(label) or np.asarray(label).dtype.kind not in "biu":
            given = "has no label" if label is None else f"has the label {shown(label)}"
            raise DataError(
                f"{name}: item {number} {given}; labels are one whole number for each item (of names their places in a "
                "list: names.index(label)), or none at all."
            )
    return np.array([int(each) for each in labels])
