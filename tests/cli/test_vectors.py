"""Vectors through every command: words about vectors, not about axes; files that come back; what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.cases import refused
from vqkit.codec.inspect import inspect_file
from vqkit.models import load_model
from vqkit.studies.codebooks.settings import CodebooksConfig


def vectors(count: int = 90, dim: int = 5) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, dim)).astype(np.float32)


@pytest.fixture
def run(vq: Any) -> Path:
    np.save("vectors.npy", vectors())
    options = ("--set", "num_codebooks=2", "-k", 8, "--out", "run")
    assert vq("train", "vectors.npy", "--model", "pq", *options).status == 0
    return Path("run")


def test_info_speaks_of_vectors(vq: Any, run: Path) -> None:
    found = vq("info", run).out
    assert "2 of 8 codes (6.00 bits) for every vector of 5 numbers" in found
    assert "axes," not in found


def test_a_file_and_back(vq: Any, run: Path) -> None:
    assert vq("compress", "vectors.npy", "-m", run, "--prior", "none", "--out", "v.vqk").status == 0
    words = vq("inspect", "v.vqk").out
    assert "90 vectors of 5 numbers, " in words
    assert "one position for a vector\n" in words
    assert "group 0: 64 vectors, 2 codebooks" in words
    assert "axes" not in words
    assert vq("decompress", "v.vqk", "-m", run, "--out", "back").status == 0
    back = np.stack([np.load(file) for file in sorted(Path("back").rglob("*.npy"))])
    model = load_model(run)
    assert np.array_equal(back.reshape(90, 5), model.decode(model.encode(vectors())).numpy())
    with Path("v.vqk").open("rb") as file:
        assert inspect_file(file).signals == 90


def test_what_is_refused(vq: Any, run: Path) -> None:
    np.save("other.npy", vectors(20, 4))
    refused(vq("eval", run, "other.npy"), "20 vectors of 4 numbers", "the model reads vectors of 5 numbers")
    refused(vq("eval", run, "digits"), "the model reads vectors")
    refused(vq("edit", run, "vectors.npy:3", "--box", "0,0,2,2"), "vectors")
    broken = vectors()
    broken[3, 2] = np.nan
    np.save("broken.npy", broken)
    for words in (["train", "broken.npy", "--model", "pq"], ["encode", run, "broken.npy", "--out", "tokens"]):
        refused(vq(*words), "broken.npy", "item 3 holds NaN or Inf")
    np.save("empty.npy", vectors(0))
    refused(vq("train", "empty.npy", "--model", "rq"), "empty.npy", "at least one item")
    np.save("one.npy", vectors(1))
    refused(vq("train", "one.npy", "--model", "rq"), "one.npy has 1 item", "at least 2")
    refused(vq("train", "vectors.npy", "--model", "opq", "--set", "num_codebooks=6"), "num_codebooks=6")


def test_a_study_of_codebooks_of_vectors(vq: Any) -> None:
    np.save("vectors.npy", vectors())
    small = ("--steps", 2, "--hidden-channels", 8, "--batch-size", 8, "--sizes", 4, "-q", "ema")
    assert vq("study", "codebooks", "vectors.npy", "--out", "study", *small).status == 0
    refused(vq("study", "codebooks", "vectors.npy", "--out", "s", *small, "-f", 2), "give --downsampling 1")
    assert CodebooksConfig().downsampling == 4
