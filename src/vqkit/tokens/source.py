"""Tokens as a data source, for the priors that learn them."""

from __future__ import annotations

import numpy as np

from vqkit.data import ArraySource
from vqkit.errors import DataError
from vqkit.tokens.manifest import find_manifest
from vqkit.tokens.tokens import Tokens


def index_source(tokens: Tokens) -> ArraySource:
    """All grids of a token set in memory, as items ``[1, *grid]`` (or ``[1, *grid, codebooks]``) of int32.

    Raises:
        DataError: grids of different sizes, or a damaged shard.

    Example:
        >>> import tempfile
        >>> import vqkit
        >>> from vqkit.tokens import index_source
        >>> digits = vqkit.load_source("builtin:digits").subset(range(100))
        >>> model = vqkit.VQVAE.for_source(digits, 16, hidden_channels=8)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     tokens = vqkit.tokenize(model, digits, f"{folder}/tokens")
        ...     index_source(tokens).read(0).shape
        (1, 2, 2)
    """
    if tokens.grid is None:
        raise DataError(f"{tokens.path}: grids of different sizes; a prior learns grids of one size")
    if tokens.codebook_size > 1 << 31:
        raise DataError(f"{tokens.path}: {tokens.codebook_size:,} codes; a prior learns indices below 2,147,483,648")
    if not len(tokens):
        raise DataError(f"{tokens.path}: no items")
    tokens.check()  # before an array of as many items is made
    array = np.empty((len(tokens), 1, *tokens[0].shape), dtype=np.int32)
    for number, item in enumerate(tokens):
        array[number, 0] = item
    source = ArraySource(
        array,
        name=tokens.url or str(tokens.path),
        labels=tokens.labels(),
        class_names=tokens.class_names,
        vectors=tokens.vectors(),
    )
    spec = tokens.url or str(tokens.path.resolve())
    source.spec = None if find_manifest(tokens.path) is None else spec
    return source
