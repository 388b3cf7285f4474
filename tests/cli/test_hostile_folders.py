"""Properties of everything that reads a folder: whatever is changed in it, vqkit reads it or refuses it in one line."""

from __future__ import annotations

import json
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from vqkit import PCA, VQVAE, load_model, tokenize, train
from vqkit.cli.commands.info import describe
from vqkit.errors import VqkitError
from vqkit.priors import ContextPrior, load_prior
from vqkit.tokens import index_source, load_tokens
from vqkit.training.checkpoints import checkpoint
from vqkit.training.record.log import read_log
from vqkit.training.record.run import read_config

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from hostile_changes import changed_document, changed_header

Folders = dict[str, Path]
few = settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck), database=None)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    place = tmp_path_factory.mktemp("hostile")
    torch.manual_seed(0)
    model = VQVAE(16, channels=1, hidden_channels=8, residual_channels=4, code_dim=4)
    model.save_pretrained(place / "vqvae")
    PCA(4, size=[8, 8], channels=1).save_pretrained(place / "pca")
    ContextPrior(16, [2, 2], hidden_channels=8, layers=1).save_pretrained(place / "prior")
    pixels = np.random.default_rng(0).integers(0, 256, (12, 1, 8, 8), dtype=np.uint8)
    tokenize(model, pixels, place / "npy", shard_items=8)
    tokenize(model, pixels, place / "safetensors", kind="safetensors")
    train(model, pixels, out=place / "run", steps=1, batch_size=4, quiet=True, tensorboard=False)
    return {each.name: each for each in place.iterdir()}


def read_tokens(path: Path) -> object:
    tokens = load_tokens(path)
    return index_source(tokens), tokens.item_names(), describe(str(path))


def read_run(path: Path) -> object:
    return read_config(path), read_log(path), checkpoint.latest(path / "checkpoints"), describe(str(path))


@contextmanager
def changed(file: Path, harm: bytes) -> Iterator[None]:
    whole = file.read_bytes()
    file.write_bytes(harm)
    try:
        yield
    finally:
        file.write_bytes(whole)


def read_or_refused(read: Callable[[Path], object], folder: Path) -> None:
    """Read a folder, which may be refused: by an error of vqkit's own, in one line, in bounded time and memory."""
    start = time.perf_counter()
    tracemalloc.start()
    try:
        read(folder)
    except VqkitError as error:
        assert "\n" not in str(error)  # noqa: PT017
        assert len(str(error)) < 4000  # noqa: PT017
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 100 << 20
    assert time.perf_counter() - start < 10


@few
@example(seed=2013091413, name="pca")  # a method of 100,000 letters, which the class's own error repeats
@given(seed=st.integers(0, 2**32), name=st.sampled_from(["vqvae", "pca", "prior"]))
def test_changed_configs_and_descriptions(folders: Folders, seed: int, name: str) -> None:
    random = Random(seed)
    file = folders[name] / "config.json"
    with changed(file, changed_document(json.loads(file.read_bytes()), random)):
        read_or_refused(load_prior if name == "prior" else load_model, folders[name])
    if name != "pca":
        return
    for kind in ("npy", "safetensors"):
        file = next(folders[kind].glob("*tokens.json"))
        with changed(file, changed_document(json.loads(file.read_bytes()), random)):
            read_or_refused(read_tokens, folders[kind])


@few
@example(seed=491, name="run.json")  # a name of a file of 100,000 letters, which the system's error repeats
@given(seed=st.integers(0, 2**32), name=st.sampled_from(["run.json", "log.jsonl", "state.json"]))
def test_changed_runs(folders: Folders, seed: int, name: str) -> None:
    run, random = folders["run"], Random(seed)
    file = checkpoint.found(run / "checkpoints")[-1] / name if name == "state.json" else run / name
    if name == "log.jsonl":
        lines = file.read_bytes().splitlines()
        place = random.randrange(len(lines))
        lines[place] = changed_document(json.loads(lines[place]), random)
        harm = b"\n".join(lines) + b"\n"
    else:
        harm = changed_document(json.loads(file.read_bytes()), random)
    with changed(file, harm):
        read_or_refused(read_run, run)


@few
@given(seed=st.integers(0, 2**32), name=st.sampled_from(["vqvae", "prior", "safetensors"]))
def test_changed_headers(folders: Folders, seed: int, name: str) -> None:
    read = {"vqvae": load_model, "prior": load_prior, "safetensors": read_tokens}[name]
    file = folders[name] / ("indices-00000.safetensors" if name == "safetensors" else "model.safetensors")
    with changed(file, changed_header(file.read_bytes(), Random(seed))):
        read_or_refused(read, folders[name])
