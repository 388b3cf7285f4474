"""The worked example of docs/semantic-ids.md on real data, cut short; its measures against a count by hand."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("VQKIT_TEST_DATA", ROOT.parent / "shared" / "data")) / "vectors" / "movielens_small"


@pytest.fixture(scope="module")
def example() -> Any:
    spec = importlib.util.spec_from_file_location("movielens", ROOT / "benchmarks" / "movielens.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_recall_and_ndcg_by_hand(example: Any) -> None:
    films = [f"film {number}" for number in range(30)]
    histories = example.Histories([[0, 1, 2, 3], [29, 28, 27, 26]], films, [{"Drama"}] * 30)
    assert histories.training() == [[0, 1], [29, 28]]
    scores = np.tile(-np.arange(30.0), (2, 1))  # film 3 comes first when 0, 1 and 2 are left out; film 26 is far
    found = example.measures(scores, histories)
    assert found == {"recall@10": 0.5, "ndcg@10": 0.5}
    scores[0, 4] = 1  # now it is second
    assert example.measures(scores, histories)["ndcg@10"] == pytest.approx(0.5 / np.log2(3))


def test_windows_of_histories(example: Any) -> None:
    assert example.windows([1, 2], 4, 9, 2) == [[9, 9, 1, 2]]
    assert example.windows([1, 2, 3, 4, 5], 2, 9, 2) == [[2, 3], [4, 5]]


@pytest.mark.skipif(
    not (DATA / "ratings.csv").is_file(),
    reason="MovieLens is not here (its licence forbids shipping it; VQKIT_TEST_DATA names the folder of real data)",
)
def test_the_example_runs(example: Any) -> None:
    histories = example.read(DATA, 30)
    assert min(map(len, histories.users)) >= 4
    settings = example.Settings(steps=2, channels=16, layers=1, length=8, batch=4, codebook_size=8, dimensions=8)
    rows = example.compare(histories, settings)
    assert list(rows) == ["popularity", "neighbours", "semantic ids 0", "random ids 0"]
    assert all(0 <= row["ndcg@10"] <= row["recall@10"] <= 1 for row in rows.values())
