"""Data to tokens on the disk, in constant memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vqkit import __version__, atomic, host, outputs
from vqkit.codec.shards import FORMATS, Indices, Shard, labels_path, write_shard
from vqkit.codec.tiling import check_weight, weighed_indices
from vqkit.codec.tokens import MANIFEST, Tokens, load_tokens
from vqkit.coding import index_dtype
from vqkit.data import Source, evaluation_batches, load_source
from vqkit.errors import ConfigError
from vqkit.models import VQVAE
from vqkit.models.folder import content_hash

_SHARD_BYTES = 32 << 20
_SHARD_ITEMS = 1 << 18
_OWN_FILE = re.compile(rf"(indices|labels)-\d{{5}}\.({'|'.join(FORMATS)})")


def tokenize(
    model: VQVAE,
    data: Any,
    out: str | Path | None = None,
    *,
    kind: str = "npy",
    batch_size: int = 64,
    shard_items: int | None = None,
    rate_weights: Sequence[float] = (),
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Tokens:
    """Encode every item of a data source into shards of indices; memory does not grow with the number of items.

    Args:
        model: put in evaluation mode.
        data: a source, or whatever ``load_source`` takes; grey and colour are converted to what the model reads.
        out: a new or empty folder, or one where an encoding was interrupted (it is done anew). None takes
            ``tokens/NAME-HASH``, and reads what lies there if this model made it from as many items of that name.
        kind: ``"npy"``, ``"safetensors"`` (both need items of one size) or ``"parquet"`` (any sizes).
        batch_size: items at a time (large images count as several).
        shard_items: items per file; None: as many as fit in 32 MiB of indices, 262,144 at most.
        rate_weights: each item is encoded with one of these, drawn at random (see ``CodebookQuantizer``); none: as the
            model was trained.
        seed: of that draw.
        progress: called with (items done, items in all).

    Returns:
        The token set, memory-mapped.

    Raises:
        ConfigError: an unknown format, a folder with other things in it, items of different sizes in a format that
            cannot hold them, or weights that the model cannot use.
        DataError: the source has other signals than the model reads.
    """
    source = load_source(data).with_channels(model.channels) if model.axes == 2 else load_source(data)
    for weight in rate_weights:
        check_weight(model, weight)
    if out is None:
        out = Path("tokens") / f"{Path(source.name).stem or 'data'}-{content_hash(model)[:8]}"
        found = _already_there(Path(out), model, source, kind, rate_weights)
        if found is not None:
            return found
    path = Path(out)
    check_folder(path, kind)
    if kind != "parquet" and source.size is None:
        raise ConfigError(
            f"{source.name} has items of different sizes; a {kind} shard is one array: use --format parquet"
        )
    host.keep_freed_memory()
    path.mkdir(parents=True, exist_ok=True)
    for leftover in path.iterdir():
        leftover.unlink()
    model.eval()
    dtype = index_dtype(model.codebook_size)
    writer = _Writer(path, kind, source, shard_items)
    drawn = np.random.default_rng(seed).integers(max(1, len(rate_weights)), size=len(source))
    for numbers, batch in evaluation_batches(source, fitting_batch(source, batch_size)):
        batch = batch.to(model.device)
        own = [rate_weights[place] for place in drawn[numbers]] if rate_weights else []
        indices = weighed_indices(model, batch, own) if rate_weights else model.encode(batch)
        writer.add(indices.cpu().numpy().astype(dtype), tuple(batch.shape[2:]))
        if progress is not None:
            progress(int(numbers[-1]) + 1, len(source))
    writer.close_shard()
    size = source.size
    manifest = {
        "vqkit": __version__,
        "format": kind,
        "codebook_size": model.codebook_size,
        "num_codebooks": model.num_codebooks,
        "dtype": dtype.name,
        "axes": model.axes,
        "channels": model.channels,
        "size": None if size is None else list(size),
        "grid": None if size is None else list(model.grid(size)),
        "items": len(source),
        "source": source.name,
        "labels": source.labels is not None,
        "class_names": source.class_names,
        "model_sha256": content_hash(model),
        "rate_weights": list(rate_weights),
        "skipped": [f"{each.name}: {each.reason}" for each in source.skipped],
        "shards": writer.written,
    }
    atomic.write_json(path / MANIFEST, manifest)
    return load_tokens(path)


def _already_there(path: Path, model: VQVAE, source: Source, kind: str, rate_weights: Sequence[float]) -> Tokens | None:
    if not (path / MANIFEST).is_file():
        return None
    tokens = load_tokens(path)
    told = tokens.manifest
    made_from = (told.get("model_sha256"), told.get("source"), len(tokens), tokens.kind, told.get("rate_weights", []))
    return tokens if made_from == (content_hash(model), source.name, len(source), kind, list(rate_weights)) else None


def check_folder(path: Path, kind: str) -> None:
    """Raise ``ConfigError`` unless tokens of this kind can be written to the folder."""
    if kind not in FORMATS:
        raise ConfigError(f"format {kind!r} is unknown; choose one of {', '.join(FORMATS)}")
    outputs.check_contents(path, "an encoding that was interrupted", _is_own)


def _is_own(entry: Path) -> bool:
    """Whether an interrupted encoding left this file."""
    return entry.is_file() and (_OWN_FILE.fullmatch(entry.name) is not None or outputs.is_temporary(entry))


def fitting_batch(source: Source, batch_size: int) -> int:
    """Items per batch, fewer for large ones: a batch has about as many values as ``batch_size`` images of 128x128."""
    sizes = source.item_sizes()
    largest = int(np.prod(sizes, axis=1).max()) if source.axes else 1
    return max(1, min(batch_size, batch_size * 128 * 128 // max(largest, 1)))


class _Writer:
    """Collects items until a shard is full."""

    def __init__(self, path: Path, kind: str, source: Source, shard_items: int | None) -> None:
        self.path = path
        self.kind = kind
        self.source = source
        self.shard_items = shard_items or _SHARD_ITEMS
        self.shard_bytes = None if shard_items else _SHARD_BYTES
        self.written: list[dict[str, Any]] = []
        self._items: list[Indices] = []
        self._sizes: list[tuple[int, ...]] = []
        self._bytes = 0
        self._first = 0

    def add(self, indices: Indices, size: tuple[int, ...]) -> None:
        """Take in a batch ``[batch, *grid]`` of signals of this size."""
        for item in indices:
            self._items.append(item)
            self._sizes.append(size)
            self._bytes += item.nbytes
            full = self.shard_bytes is not None and self._bytes >= self.shard_bytes
            if full or len(self._items) >= self.shard_items:
                self.close_shard()

    def close_shard(self) -> None:
        """Write what has been collected."""
        if not self._items:
            return
        number, count = len(self.written), len(self._items)
        file = self.path / f"indices-{number:05d}.{self.kind}"
        labels = self.source.labels
        part = None if labels is None else labels[self._first : self._first + count]
        write_shard(file, self.kind, Shard(self._items, self._sizes, part, self._first))
        entry = {"file": file.name, "items": count}
        if part is not None and self.kind == "npy":
            entry["labels"] = labels_path(file).name
        self.written.append(entry)
        self._first += count
        self._items, self._sizes, self._bytes = [], [], 0


def indices_tensor(items: list[Indices]) -> torch.Tensor:
    """Items of one grid as a batch ``[batch, *grid]`` int64."""
    return torch.from_numpy(np.stack(items).astype(np.int64))
