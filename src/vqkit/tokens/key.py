"""Everything that a token set depends on, by content: it tells whether tokens that lie somewhere are the right ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vqkit.data import Source
from vqkit.data.identity import content_fingerprint
from vqkit.errors import VqkitError
from vqkit.models import IndexModel
from vqkit.pretrained.identity import model_digest
from vqkit.tokens.manifest import find_manifest
from vqkit.tokens.tokens import Tokens, load_tokens

_VERSION = 1
"""Raised when vqkit makes other tokens, or other files of them, from the same model and data."""

_WORDS = {
    "model": "another model, or another state of it",
    "data": "other data",
    "names": "other names of items",
    "rate_weights": "other rate weights",
    "seed": "another seed of the rate weights",
    "codebooks": "another number of codebooks",
    "format": "another format",
    "version": "another version of vqkit",
    "layout": "another layout of sequences",
    "shards": "another number of items per file",
    "device": "another kind of device",
}


def token_key(
    model: IndexModel,
    source: Source,
    kind: str,
    rate_weights: Sequence[float],
    seed: int,
    codebooks: int | None = None,
    layout: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the ``key`` of ``tokens.json``: strict JSON, equal only where the tokens are.

    Args:
        model: the tokenizer.
        source: the data, with the model's channels.
        kind: the format of the shards.
        rate_weights: see ``tokenize``.
        seed: of their draw; it counts only where there is something to draw.
        codebooks: how many of the model's are used; None: all.
        layout: of sequences; None: a format of arrays.
    """
    used = {} if codebooks is None else {"codebooks": codebooks}
    names = item_names(source, range(len(source)))
    return {
        "version": _VERSION,
        "model": model_digest(model),
        "data": content_fingerprint(source),
        "names": None if names is None else hashlib.sha256(json.dumps(names).encode()).hexdigest(),
        "format": kind,
        "rate_weights": [float(weight) for weight in rate_weights],
        "seed": seed if len(set(rate_weights)) > 1 else None,
        **used,
        **({} if layout is None else {"layout": dict(layout)}),
    }


def short(key: Mapping[str, Any]) -> str:
    """A key as 32 letters, for the name of a folder."""
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]


def differences(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """In which respects two keys differ, in words: "other data, another format"; "" where they do not."""
    names = [name for name in {**there, **wanted} if there.get(name) != wanted.get(name)]
    return ", ".join(_WORDS.get(name, f"another {name}") for name in names)


def item_names(source: Source, places: range) -> list[str | None] | None:
    """The names of some items, or None where none of them has one."""
    if source.item_name(0) is None and source.item_name(len(source) - 1) is None:
        return None
    return [source.item_name(index) for index in places]


def there_already(path: str | Path, key: Mapping[str, Any]) -> Tokens | None:
    """The complete token set of this key in a folder, or None where there is none, another or a damaged one."""
    if find_manifest(path) is None:
        return None
    try:
        tokens = load_tokens(path)
    except VqkitError:
        return None
    return tokens if tokens.manifest.get("key") == dict(key) and tokens.is_whole() else None
