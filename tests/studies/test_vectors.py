"""The comparison of models of vectors: complete, judged as by hand, gone on with, and what it says of bad input."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.results.cases import check
from vqkit.data import load_source
from vqkit.errors import ConfigError
from vqkit.models import load_model
from vqkit.studies.ladder.study import compare
from vqkit.studies.vectors.settings import RUNGS, VectorsConfig
from vqkit.studies.vectors.study import VectorComparison, claims, compare_vectors
from vqkit.training import TrainConfig
from vqkit.training.inputs.holdout import validation_split

TINY: dict[str, Any] = {"codebook_size": 8, "num_codebooks": [1, 2], "steps": 3, "hidden_channels": 8, "code_dim": 4}


def vectors(count: int = 200, dim: int = 6) -> np.ndarray:
    random = np.random.default_rng(0)
    centers = random.normal(size=(12, dim)) * 3
    return (centers[random.integers(12, size=count)] + random.normal(size=(count, dim))).astype(np.float32)


def run(out: Path, data: Any = None, **options: Any) -> VectorComparison:
    return compare_vectors(vectors() if data is None else data, out, quiet=True, **{**TINY, **options})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> VectorComparison:
    return run(tmp_path_factory.mktemp("study") / "whole")


def entry(document: dict[str, Any], key: str) -> dict[str, Any]:
    (found,) = [each for each in document["rungs"] if each["key"] == key]
    return dict(found)


def test_every_model_is_there_at_every_size(whole: VectorComparison) -> None:
    document = whole.document
    assert [each["key"] for each in document["rungs"]] == [f"{name}-m{count}" for count in (1, 2) for name in RUNGS]
    assert all(each["status"] == "done" for each in document["rungs"])
    assert json.loads((whole.path / "compare.json").read_text()) == document
    check("compare-vectors", document)
    assert {each["bytes_per_vector"] for each in document["rungs"]} == {3 / 8, 6 / 8}
    assert document["data"]["train_items"] == 180
    page = whole.report.read_text()
    assert all(each["title"] in page for each in document["rungs"])


def test_the_numbers_are_those_of_the_model_that_is_kept(whole: VectorComparison) -> None:
    model: Any = load_model(whole.path / "rq-m2" / "run" / "model")
    training, held_out = validation_split(load_source(vectors()), TrainConfig(steps=1))
    database, queries = (part.gather(range(len(part))) for part in (training, held_out))
    decoded, found = model.decode(model.encode(database)).numpy(), entry(whole.document, "rq-m2")
    again = model.decode(model.encode(queries)).numpy()
    true = ((queries[:, None] - database) ** 2).sum(axis=2).argmin(axis=1)
    for key, asked in (("recall", queries), ("recall_decoded", again)):
        order = ((asked[:, None] - decoded) ** 2).sum(axis=2).argsort(axis=1)
        ranks = (order == true[:, None]).argmax(axis=1)
        assert abs(found[f"{key}_100"] - (ranks < 100).mean()) < 0.11  # equal codewords tie
    assert found["mse"] == pytest.approx(((again - queries) ** 2).mean(), rel=1e-5)
    distinct = len(np.unique(model.encode(database).numpy(), axis=0))
    assert found["collision_rate"] == pytest.approx(1 - distinct / len(database))


def test_done_models_are_not_trained_again(whole: VectorComparison) -> None:
    said: list[str] = []
    again = run(whole.path, say=said.append)
    assert sum("done before" in line for line in said) == 8
    assert again.document["rungs"] == whole.document["rungs"]


def test_one_that_fails_leaves_the_others(tmp_path: Path) -> None:
    document = run(tmp_path / "s", num_codebooks=[7], rungs=["pq", "rq"]).document
    assert [each["status"] for each in document["rungs"]] == ["failed", "done"]
    assert "num_codebooks=7" in document["rungs"][0]["error"]
    assert "num_codebooks=7" in (tmp_path / "s" / "pq-m7" / "error.txt").read_text()
    with pytest.raises(ConfigError, match="every model failed"):
        run(tmp_path / "none", num_codebooks=[7], rungs=["pq"])


def test_claims_are_of_the_numbers() -> None:
    rows = [
        {"name": "pq", "status": "done", "nmse": error, "bytes_per_vector": size}
        for size, error in ((1.0, 0.5), (2.0, 0.6))
    ]
    (found,) = claims(rows)
    assert found["holds"] is False
    assert claims(rows[::-1])[0]["holds"] is True
    assert claims(rows[:1]) == []


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape("vqkit.compare")):
        run(tmp_path / "s", load_source("builtin:digits"))
    with pytest.raises(ConfigError, match="compare_vectors"):
        compare(vectors(), tmp_path / "s")
    with pytest.raises(ConfigError, match="pca: of vectors choose from pq, opq, rq, vqvae"):
        run(tmp_path / "s", rungs=["pca"])
    with pytest.raises(ConfigError, match="num_codebooks"):
        VectorsConfig(num_codebooks=[0])
    with pytest.raises(ConfigError, match="codebook_size=1"):
        VectorsConfig(codebook_size=1)


def test_several_seeds_on_one_split(whole: VectorComparison, tmp_path: Path) -> None:
    both = run(tmp_path / "both", num_codebooks=[2], rungs=["rq", "vqvae"], seeds=[0, 1]).document
    check("compare-vectors", both)
    for found in both["rungs"]:
        values = found["spread"]["mse"]["values"]
        assert len(set(values)) == 2
        assert values[0] == next(each["mse"] for each in whole.document["rungs"] if each["key"] == found["key"])
        recorded = json.loads((tmp_path / f"both/seeds/1/{found['key']}/run/run.json").read_text())["training"]
        assert (recorded["seed"], recorded["split_seed"]) == (1, 0)
    assert "whisker" in (tmp_path / "both/report.html").read_text(encoding="utf-8")
