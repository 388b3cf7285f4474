"""Items to ids: encode, balance, number, and what an older map says stays as it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vqkit.checking import counted
from vqkit.data import Source
from vqkit.data.identity import content_fingerprint
from vqkit.errors import ConfigError, DataError
from vqkit.evaluation.vectors.paths import path_levels
from vqkit.ids.choosing import Chooser, Choosing, chooser
from vqkit.ids.collisions import colliding, last_digits
from vqkit.ids.files import load_ids
from vqkit.ids.matching import matched
from vqkit.ids.names import names_of
from vqkit.ids.semantic import SemanticIds
from vqkit.models import IndexModel
from vqkit.models.matching import in_channels, open_source
from vqkit.models.rates.rate import used_codebooks
from vqkit.pretrained.identity import model_digest
from vqkit.spelling import option, spelled

Ints = npt.NDArray[np.int64]
Progress = Callable[[int, int], None]
CANDIDATES = 256
_MOST_IDS = 1 << 62


def make_ids(
    model: IndexModel,
    data: Any,
    *,
    balanced: bool = False,
    capacity: int = 1,
    candidates: int = CANDIDATES,
    last_digit: bool = True,
    names: str | Path | Sequence[str | int] | None = None,
    extend: SemanticIds | str | Path | None = None,
    codebooks: int | None = None,
    batch_size: int = 4096,
    progress: Progress | None = None,
    workers: int = 1,
) -> SemanticIds:
    """Give every item of a data source an id: its indices, and a last digit that makes it unique.

    Args:
        model: any model that encodes an item to one position of one or several codebooks.
        data: a source, or whatever ``load_source`` takes; a row is an item.
        balanced: let each choice of indices have ``capacity`` items: the nearest ones, by deferred acceptance (Gale
            and Shapley 1962), which has one outcome whatever the order of the items and the size of batches. An item
            for which none of its ``candidates`` has room keeps its own indices.
        capacity: items that share indices, where ``balanced``.
        candidates: next best choices of indices that an item may be given.
        last_digit: add a digit that numbers the items of equal indices; without it they collide.
        names: see ``names_of``; None: those of the data.
        extend: an older map (or its folder): items that are in it keep their ids, others get ids that are free. Data
            with names may hold any of the old items, and they are known by their names; without names they come
            first, as they were.
        codebooks: of a residual stack the first so many; None: all.
        batch_size: items at a time; the ids do not depend on it. Memory is that of a batch and of its candidates, and
            some 60 bytes an item (and the names).
        progress: called with (items done, items in all): once through the data, then through items that were moved.
        workers: processes that encode and look for candidates, each with a copy of the model; the ids are the same (a
            script that asks for several does so below ``if __name__ == "__main__":``).

    Raises:
        ConfigError: a model that gives an item several positions or has no next best choice, options out of range, or
            an older map with or without a last digit, unlike this.
        DataError: other signals than the model reads, NaN, names that come twice, or an older map of another model or
            of other items.

    Example:
        >>> import torch
        >>> from vqkit.ids import make_ids
        >>> from vqkit.models import ResidualQuantization
        >>> vectors = torch.randn(500, 6)
        >>> model = ResidualQuantization(8, num_codebooks=2, channels=6, rounds=3)
        >>> model.fit(lambda: vectors.split(100))
        >>> ids = make_ids(model.eval(), vectors.numpy())
        >>> ids.items_of(ids.id_of(7)), len(ids.id_of(7))
        (['7'], 3)
    """
    if capacity < 1 or candidates < 1:
        raise ConfigError(f"{option('capacity', capacity)}, {option('candidates', candidates)}: give 1 or more")
    source = in_channels(model, open_source(model, data))
    model.check_source(source)
    size = source.size
    if size is None or math.prod(model.grid(size)) != 1:
        grid = "grids of several sizes" if size is None else f"a grid of {' x '.join(map(str, model.grid(size)))}"
        raise ConfigError(
            f"{source.name}: the model gives an item {grid} of indices; an id is of one position: take a model of "
            "vectors, or one whose downsampling leaves one position"
        )
    used = used_codebooks(model, codebooks, None)
    if balanced and used is not None:
        raise ConfigError(f"{option('codebooks', codebooks)}: balanced ids are of all codebooks; leave one of them out")
    levels, codes = used or model.num_codebooks, model.codebook_size
    if balanced and codes**levels > _MOST_IDS:
        raise ConfigError(f"{levels} codebooks of {codes} codes: balanced ids are counted up to 2^62; without it any")
    digest, own_names = model_digest(model), names_of(source, names)
    old = None if extend is None else extend if isinstance(extend, SemanticIds) else load_ids(extend)
    rows: Ints = np.arange(len(source))
    if old is not None:
        _check_old(old, digest, codes, levels, last_digit)
        rows = _new_rows(old, source, own_names)
    part = source if len(rows) == len(source) else source.subset(rows) if len(rows) else None
    taken = None if old is None else old.digits[:, :levels].astype(np.int64)
    choosing = Choosing(levels, batch_size, balanced, candidates)
    with chooser(model, part, choosing, workers) as work:
        plain, far = work.encode(progress)
        chosen = plain
        if balanced and len(rows):
            chosen = _balanced(work, plain, far, codes, capacity, batch_size * workers, taken)
    found = chosen if taken is None else np.concatenate([taken, chosen])
    if last_digit:
        own = last_digits(chosen, None if old is None else old.digits)
        found = np.column_stack([chosen, own])
        found = found if old is None else np.concatenate([old.digits.astype(np.int64), found])
    every = own_names
    if old is not None and old.names is not None and own_names is not None:
        every = [*old.names, *(own_names[row] for row in rows)]
    about = {
        "model_sha256": digest,
        "source": source.name,
        "data": content_fingerprint(source) if every is None else None,
        "balanced": {"capacity": capacity, "candidates": candidates} if balanced else None,
        "moved": int((plain != chosen).any(axis=1).sum()),
        "new_items": len(rows),
        "prefixes_before": _levels(plain if taken is None else np.concatenate([taken, plain]), codes),
        "prefixes": _levels(found[:, :levels], codes),
        "most_items_of_an_id": max((len(each) for each in colliding(found[:, :levels])), default=1),
    }
    return SemanticIds(_small(found), codes, last_digit=last_digit, names=every, about=about)


def _levels(indices: Ints, codebook_size: int) -> list[dict[str, Any]]:
    return [asdict(level) for level in path_levels(indices, codebook_size)]


def _small(found: Ints) -> npt.NDArray[Any]:
    return found.astype(np.min_scalar_type(int(found.max())))


def _check_old(old: SemanticIds, digest: str, codes: int, levels: int, last_digit: bool) -> None:
    made_by = str(old.about.get("model_sha256"))
    if made_by != digest:
        raise DataError(
            f"the ids to extend were made by another model (sha256 {made_by[:12]}..., this one is {digest[:12]}...): "
            "take that model, or make all ids anew"
        )
    if (old.codebook_size, old.codebooks) != (codes, levels):
        raise ConfigError(
            f"the ids to extend have {counted(old.codebooks, 'codebook')}, these have {levels}: "
            f"give {option('codebooks', old.codebooks)}"
        )
    if old.last_digit != last_digit:
        there = "have a last digit" if old.last_digit else "have no last digit"
        wanted = spelled(
            python=f"last_digit={old.last_digit}", command="--" + "no-" * (not old.last_digit) + "last-digit"
        )
        raise ConfigError(f"the ids to extend {there}, so those of new items are alike: give {wanted}")


def _new_rows(old: SemanticIds, source: Source, names: list[str] | None) -> Ints:
    """The rows that the older map does not know."""
    if (names is None) != (old.names is None):
        without = "the data" if names is None else "the ids to extend"
        raise DataError(f"{without} have no names of items, and the others have: give both names, or neither")
    if names is not None:
        known = set(old.names or ())
        return np.array([row for row, name in enumerate(names) if name not in known], np.int64)
    count = len(old)
    same = len(source) >= count and content_fingerprint(_first(source, count)) == old.about.get("data")
    if not same:
        raise DataError(
            f"{source.name}: without names of items the {count:,} items of the ids to extend come first, as they were, "
            f"and they are not the first of these {len(source):,}; give {option('names')} to make and to extend ids"
        )
    return np.arange(count, len(source))


def _first(source: Source, count: int) -> Source:
    return source if len(source) == count else source.subset(range(count))


def _balanced(
    work: Chooser, plain: Ints, far: npt.NDArray[np.float32], size: int, capacity: int, block: int, taken: Ints | None
) -> Ints:
    """Return the indices ``[N, levels]`` with so many items of each (see ``matched``)."""
    places = size ** np.arange(plain.shape[1] - 1, -1, -1, dtype=np.int64)

    def wishes(items: Ints) -> tuple[Ints, npt.NDArray[np.float32]]:
        indices, distances = work.wishes(items)
        return indices @ places, distances

    held = None if taken is None else taken @ places
    found = matched(plain @ places, far, wishes, capacity=capacity, taken=held, block=block)
    return found[:, None] // places % size
