"""Data to tokens on the disk, in constant memory."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vqkit import host
from vqkit._version import __version__
from vqkit.coding import index_dtype
from vqkit.data import Source
from vqkit.data.batches import batches_or_long
from vqkit.data.long_items import LongItem
from vqkit.errors import ConfigError, DataError
from vqkit.models import IndexModel
from vqkit.models.matching import open_source
from vqkit.models.rates.rate import used_codebooks
from vqkit.models.streams.long_signals import encode_long
from vqkit.models.tiling import check_weight, weighed_indices
from vqkit.pretrained.folder import content_hash
from vqkit.resources import cache_folder
from vqkit.spelling import option
from vqkit.storage import atomic, outputs
from vqkit.storage.lock import LOCK, folder_lock
from vqkit.threads import ThreadChoice, choice_of_threads
from vqkit.tokens.formats import TOKEN_FORMATS, TokenFormat, token_format
from vqkit.tokens.journal import ENCODING, Journal
from vqkit.tokens.key import differences, short, there_already, token_key
from vqkit.tokens.layout import Layout, Vocabulary
from vqkit.tokens.manifest import find_manifest
from vqkit.tokens.shards import Indices
from vqkit.tokens.tokens import Tokens, load_tokens
from vqkit.tokens.writer import ShardWriter, check_line

_SAMPLED = 16
"""Items of a token set of an older version that are encoded anew, to see whether they are of the same data."""
_JOURNAL = ENCODING


def tokenize(
    model: IndexModel,
    data: Any,
    out: str | Path | None = None,
    *,
    kind: str = "npy",
    batch_size: int = 64,
    shard_items: int | None = None,
    rate_weights: Sequence[float] = (),
    seed: int = 0,
    codebooks: int | None = None,
    kbps: float | None = None,
    layout: Layout | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Tokens:
    """Encode every item of a data source into shards of indices; memory does not grow with the number of items.

    Args:
        model: the tokenizer; it stays in the mode it is in.
        data: a source, or whatever ``load_source`` takes; grey and colour are converted to what the model reads.
        out: a new or empty folder, or one where an encoding was interrupted: whole shards are kept if they are of the
            same model, data and settings. None takes a folder in the cache (``$VQKIT_CACHE`` or ``~/.cache/vqkit``)
            whose name says all that the tokens depend on, and reads them where they lie there already.
        kind: a format of ``TOKEN_FORMATS``: ``"npy"``, ``"safetensors"`` (both need items of one size), ``"parquet"``
            (any sizes), or one of sequences that trainers of language models read: ``"bin"``, ``"megatron"``,
            ``"datatrove"``, ``"jsonl"``, ``"webdataset"``, ``"llamagen"``.
        batch_size: items at a time (large images count as several).
        shard_items: items per file; None: as many as fit in 32 MiB of indices, at most 262,144 (fewer in some formats).
        rate_weights: each item is encoded with one of these, drawn at random (see ``CodebookQuantizer``); none: as the
            model was trained.
        seed: of that draw.
        codebooks: of a residual stack the first so many are kept (see ``VQVAE.encode``); None: all.
        kbps: as many codebooks are kept as have this rate (of sound).
        layout: of sequences: ids of the codes, tokens around them, the order of several codebooks. None: codes from 0
            on, nothing around them.
        progress: called with (items done, items in all).

    Returns:
        The token set, memory-mapped; ``kept`` says how many items were there already.

    Raises:
        ConfigError: an unknown format, a folder with other things in it or that another process writes to, items of
            different sizes in a format that cannot hold them, or weights, codebooks or a rate that the model does not
            have.
        DataError: the source has other signals than the model reads.

    Example:
        >>> import tempfile
        >>> import vqkit
        >>> from vqkit import tokenize
        >>> digits = vqkit.load_source("builtin:digits").subset(range(100))
        >>> model = vqkit.VQVAE.for_source(digits, 16, hidden_channels=8)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     tokens = tokenize(model, digits, f"{folder}/tokens")
        ...     len(tokens), tokens.grid
        (100, (2, 2))
    """
    source = _readable(model, data)
    model.check_source(source)
    for weight in rate_weights:
        check_weight(model, weight)
    used = used_codebooks(model, codebooks, kbps)
    fmt = token_format(kind)
    fmt.check_source(source.size, source.name)
    vocabulary = _vocabulary(fmt, layout or Layout(), model, source, used)
    ids = None if vocabulary is None else vocabulary.to_json()
    if out is None:
        key = token_key(model, source, kind, rate_weights, seed, used, ids)
        path = cache_folder() / "tokens" / short(key)
        found = there_already(path, key)
        if found is not None:
            found.kept = len(found)
            return found
    else:
        path = Path(out)
        check_folder(path, kind)
    host.keep_freed_memory()
    with folder_lock(path, "encoding"):
        if out is not None:
            check_folder(path, kind)  # again: another process may have finished between the first look and the lock
            if find_manifest(path) is not None:
                return _same_tokens(path, model, source, kind, rate_weights, seed, shard_items, used, ids)
            key = token_key(model, source, kind, rate_weights, seed, used, ids)
        elif (found := there_already(path, key)) is not None:
            found.kept = len(found)
            return found
        wanted = {**key, "shards": shard_items, "device": model.device.type}
        journal = Journal(path / _JOURNAL, wanted, lambda line: check_line(line, kind))
        with choice_of_threads(model.device) as threads:
            kept = _encode(model, source, path, key, batch_size, shard_items, journal, progress, threads, vocabulary)
    tokens = load_tokens(path)
    tokens.kept, tokens.replaced = kept, "" if journal.other is None else differences(journal.other, wanted)
    return tokens


def matching_tokens(
    model: IndexModel,
    data: Any,
    path: str | Path,
    *,
    rate_weights: Sequence[float] = (),
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Tokens:
    """The token set in a folder of its own, made if it is not there yet; one of anything else is refused.

    Args:
        model, data, rate_weights, seed, progress: see ``tokenize``.
        path: the folder.

    Raises:
        ConfigError: the folder holds tokens of another model, of other data or other settings; it says which.
    """
    path = Path(path)
    if find_manifest(path) is None:
        return tokenize(model, data, path, rate_weights=rate_weights, seed=seed, progress=progress)
    return _same_tokens(path, model, _readable(model, data), None, rate_weights, seed, None)


def _same_tokens(
    path: Path,
    model: IndexModel,
    source: Source,
    kind: str | None,
    rate_weights: Sequence[float],
    seed: int,
    shard_items: int | None,
    codebooks: int | None = None,
    layout: Mapping[str, Any] | None = None,
) -> Tokens:
    """The finished token set in a folder, made of the same; None as kind (with its layout) and count of a file: of any.

    Raises:
        ConfigError: it is of something else; what differs is named.
        DataError: it is damaged.
    """
    tokens = load_tokens(path)
    wanted_kind = tokens.kind if kind is None else kind
    there = tokens.manifest.get("key")
    if isinstance(there, dict):
        layout = there.get("layout") if kind is None else layout
        other = differences(there, token_key(model, source, wanted_kind, rate_weights, seed, codebooks, layout))
    elif wanted_kind != tokens.kind:
        other = "another format"
    elif codebooks is not None:
        other = "another number of codebooks"
    else:
        other = _differences_of_an_older_set(tokens, model, source, rate_weights)
    first = tokens.manifest["shards"][0]["items"] if tokens.manifest.get("shards") else 0
    if not other and shard_items is not None and first != min(shard_items, len(tokens)):
        other = "another number of items per file"
    if other:
        raise ConfigError(f"{path}: holds tokens of {other}; choose another {option('out')}, or delete it")
    if not tokens.is_whole():
        raise DataError(f"{path}: a shard is not what it was when it was written; delete that folder and encode again")
    tokens.kept = len(tokens)
    return tokens


def _differences_of_an_older_set(
    tokens: Tokens, model: IndexModel, source: Source, rate_weights: Sequence[float]
) -> str:
    """List the differences of tokens whose description names no content: its settings, and some items encoded anew."""
    told, labels = tokens.manifest, tokens.labels()
    grid = None if source.size is None else model.grid(source.size)
    if told.get("model_sha256") != content_hash(model):
        return "another model, or another state of it"
    if told.get("rate_weights", []) != list(rate_weights):
        return "other rate weights"
    if (len(tokens), tokens.grid) != (len(source), grid):
        return "other data"
    if labels is not None and (source.labels is None or not np.array_equal(labels, source.labels)):
        return "other labels"
    if len(set(rate_weights)) > 1:
        return ""
    places = np.unique(np.linspace(0, len(source) - 1, _SAMPLED).astype(int))
    for place in places:
        item = torch.from_numpy(source.read(int(place)))[None].to(model.device)
        found = weighed_indices(model, item, rate_weights) if rate_weights else model.encode(item)
        if not np.array_equal(found[0].cpu().numpy(), tokens[int(place)]):
            return f"other data (item {place} is not what it was)"
    return ""


def _vocabulary(
    fmt: TokenFormat, layout: Layout, model: IndexModel, source: Source, codebooks: int | None
) -> Vocabulary | None:
    """The vocabulary of a format of sequences; None for one of arrays. Raises ConfigError where it has none such."""
    fmt.check_layout(layout)
    if not fmt.sequences:
        return None
    labels, names = source.labels, source.class_names
    classes = 0 if labels is None else max(len(names or []), int(labels.max(initial=-1)) + 1)
    found = layout.vocabulary(model.codebook_size, codebooks or model.num_codebooks, classes)
    fmt.id_dtype(found)
    return found


def _readable(model: IndexModel, data: Any) -> Source:
    source = open_source(model, data)
    converts = model.kind.converts_channels(source.channels, model.channels)
    return source.with_channels(model.channels) if converts and source.channels != model.channels else source


def _encode(
    model: IndexModel,
    source: Source,
    path: Path,
    key: dict[str, Any],
    batch_size: int,
    shard_items: int | None,
    journal: Journal,
    progress: Callable[[int, int], None] | None,
    threads: ThreadChoice,
    vocabulary: Vocabulary | None,
) -> int:
    """Write the shards that are not there yet, and the description; returns how many items were kept."""
    rate_weights, seed, fmt = key["rate_weights"], key["seed"] or 0, token_format(key["format"])
    used = key.get("codebooks", model.num_codebooks)
    first = (..., 0) if used == 1 < model.num_codebooks else (..., slice(used)) if used < model.num_codebooks else ...
    dtype = index_dtype(model.codebook_size)
    for leftover in path.rglob("*"):
        if leftover.is_file() and leftover.relative_to(path).as_posix() not in {_JOURNAL, LOCK, *journal.files}:
            leftover.unlink()
    writer = ShardWriter(path, fmt, source, shard_items, journal, vocabulary)
    kept = writer.first
    if progress is not None and kept:
        progress(kept, len(source))
    drawn = np.random.default_rng(seed).integers(len(rate_weights), size=len(source)) if rate_weights else None
    try:
        for numbers, batch in batches_or_long(source, batch_size, first=kept):
            own = [rate_weights[place] for place in drawn[numbers]] if drawn is not None else []
            with threads.step(math.prod(batch.shape)):
                if isinstance(batch, LongItem):
                    indices = encode_long(model, batch, own[0] if own else None)
                elif rate_weights:
                    indices = weighed_indices(model, batch.to(model.device), own)
                else:
                    indices = model.encode(batch.to(model.device))
            size = tuple(batch.shape[-model.axes :]) if model.axes else ()
            new = int((numbers >= kept).sum())  # the batch in which a kept shard ends begins with items of that one
            writer.add(indices[len(numbers) - new :][first].cpu().numpy().astype(dtype), size)
            if progress is not None:
                progress(int(numbers[-1]) + 1, len(source))
        writer.close_shard()
    except BaseException:
        if not writer.written:
            journal.remove()
        raise
    common = source.size
    manifest = {
        "vqkit": __version__,
        "format": fmt.name,
        "codebook_size": model.codebook_size,
        "num_codebooks": used,
        "dtype": dtype.name,
        "axes": model.axes,
        "channels": model.channels,
        "size": None if common is None else list(common),
        "grid": None if common is None else list(model.grid(common)),
        "items": len(source),
        "source": source.name,
        "labels": source.labels is not None,
        "class_names": source.class_names,
        "names": key["names"] is not None,
        "model_sha256": content_hash(model),
        "rate_weights": rate_weights,
        "skipped": writer.skipped(),
        "key": key,
        "shards": writer.written,
    }
    if vocabulary is not None:
        ids = fmt.id_dtype(vocabulary)
        manifest |= {"vocab_size": vocabulary.size, "id_dtype": ids and ids.name, "layout": vocabulary.to_json()}
    atomic.write_json(path / fmt.manifest, manifest)
    journal.remove()
    return kept


def check_folder(path: Path, kind: str) -> None:
    """Raise ``ConfigError`` unless tokens of this kind can be written to the folder, or finished ones lie there."""
    token_format(kind)
    if find_manifest(path) is not None:
        return
    names = [entry.name for entry in path.iterdir()] if path.is_dir() else []
    formats = [part() for part in TOKEN_FORMATS.available().values()]
    pieces = "|".join(each.file_pattern for each in formats)
    if names and all(re.fullmatch(pieces, name) for name in names):
        raise ConfigError(
            f"{path} already holds something (an older vqkit was interrupted here: delete it); choose a new or empty "
            "folder for the tokens"
        )
    own = {_JOURNAL, LOCK, *(each.manifest for each in formats)}
    begun = _JOURNAL in names

    def is_file_of_ours(file: Path) -> bool:
        temporary = re.fullmatch(r"\.(.+)\.[0-9a-f]{8}\.part", file.name)
        name = (file.with_name(temporary[1]) if temporary else file).relative_to(path).as_posix()
        return re.fullmatch(pieces, name) is not None or (name in own and (bool(temporary) or name in (_JOURNAL, LOCK)))

    def is_own(entry: Path) -> bool:
        files = entry.rglob("*") if entry.is_dir() and not entry.is_symlink() else [entry]
        known = all(is_file_of_ours(file) for file in files if not file.is_dir())
        return known and (begun or entry.name == LOCK or entry.name.startswith(f".{_JOURNAL}."))

    outputs.check_contents(path, "an encoding that was interrupted", is_own)


def indices_tensor(items: list[Indices]) -> torch.Tensor:
    """Items of one grid as a batch ``[batch, *grid]`` int64."""
    return torch.from_numpy(np.stack(items).astype(np.int64))
