"""Measures of vectors beside brute force in NumPy, and the command that shows them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import vqkit
from vqkit.cli.main import app
from vqkit.evaluation.vectors.neighbors import neighbor_recall
from vqkit.evaluation.vectors.paths import birthday_rate, path_levels
from vqkit.models import ProductQuantization


def test_recall_is_that_of_sorted_distances() -> None:
    random = np.random.default_rng(0)
    x, q = random.normal(size=(500, 5)), random.normal(size=(40, 5))
    made, q_made = x + 0.8 * random.normal(size=x.shape), q + 0.8 * random.normal(size=q.shape)

    def order(queries: np.ndarray, among: np.ndarray) -> np.ndarray:
        return ((queries[:, None] - among[None]) ** 2).sum(axis=2).argsort(axis=1)

    true = order(q, x)[:, :1]
    batches = [(torch.from_numpy(x[s : s + 60]), torch.from_numpy(made[s : s + 60])) for s in range(0, 500, 60)]
    found = neighbor_recall(torch.from_numpy(q), torch.from_numpy(q_made), batches)
    for at in (1, 10, 100):
        assert found.asymmetric[at] == (order(q, made)[:, :at] == true).any(axis=1).mean()
        assert found.decoded[at] == (order(q_made, made)[:, :at] == true).any(axis=1).mean()
    assert (found.queries, found.database) == (40, 500)


def test_of_equally_far_vectors_the_first_counts() -> None:
    random = np.random.default_rng(0)
    x, made, q = (random.integers(0, 3, size=(count, 2)) for count in (700, 700, 50))  # as many share their codes

    def order(among: np.ndarray) -> np.ndarray:
        return ((q[:, None] - among[None]) ** 2).sum(axis=2).argsort(axis=1, kind="stable")

    whole, coded, queries = (torch.from_numpy(each).float() for each in (x, made, q))
    found = neighbor_recall(queries, queries, zip(whole.split(77), coded.split(77), strict=True))
    expected = {at: (order(made)[:, :at] == order(x)[:, :1]).any(axis=1).mean() for at in (1, 10, 100)}
    assert found.asymmetric == expected
    assert neighbor_recall(queries, queries, [(whole, whole)]).decoded[1] == 1


def test_paths_are_those_of_sets() -> None:
    indices = np.random.default_rng(0).integers(7, size=(300, 4))
    for level in path_levels(indices, 7):
        prefixes = [tuple(row[: level.codebooks]) for row in indices.tolist()]
        shares = np.unique(indices[:, level.codebooks - 1], return_counts=True)[1] / 300
        assert level.distinct == len(set(prefixes))
        assert level.collision_rate == pytest.approx(1 - len(set(prefixes)) / 300)
        assert level.entropy_bits == pytest.approx(-(shares * np.log2(shares)).sum())
        whole = np.array([prefixes.count(each) for each in set(prefixes)]) / 300
        assert level.prefix_entropy_bits == pytest.approx(-(whole * np.log2(whole)).sum())


def test_the_birthday_bound_is_that_of_random_ids() -> None:
    random = np.random.default_rng(1)
    rates = [1 - len(np.unique(random.integers(6**3, size=150))) / 150 for _ in range(400)]
    assert birthday_rate(150, 6, 3) == pytest.approx(np.mean(rates), abs=0.005)
    assert birthday_rate(1_000_000, 256, 8) == pytest.approx(1e6 / 2 / 2.0**64, rel=1e-2, abs=1e-10)
    assert birthday_rate(10, 1, 3) == pytest.approx(0.9)
    assert birthday_rate(10, 4096, 64) == 0


def test_eval_of_vectors_says_neighbors_and_collisions(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x = (random.normal(size=(8, 6))[random.integers(8, size=300)] + 0.3 * random.normal(size=(300, 6))).astype("f4")
    np.save(tmp_path / "x.npy", x)
    run, numbers = str(tmp_path / "run"), str(tmp_path / "n.json")
    command = ["train", str(tmp_path / "x.npy"), "--model", "pq", "-k", "8", "--set", "num_codebooks=2", "-o", run]
    assert CliRunner().invoke(app, [*command, "--no-tensorboard"]).exit_code == 0
    told = CliRunner().invoke(app, ["eval", run, "--json", numbers])
    assert told.exit_code == 0
    assert "recall, asymmetric" in told.output
    found = json.loads(Path(numbers).read_text())
    assert found["neighbors"]["database"] == 270  # the training vectors of the run
    assert found["neighbors"]["queries"] == 30
    assert found["bytes_per_vector"] == 0.75
    assert [level["codebooks"] for level in found["ids"]] == [1, 2]
    whole = CliRunner().invoke(app, ["eval", run, str(tmp_path / "x.npy"), "--json", numbers])
    assert whole.exit_code == 0
    assert json.loads(Path(numbers).read_text())["neighbors"]["database"] == 270  # nine tenths
    named = ["eval", run, str(tmp_path / "x.npy"), "--database", str(tmp_path / "x.npy"), "--json", numbers]
    assert CliRunner().invoke(app, named).exit_code == 0
    assert json.loads(Path(numbers).read_text())["neighbors"]["database"] == 300


def test_evaluate_without_bits_looks_for_no_neighbors() -> None:
    x = np.random.default_rng(0).normal(size=(60, 4)).astype("f4")
    model = ProductQuantization(4, num_codebooks=2, channels=4)
    model.fit(lambda: [torch.from_numpy(x)])
    quick = vqkit.evaluate(model, x, bits=False)
    assert quick.vectors is not None
    assert quick.vectors.neighbors is None
    cosines = torch.nn.functional.cosine_similarity(torch.from_numpy(x), model.reconstruct(x), dim=1)
    assert quick.vectors.cosine == pytest.approx(float(cosines.mean()), abs=1e-6)
    assert vqkit.evaluate(vqkit.PCA.for_source(x, 2), x).vectors is not None
