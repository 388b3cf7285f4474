"""Quality of a model of vectors over a set: angles, bytes, collisions of ids, recall of neighbours."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vqkit.data import Source, evaluation_batches
from vqkit.evaluation.vectors.neighbors import NeighborRecall, neighbor_recall
from vqkit.evaluation.vectors.paths import PathLevel, path_levels
from vqkit.models import IndexModel, Model
from vqkit.models.matching import in_channels, open_source

_QUERIES, _SHARE = 1000, 10
_AT_ONCE = 4096


@dataclass(frozen=True, kw_only=True)
class VectorQuality:
    """Measures of vectors.

    Attributes:
        cosine: mean of the cosines between vectors and their reconstructions; vectors of 0 count as 0.
        bytes_per_vector: of a model with codebooks, log2 K bits an index.
        ids: of each prefix of the indices, from the first index to all (see ``PathLevel``); None without codebooks.
        neighbors: recall of the true nearest neighbours; None where it was not measured.
    """

    cosine: float
    bytes_per_vector: float | None
    ids: tuple[PathLevel, ...] | None
    neighbors: NeighborRecall | None = None


@dataclass(frozen=True)
class VectorPart:
    """What is kept of a batch."""

    cosines: Tensor
    indices: npt.NDArray[Any] | None


def vector_part(model: Model, vectors: Tensor, reconstruction: Tensor, codes: Tensor) -> VectorPart:
    """Measure a batch of vectors ``[B, D]``."""
    cosines = torch.nn.functional.cosine_similarity(vectors.double(), reconstruction.double(), dim=1).cpu()
    if not isinstance(model, IndexModel):
        return VectorPart(cosines, None)
    kept = np.uint16 if model.codebook_size <= 1 << 16 else np.int64
    return VectorPart(cosines, codes.reshape(len(vectors), -1).cpu().numpy().astype(kept))


def join_parts(model: Model, parts: list[VectorPart], neighbors: NeighborRecall | None) -> VectorQuality:
    """Return the measures of all batches together."""
    cosine = float(torch.cat([part.cosines for part in parts]).mean())
    if not isinstance(model, IndexModel):
        return VectorQuality(cosine=cosine, bytes_per_vector=None, ids=None, neighbors=neighbors)
    indices = np.concatenate([part.indices for part in parts if part.indices is not None])
    return VectorQuality(
        cosine=cosine,
        bytes_per_vector=indices.shape[1] * math.log2(model.codebook_size) / 8,
        ids=tuple(path_levels(indices, model.codebook_size)),
        neighbors=neighbors,
    )


def judged_neighbors(
    model: Model, source: Source, database: Any, codebooks: int | None = None
) -> NeighborRecall | None:
    """Measure recall of neighbours for vectors of a source: a tenth of them, 1,000 at most, in the others.

    Args:
        model: in evaluation mode.
        source: the vectors.
        database: data to look in instead, for up to 1,000 vectors of the source; None: none.
        codebooks: how many of the model's are used; None: all.

    Returns:
        None where there are too few vectors.
    """
    count = min(_QUERIES, len(source) if database is not None else len(source) // _SHARE)
    if count < 1:
        return None
    order = np.random.default_rng(0).permutation(len(source))
    chosen = np.sort(order[:count])
    named = None if database is None else in_channels(model, open_source(model, database))
    rest = source.subset(np.sort(order[count:])) if named is None else named
    used = {} if codebooks is None else {"codebooks": codebooks}

    def both(part: Source) -> Iterator[tuple[Tensor, Tensor]]:
        for _, batch in evaluation_batches(part, _AT_ONCE):
            x = model.to_float(model.read_signals(batch))
            yield x, model.decode(model.encode(x, **used))

    pairs = list(both(source.subset(chosen)))
    queries, decoded = (torch.cat([pair[side] for pair in pairs]) for side in (0, 1))
    return neighbor_recall(queries, decoded, both(rest))
