"""Data to tokens on the disk, in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from vqkit import host
from vqkit._version import __version__
from vqkit.coding import index_dtype
from vqkit.data import Source
from vqkit.errors import ConfigError
from vqkit.models import IndexModel
from vqkit.models.matching import open_source
from vqkit.models.rates.rate import used_codebooks
from vqkit.models.tiling import check_weight
from vqkit.pretrained.folder import content_hash
from vqkit.resources import cache_folder
from vqkit.spelling import option
from vqkit.tokens.card import card_text
from vqkit.tokens.encoder import Encoding
from vqkit.tokens.engines import Engine
from vqkit.tokens.engines import engine as engine_of
from vqkit.tokens.formats import token_format
from vqkit.tokens.journal import Journal
from vqkit.tokens.key import differences, short, there_already, token_key
from vqkit.tokens.layout import Layout, Vocabulary
from vqkit.tokens.manifest import find_manifest
from vqkit.tokens.pieces import divided, grouped, shared_out
from vqkit.tokens.places import place_of
from vqkit.tokens.remote_journal import RemoteJournal
from vqkit.tokens.same import same_tokens
from vqkit.tokens.shards import Indices, shard_digest
from vqkit.tokens.tokens import Tokens, load_tokens
from vqkit.tokens.writer import check_line, skipped_words


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
    workers: int = 1,
    engine: str = "processes",
    progress: Callable[[int, int], None] | None = None,
) -> Tokens:
    """Encode every item of a data source into shards of indices; memory does not grow with the number of items.

    Args:
        model: the tokenizer; it stays in the mode it is in.
        data: a source, or whatever ``load_source`` takes; grey and colour are converted to what the model reads.
        out: a new or empty folder, or the address of one (``s3://``, ``gs://``, ``hf://``); or one where an encoding
            was interrupted: whole shards are kept if they are of the same model, data and settings. None takes a folder
            in the cache (``$VQKIT_CACHE`` or ``~/.cache/vqkit``) whose name says all that the tokens depend on, and
            reads them where they lie there already.
        kind: a format of ``TOKEN_FORMATS``: ``"npy"``, ``"safetensors"`` (both need items of one size), ``"parquet"``
            (any sizes), or one of sequences that trainers of language models read: ``"bin"``, ``"megatron"``,
            ``"datatrove"``, ``"jsonl"``, ``"webdataset"``, ``"llamagen"``.
        batch_size: items at a time at least (large images count as several; of small items there are up to 1,024).
        shard_items: items per file; None: as many as fit in 32 MiB of indices, at most 262,144 (fewer in some formats).
        rate_weights: each item is encoded with one of these, drawn at random (see ``CodebookQuantizer``); none: as the
            model was trained.
        seed: of that draw.
        codebooks: of a residual stack the first so many are kept (see ``IndexModel.encode``); None: all.
        kbps: as many codebooks are kept as have this rate (of sound).
        layout: of sequences: ids of the codes, tokens around them, the order of several codebooks. None: codes from 0
            on, nothing around them.
        workers: that encode at the same time, whole shards each; the files are the same for any number.
        engine: what runs them (``vqkit.tokens.engines.ENGINES``): ``"processes"`` of this machine (one worker: this
            process; a script that asks for more does so below ``if __name__ == "__main__":``), ``"ray"``, or
            ``"torchrun"``: every process that torchrun started calls this, and has the token set.
        progress: called with (items done, items in all).

    Returns:
        The token set, memory-mapped; ``kept`` says how many items were there already.

    Raises:
        ConfigError: an unknown format, a folder with other things in it or that another process writes to, items of
            different sizes in a format that cannot hold them, weights, codebooks or a rate that the model does not
            have, or more workers than items.
        DataError: the source has other signals than the model reads.
        WorkerError: a worker was ended; shards that are whole are kept, and the same call makes the others.

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
    source, used = readable(model, data), used_codebooks(model, codebooks, kbps)
    vocabulary = check_encoding(model, source, kind, rate_weights, used, layout)
    how = engine_of(engine)
    workers = how.workers(workers)
    check_workers(workers, len(source))
    weights, books = tuple(float(weight) for weight in rate_weights), used or model.num_codebooks
    batch_size = grouped(source, divided(model, source, token_format(kind), books, shard_items), batch_size)
    ids = None if vocabulary is None else vocabulary.to_json()
    if out is None:
        key = token_key(model, source, kind, rate_weights, seed, used, ids)
        place = place_of(cache_folder() / "tokens" / short(key))
    else:
        key, place = {}, place_of(out)
    encoding = Encoding(place, source, kind, batch_size, weights, seed, books, vocabulary)

    def lead() -> Tokens:
        """Find the tokens, or make them; the others wait for what comes of it, since each would find something else."""
        own = key
        if out is not None:
            place.check(kind)
        elif (found := there_already(place.where, own)) is not None:
            return _kept(found)
        host.keep_freed_memory()
        with place.lock():
            if out is not None:
                place.check(kind)  # again: another process may have finished between the first look and the lock
                if place.is_finished():
                    return same_tokens(place.where, model, source, kind, rate_weights, seed, shard_items, used, ids)
                own = token_key(model, source, kind, rate_weights, seed, used, ids)
            elif (found := there_already(place.where, own)) is not None:
                return _kept(found)
            wanted = journal_key(own, model, shard_items)
            journal = place.journal(wanted, lambda line: check_line(line, kind))
            kept = _encode(encoding, model, own, shard_items, journal, progress, how, workers)
        tokens = load_tokens(place.where)
        tokens.kept, tokens.replaced = kept, "" if journal.other is None else differences(journal.other, wanted)
        return tokens

    with how.together():
        if how.leads:
            return lead()
        host.keep_freed_memory()
        how.follow(encoding, model)
    return load_tokens(place.where)


def _kept(tokens: Tokens) -> Tokens:
    """A token set that was there already."""
    tokens.kept = len(tokens)
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
    if find_manifest(path) is None:
        return tokenize(model, data, path, rate_weights=rate_weights, seed=seed, progress=progress)
    return same_tokens(path, model, readable(model, data), None, rate_weights, seed, None)


def check_encoding(
    model: IndexModel,
    source: Source,
    kind: str,
    rate_weights: Sequence[float],
    codebooks: int | None,
    layout: Layout | None,
) -> Vocabulary | None:
    """Return the vocabulary of a format of sequences; None for one of arrays.

    Raises:
        ConfigError: data, weights or a layout that the model or the format cannot have.
        DataError: the source has other signals than the model reads.
    """
    model.check_source(source)
    for weight in rate_weights:
        check_weight(model, weight)
    fmt, layout = token_format(kind), layout or Layout()
    fmt.check_source(source.size, source.name)
    fmt.check_layout(layout)
    if not fmt.sequences:
        return None
    labels, names = source.labels, source.class_names
    classes = 0 if labels is None else max(len(names or []), int(labels.max(initial=-1)) + 1)
    found = layout.vocabulary(model.codebook_size, codebooks or model.num_codebooks, classes)
    fmt.id_dtype(found)
    return found


def check_workers(workers: int, items: int) -> None:
    """Raise ``ConfigError`` unless there can be so many workers for so many items."""
    if not isinstance(workers, int) or isinstance(workers, bool) or not 1 <= workers <= items:
        raise ConfigError(f"{option('workers', workers)}: give 1 or more, and at most one for each of {items:,} items")


def journal_key(key: Mapping[str, Any], model: IndexModel, shard_items: int | None) -> dict[str, Any]:
    """Return the key of a journal: that of the token set, and what else its shards depend on."""
    return {**key, "shards": shard_items, "device": model.device.type}


def readable(model: IndexModel, data: Any) -> Source:
    """Return the data as a source of the model's channels."""
    source = open_source(model, data)
    converts = model.kind.converts_channels(source.channels, model.channels)
    return source.with_channels(model.channels) if converts and source.channels != model.channels else source


def _encode(
    encoding: Encoding,
    model: IndexModel,
    key: dict[str, Any],
    shard_items: int | None,
    journal: Journal | RemoteJournal,
    progress: Callable[[int, int], None] | None,
    how: Engine,
    workers: int,
) -> int:
    """Write the shards that are not there yet, and the description; returns how many items were kept."""
    place, source, fmt = encoding.place, encoding.source, token_format(encoding.kind)
    lines: dict[str, Mapping[str, Any]] = {line["shard"]["file"]: line for line in journal.kept}
    place.clear(journal.files)
    pieces = divided(model, source, fmt, encoding.codebooks, shard_items)
    missing = [piece for piece in pieces if piece.file not in lines]
    kept = done = len(source) - sum(piece.items for piece in missing)
    if progress is not None and kept:
        progress(kept, len(source))
    tasks = shared_out(missing, encoding.batch_size, workers)
    try:
        with closing(cast("Any", how.run(encoding, model, tasks, workers))) as messages:
            for message in messages:
                if isinstance(message, int):
                    done += message
                    if progress is not None:
                        progress(done, len(source))
                else:
                    journal.add(message)
                    lines[message["shard"]["file"]] = message
    except BaseException:
        if not lines:
            place.clear(())
            journal.remove()
        raise
    written = [lines[piece.file] for piece in pieces]
    about = _description(encoding, model, key, written)
    place.describe(fmt.manifest, about, card_text(fmt, about))
    journal.remove()
    return kept


def _description(encoding: Encoding, model: IndexModel, key: dict[str, Any], lines: list[Mapping[str, Any]]) -> Any:
    """The contents of ``tokens.json``, with the shards that lines of the journal tell of."""
    source, fmt, vocabulary = encoding.source, token_format(encoding.kind), encoding.vocabulary
    common = source.size
    manifest = {
        "vqkit": __version__,
        "format": fmt.name,
        "codebook_size": model.codebook_size,
        "num_codebooks": encoding.codebooks,
        "dtype": index_dtype(model.codebook_size).name,
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
        "rate_weights": list(encoding.rate_weights),
        "skipped": list(dict.fromkeys([*chain(*(line["skipped"] for line in lines)), *skipped_words(source)])),
        "key": key,
        "shards": [{**line["shard"], "sha256": shard_digest(line["files"])} for line in lines],
    }
    if vocabulary is not None:
        ids = fmt.id_dtype(vocabulary)
        manifest |= {"vocab_size": vocabulary.size, "id_dtype": ids and ids.name, "layout": vocabulary.to_json()}
    return manifest


def check_folder(where: str | Path, kind: str) -> None:
    """Raise ``ConfigError`` unless tokens of this kind can be written there, or finished ones lie there."""
    place_of(where).check(kind)


def indices_tensor(items: list[Indices]) -> torch.Tensor:
    """Items of one grid as a batch ``[batch, *grid]`` int64."""
    return torch.from_numpy(np.stack(items).astype(np.int64))
