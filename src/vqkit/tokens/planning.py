"""A dry plan of an encoding: shards, bytes and time, measured on one batch; its folder is left as it is."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from vqkit.models import IndexModel
from vqkit.models.rates.rate import used_codebooks
from vqkit.threads import ThreadChoice
from vqkit.tokens.encoder import Encoder, Encoding
from vqkit.tokens.formats import token_format
from vqkit.tokens.key import token_key
from vqkit.tokens.layout import Layout
from vqkit.tokens.pieces import Piece, divided, grouped, shared_out
from vqkit.tokens.places import FolderPlace, place_of
from vqkit.tokens.same import same_tokens
from vqkit.tokens.shards import Indices
from vqkit.tokens.tokenization import check_encoding, check_workers, journal_key, readable
from vqkit.tokens.writer import ShardWriter, check_line

_LONG = 2.0
"""Seconds of a first batch after which it is not encoded once more."""


@dataclass(frozen=True)
class EncodingPlan:
    """What an encoding would do.

    Attributes:
        items: of the data.
        shards: how many there will be.
        kept: shards that are there already, whole and of the same model, data and settings.
        kept_items: items in them.
        nbytes: of all files but ``tokens.json``: exact where files grow by the same for each index, otherwise (text,
            compression) as in the first batch.
        seconds: for the missing items, at the pace of the first batch in this process.
        workers: that have something to do, and a core each: at most one for each task of whole shards.

    Example:
        >>> from vqkit.tokens import EncodingPlan
        >>> EncodingPlan(items=100, shards=2, kept=1, kept_items=50, nbytes=1600, seconds=0.5, workers=1).kept
        1
    """

    items: int
    shards: int
    kept: int
    kept_items: int
    nbytes: int
    seconds: float
    workers: int


def plan_encoding(
    model: IndexModel,
    data: Any,
    out: str | Path,
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
) -> EncodingPlan:
    """Say what ``tokenize`` would do, with the arguments that it is given; nothing is written to ``out``.

    Raises:
        ConfigError, DataError: as ``tokenize`` raises them.

    Example:
        >>> import vqkit
        >>> from vqkit.tokens import plan_encoding
        >>> digits = vqkit.load_source("builtin:digits")
        >>> model = vqkit.VQVAE.for_source(digits, 16, hidden_channels=8)
        >>> plan = plan_encoding(model, digits, "tokens", shard_items=1000)
        >>> plan.shards, plan.kept, plan.nbytes
        (2, 0, 22076)
    """
    source, used = readable(model, data), used_codebooks(model, codebooks, kbps)
    vocabulary = check_encoding(model, source, kind, rate_weights, used, layout)
    check_workers(workers, len(source))
    place, fmt, books = place_of(out), token_format(kind), used or model.num_codebooks
    place.check(kind)
    ids = None if vocabulary is None else vocabulary.to_json()
    pieces = divided(model, source, fmt, books, shard_items)
    batch_size = grouped(source, pieces, batch_size)
    if place.is_finished():
        found = same_tokens(place.where, model, source, kind, rate_weights, seed, shard_items, used, ids)
        return EncodingPlan(len(found), len(pieces), len(pieces), len(found), found.bytes_on_disk(), 0.0, 0)
    key = journal_key(token_key(model, source, kind, rate_weights, seed, used, ids), model, shard_items)
    lines = place.kept(key, lambda line: check_line(line, kind))
    there = {line["shard"]["file"] for line in lines}
    missing = [piece for piece in pieces if piece.file not in there]
    tasks = shared_out(missing, batch_size, workers)
    with tempfile.TemporaryDirectory(prefix="vqkit-") as folder:
        weights = tuple(float(weight) for weight in rate_weights)
        sample = Encoding(FolderPlace(Path(folder)), source, kind, batch_size, weights, seed, books, vocabulary)
        threads = ThreadChoice([max(1, torch.get_num_threads() // workers)])
        pace, batch, size = _measured(Encoder(sample, model, threads), len(source))
        each, fixed = _sizes(ShardWriter(sample.place, fmt, source, vocabulary), batch, size)
    positions = _positions(model, source)
    left = sum(int(positions[piece.first : piece.stop].sum()) for piece in missing)
    useful = min(workers, len(tasks), (os.cpu_count() or 1) if model.device.type == "cpu" else workers)
    nbytes = round(each * float(positions.sum()) / positions[0]) + fixed * len(pieces)
    return EncodingPlan(
        items=len(source),
        shards=len(pieces),
        kept=len(pieces) - len(missing),
        kept_items=len(source) - sum(piece.items for piece in missing),
        nbytes=nbytes,
        seconds=pace * left / float(positions[0]) / max(1, useful),
        workers=useful,
    )


def _positions(model: IndexModel, source: Any) -> Any:
    """Return the positions of the grid of each item."""
    if source.size is not None:
        return np.broadcast_to(np.int64(np.prod(model.grid(source.size), dtype=np.int64)), len(source))
    sizes, kinds = np.unique(source.item_sizes(), axis=0, return_inverse=True)
    grids = np.array([np.prod(model.grid(tuple(size)), dtype=np.int64) for size in sizes.tolist()])
    return grids[kinds.reshape(-1)]


def _measured(encoder: Encoder, items: int) -> tuple[float, Indices, tuple[int, ...]]:
    """Return the seconds that an item of the first batch takes, the batch, and the size of its signals."""
    for turn in range(2):  # the first time what is loaded and compiled once is included
        start = time.perf_counter()
        with closing(cast("Any", encoder.batches(0, items))) as batches:
            batch, size, _ = next(batches)
        seconds = time.perf_counter() - start
        if turn == 0 and seconds > _LONG:
            break
    return seconds / len(batch), batch, size


def _sizes(writer: ShardWriter, batch: Indices, size: tuple[int, ...]) -> tuple[float, int]:
    """Return the bytes of an item more in a shard, and of a shard without items: by one of a batch, and one of half."""
    batch = np.repeat(batch, 2, axis=0) if len(batch) == 1 < len(writer.source) else batch
    many, few, totals = len(batch), max(1, len(batch) // 2), []
    for number, items in enumerate((many, few)):
        piece = Piece(number, 0, items, writer.format.shard_name(number, 0, writer.source.size))
        files = writer.write(piece, list(batch[:items]), [size] * items)["files"]
        totals.append(sum((Path(writer.place.where) / name).stat().st_size for name in files))
    each = (totals[0] - totals[1]) / (many - few) if many > few else totals[0]
    return each, max(0, round(totals[0] - each * len(batch)))
