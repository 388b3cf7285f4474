"""Finished token sets that lie where one is to be made: taken if they are of the same, refused with the difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vqkit.checking import reason
from vqkit.data import Source
from vqkit.errors import ConfigError, DataError
from vqkit.models import IndexModel
from vqkit.models.tiling import weighed_indices
from vqkit.pretrained.folder import content_hash
from vqkit.spelling import option
from vqkit.tokens.key import differences, token_key
from vqkit.tokens.tokens import Tokens, load_tokens

_SAMPLED = 16
"""Items of a token set of an older version that are encoded anew, to see whether they are of the same data."""


def same_tokens(
    path: str | Path,
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
    try:
        tokens.check()
        tokens.check_digests()
    except DataError as error:
        shard = "a shard is not what it was when it was written"
        raise DataError(f"{path}: {shard}; delete that folder and encode again ({reason(error)})") from error
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
