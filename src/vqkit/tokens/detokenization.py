"""Tokens on the disk back to signals: a PNG per image, a WAV per sound, or NumPy shards for other signals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from vqkit import host
from vqkit.coding import check_name
from vqkit.coding.names import storable_name
from vqkit.data.long_items import LONG
from vqkit.errors import ConfigError, DataError
from vqkit.models import IndexModel
from vqkit.models.streams.long_signals import decode_long
from vqkit.ops.precision import at_least_float32
from vqkit.pretrained.folder import content_hash
from vqkit.spelling import option
from vqkit.storage import atomic, outputs
from vqkit.storage.lock import folder_lock
from vqkit.storage.paths import OutputPaths, digits_of
from vqkit.threads import ThreadChoice, choice_of_threads
from vqkit.tokens.shards import Indices
from vqkit.tokens.source import index_source
from vqkit.tokens.tokenization import indices_tensor
from vqkit.tokens.tokens import Tokens


def detokenize(
    model: IndexModel,
    tokens: Tokens,
    out: str | Path,
    *,
    batch_size: int = 64,
    limit: int | None = None,
    any_model: bool = False,
    progress: Callable[[int, int], None] | None = None,
    to: Any = None,
) -> int:
    """Decode a token set into a folder: a PNG an image of 1 or 3 channels, a WAV a sound, else .npy shards.

    The kind of signal says which (``Signal.suffix``). Files have the names of their items, where the tokens know them
    (``OutputPaths``: ``talk/a.flac`` comes back as ``talk/a.wav``); else, and in shards, the number of the first item,
    ``000000.png``. Each appears whole or not at all.

    Args:
        model: the tokenizer; it stays in the mode it is in.
        tokens: the token set, or the indices that another program wrote (``read_indices``).
        out: a new or empty folder.
        batch_size: items at a time.
        limit: decode the first so many items only.
        any_model: decode even tokens that another model made.
        progress: called with (items done, items in all).
        to: the condition that all items are decoded under, where the decoder has one (``Model.conditioned_on``); None:
            the labels of the tokens, of the same names.

    Returns:
        How many items were decoded.

    Raises:
        ConfigError: the folder has other things in it.
        DataError: the tokens were made by another model, or are damaged.

    Example:
        >>> import tempfile
        >>> import vqkit
        >>> from vqkit.tokens import detokenize
        >>> digits = vqkit.load_source("builtin:digits").subset(range(100))
        >>> model = vqkit.VQVAE.for_source(digits, 16, hidden_channels=8)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     tokens = vqkit.tokenize(model, digits, f"{folder}/tokens")
        ...     detokenize(model, tokens, f"{folder}/decoded", limit=10)
        10
    """
    path = Path(out)
    outputs.check_contents(path, "decoded signals")
    tokens.check_maker(content_hash(model), any_model=any_model)
    if tokens.manifest.get("model_sha256") == content_hash(model):
        _check_same(model, tokens)
    with model.conditioned_on(to):  # refuses an unknown one
        labels = _labels(model, tokens) if to is None and model.conditions else None
    host.keep_freed_memory()
    total = len(tokens) if limit is None else min(limit, len(tokens))
    with folder_lock(path, "decoding"):
        outputs.check_contents(path, "decoded signals")  # another process may have come and gone since
        with choice_of_threads(model.device) as threads:
            _decode(model, tokens, path, batch_size, total, progress, threads, to if labels is None else labels)
    return total


def _labels(model: IndexModel, tokens: Tokens) -> Any:
    """The labels of tokens as the decoder numbers its classes; None where it can do without and there are none.

    Raises:
        DataError: the decoder needs a class, and the tokens do not say it.
    """
    try:
        return model.known_conditions_of(index_source(tokens))
    except ConfigError as error:
        raise DataError(f"{error}; or {option('to', ...)}, a class for all") from error


def _check_same(model: IndexModel, tokens: Tokens) -> None:
    """Raise ``DataError`` where a description names this model and says something else of it."""
    for name in ("codebook_size", "num_codebooks", "axes", "channels"):
        own, said = getattr(model, name), tokens.manifest.get(name, getattr(tokens, name, None))
        fewer = name == "num_codebooks" and model.quantizer.nested and isinstance(said, int) and said < own
        if said is not None and said != own and not fewer:
            raise DataError(
                f"{tokens.path}: its description says {name}={said}, and the model that it names has {own}; encode the "
                "data again"
            )


def _decode(
    model: IndexModel,
    tokens: Tokens,
    path: Path,
    batch_size: int,
    total: int,
    progress: Callable[[int, int], None] | None,
    threads: ThreadChoice,
    conditions: Any,
) -> None:
    suffix = model.kind.suffix(model.channels)
    digits = digits_of(total)
    places = OutputPaths(_names(tokens, total) if suffix != ".npy" else (), suffix, digits)
    for first, items, size in _batches(tokens, total, batch_size):
        own = items[0].shape[: model.axes]
        if len(size) == model.axes and tuple(model.grid(size)) != own:
            raise DataError(
                f"{tokens.path}: the item {first} has a grid {list(own)} for a signal of the size {list(size)}, which "
                "this model does not make; take the model of the tokens, or encode the data again"
            )
        indices = indices_tensor(items).to(model.device)
        one = model.num_codebooks > 1 and indices.ndim == 1 + model.axes  # the first codebook alone
        indices = indices.unsqueeze(-1) if one else indices
        condition = conditions[first : first + len(items)] if isinstance(conditions, np.ndarray) else conditions
        if len(size) == 1 and size[0] > LONG and suffix != ".npy":
            pieces = decode_long(model, indices, size[0], condition)
            numbers = (piece[0].float().cpu().numpy() for piece in pieces)
            model.kind.write_pieces(numbers, path / places.of(first), durable=False, made="decoded")
            if progress is not None:
                progress(first + 1, total)
            continue
        try:
            with threads.step(len(items) * math.prod(size)):
                signals = model.decode(indices, size, condition=condition)
        except ValueError as error:
            raise DataError(f"{tokens.path}: the model cannot decode items {first} and on: {error}") from error
        array = at_least_float32(signals.detach()).cpu().numpy()
        for offset, item in enumerate(array) if model.kind.gaps else ():
            gaps = tokens.gaps(first + offset)
            if gaps is not None:
                item[gaps] = np.nan
        if suffix != ".npy":
            for offset, item in enumerate(array):
                model.kind.write(item, path / places.of(first + offset), durable=False, made="decoded")
        else:
            shard = model.kind.as_written(array)
            atomic.write_file(path / f"signals-{first:0{digits}d}.npy", lambda file, a=shard: atomic.save_npy(file, a))  # type: ignore[misc]
        if progress is not None:
            progress(first + len(items), total)


def _names(tokens: Tokens, total: int) -> Iterator[tuple[int, str]]:
    """The numbers of items with a name that may be a path on every system, and these names."""
    for number, name in enumerate((tokens.item_names() or [])[:total]):
        with suppress(ConfigError):
            if name is not None:
                yield number, check_name(storable_name(name))


def _batches(tokens: Tokens, total: int, batch_size: int) -> Iterator[tuple[int, list[Indices], tuple[int, ...]]]:
    """Runs of consecutive items of one size: number of the first, the items, the size; of long sounds one at a time."""
    positions = batch_size * 1024
    group: list[Indices] = []
    size: tuple[int, ...] = ()
    for index in range(total):
        item, own = tokens[index], tokens.size(index)
        each = (max(item.size, 1024) if len(own) != 1 else max(1024, own[0] // 16)) if own else 1
        if group and (own != size or len(group) >= max(1, positions // each)):
            yield index - len(group), group, size
            group = []
        group.append(item)
        size = own
    if group:
        yield total - len(group), group, size
