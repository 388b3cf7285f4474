"""Tokens depend on the items alone: any batch size, any number of workers, items of one size or of several."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import vqkit
from tests.tokens.cases import contents
from tests.tokens.test_workers import PIXELS, tiny
from vqkit import tokenize
from vqkit.data.arrays.memory import ArraySource, RaggedSource

MODEL = tiny()


def ragged(count: int) -> RaggedSource:
    """Items of four sizes, some the same size as the one before them."""
    sizes = np.array([((8, 8), (8, 6), (4, 10), (8, 8))[number // 3 % 4] for number in range(count)])
    starts = np.concatenate([[0], sizes.prod(axis=1).cumsum()])
    values = np.random.default_rng(1).integers(0, 256, starts[-1], dtype=np.uint8)
    return RaggedSource(values, starts[:-1], sizes, channels=1)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batch_size=st.sampled_from([1, 2, 3, 7, 16, 64, 300]),
    shard_items=st.sampled_from([5, 40, 64, 1000]),
    workers=st.integers(1, 3),
    several_sizes=st.booleans(),
)
def test_tokens_are_the_same_with_any_batch_and_any_workers(
    batch_size: int, shard_items: int, workers: int, several_sizes: bool,
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    out = tmp_path_factory.mktemp("tokens")
    source: Any = ragged(60) if several_sizes else ArraySource(PIXELS[:200])
    how: dict[str, Any] = {"kind": "jsonl" if several_sizes else "npy", "shard_items": shard_items}
    alone = tokenize(MODEL, source, out / "alone", batch_size=1, **how)
    more: dict[str, Any] = {} if workers == 1 else {"engine": "backwards", "workers": workers}
    found = tokenize(MODEL, source, out / "found", batch_size=batch_size, **how, **more)
    assert contents(Path(found.path)) == contents(Path(alone.path))


def test_items_are_encoded_as_they_are_one_by_one() -> None:
    source = ArraySource(PIXELS)
    tokens = np.asarray(vqkit.tokenize(MODEL, source, batch_size=64)[:])
    for number in range(0, len(source), 17):
        assert np.array_equal(tokens[number], MODEL.encode(source.read(number)[None])[0].numpy())
