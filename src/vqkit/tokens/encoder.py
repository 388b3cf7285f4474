"""Encoding of some shards of a data set: what one process does, whichever gave it the shards."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, cast, final

import numpy as np

from vqkit.coding import index_dtype
from vqkit.coding.gaps import pack_gaps
from vqkit.data import Source
from vqkit.data.ahead import read_ahead
from vqkit.data.batches import batches_or_long
from vqkit.data.long_items import LongItem
from vqkit.models import IndexModel
from vqkit.models.streams.long_signals import encode_long
from vqkit.models.tiling import weighed_indices
from vqkit.threads import ThreadChoice
from vqkit.tokens.formats import token_format
from vqkit.tokens.layout import Vocabulary
from vqkit.tokens.pieces import Piece
from vqkit.tokens.places import Place
from vqkit.tokens.shards import Indices
from vqkit.tokens.writer import ShardWriter

Message = int | Mapping[str, Any]
"""What an encoder says: so many items more are encoded, or the line of the journal of a shard that is written."""


@final
@dataclass(frozen=True)
class Encoding:
    """What an encoding depends on, but for the model; processes are given it.

    Attributes:
        place: the folder or the address.
        source: the data, with the model's channels.
        kind: the format.
        batch_size: items at a time.
        rate_weights, seed: see ``tokenize``.
        codebooks: how many are kept.
        vocabulary: of sequences; None: a format of arrays.
    """

    place: Place
    source: Source
    kind: str
    batch_size: int
    rate_weights: tuple[float, ...]
    seed: int
    codebooks: int
    vocabulary: Vocabulary | None


@final
class Encoder:
    """Encodes shards, each in the batches of the whole data set: its indices are the same whoever encodes it.

    Args:
        encoding: what to encode.
        model: the tokenizer.
        threads: chosen while it computes.
    """

    def __init__(self, encoding: Encoding, model: IndexModel, threads: ThreadChoice) -> None:
        self._encoding, self._model, self._threads = encoding, model, threads
        source, weights = encoding.source, encoding.rate_weights
        self._writer = ShardWriter(encoding.place, token_format(encoding.kind), source, encoding.vocabulary)
        self._dtype = index_dtype(model.codebook_size)
        random = np.random.default_rng(encoding.seed)
        self._drawn = random.integers(len(weights), size=len(source)) if weights else None
        used, all_of_them = encoding.codebooks, model.num_codebooks
        self._kept: Any = (..., 0) if used == 1 < all_of_them else (..., slice(used)) if used < all_of_them else ...

    def run(self, pieces: Sequence[Piece]) -> Iterator[Message]:
        """Encode and write consecutive shards; yields the line of each, and the number of items after each batch."""
        place = 0
        items: list[Indices] = []
        sizes: list[tuple[int, ...]] = []
        gaps: list[bytes] = []
        for indices, size, missing in self.batches(pieces[0].first, pieces[-1].stop):
            start = 0
            while start < len(indices):
                stop = min(len(indices), start + pieces[place].items - len(items))
                items.extend(indices[start:stop])
                sizes.extend([size] * (stop - start))
                gaps.extend(missing[start:stop] if missing else [b""] * (stop - start))
                start = stop
                if len(items) == pieces[place].items:
                    yield self._writer.write(pieces[place], items, sizes, gaps)
                    place, items, sizes, gaps = place + 1, [], [], []
            yield len(indices)

    def batches(self, first: int, stop: int) -> Iterator[tuple[Indices, tuple[int, ...], list[bytes]]]:
        """Yield the indices ``[batch, *grid]`` of some items, the size of their signals, and their gaps (none: [])."""
        with closing(read_ahead(self._signals(first, stop))) as batches:
            for numbers, batch in batches:
                own = slice(max(first - int(numbers[0]), 0), stop - int(numbers[0]))  # others are of other pieces
                size = tuple(batch.shape[-self._model.axes :]) if self._model.axes else ()
                indices = self._indices(numbers, batch)[own][self._kept].cpu().numpy().astype(self._dtype)
                yield indices, size, self._gaps(batch, own)

    def _gaps(self, batch: Any, own: slice) -> list[bytes]:
        """The packed gaps of each signal of a batch; none where the kind has no gaps."""
        if not self._model.kind.gaps:
            return []
        if isinstance(batch, LongItem):
            return [pack_gaps(np.concatenate([np.isnan(piece) for piece in batch.pieces()], axis=-1))]
        return [pack_gaps(item.isnan()) for item in batch[own]]

    def _signals(self, first: int, stop: int) -> Generator[tuple[Any, Any]]:
        """Yield the batches of the data set that hold these items."""
        found = batches_or_long(self._encoding.source, self._encoding.batch_size, first=first)
        with closing(cast("Any", found)) as batches:
            for numbers, batch in batches:
                yield numbers, batch
                if numbers[-1] + 1 >= stop:
                    return

    def _indices(self, numbers: Any, batch: Any) -> Any:
        model, weights = self._model, self._encoding.rate_weights
        own = [weights[place] for place in self._drawn[numbers]] if self._drawn is not None else []
        with self._threads.step(math.prod(batch.shape)):
            if isinstance(batch, LongItem):
                return encode_long(model, batch, own[0] if own else None)
            if weights:
                return weighed_indices(model, batch.to(model.device), own)
            return model.encode(batch.to(model.device))
