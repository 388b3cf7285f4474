"""The global random generators after a training: as they were, however it ended."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vqkit
from tests.training.cases import StopAfter
from vqkit.errors import TrainingInterrupted, TrainingStopped
from vqkit.training.generators import kept_generators, seed_generators

QUIET: dict[str, Any] = {"quiet": True, "tensorboard": False, "batch_size": 8, "steps": 4}
IMAGES = np.random.default_rng(0).integers(0, 256, (40, 1, 8, 8), dtype=np.uint8)


def drawn() -> list[float]:
    """The next number of each generator, which goes on afterwards."""
    numbers = [random.random(), float(np.random.rand()), float(torch.rand(()))]  # noqa: NPY002
    return numbers + ([float(torch.rand((), device="cuda"))] if torch.cuda.is_available() else [])


def seed() -> None:
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    torch.manual_seed(3)


def model() -> vqkit.VQVAE:
    """One that draws in every step, by Gumbel noise."""
    options: dict[str, Any] = {"code_dim": 4, "downsampling": 2, "hidden_channels": 8, "residual_channels": 4}
    return vqkit.VQVAE(8, channels=1, quantizer="gumbel", **options)


class Drawing(vqkit.Callback):
    """Draws from every generator at every step, and fails at one of them."""

    def __init__(self, fails: int = 0) -> None:
        self.fails = fails

    def on_step(self, step: int, values: Any) -> None:
        drawn()
        if step == self.fails:
            raise ValueError("by intent")


def test_they_are_as_they_were_after_every_end(tmp_path: Path) -> None:
    seed()
    first = model()
    expected = drawn()
    seed()
    model()
    vqkit.train(first, IMAGES, out=tmp_path / "run", callbacks=Drawing(), **QUIET)
    assert drawn() == expected
    for number, callback in enumerate((Drawing(fails=2), StopAfter(0))):
        out, again = tmp_path / str(number), model()
        seed()
        model()
        with pytest.raises((TrainingStopped, TrainingInterrupted)):
            vqkit.train(again, IMAGES, out=out, callbacks=callback, **QUIET)
        assert drawn() == expected
        seed()
        model()
        vqkit.resume(out, data=IMAGES, quiet=True, callbacks=Drawing())
        assert drawn() == expected


def test_a_prior_and_a_closed_form_leave_them_too(tmp_path: Path) -> None:
    source = vqkit.load_source("digits").subset(range(60))
    pca = vqkit.PCA.for_source(source, 4)
    grids = torch.randint(5, (32, 1, 2, 2), dtype=torch.int32).numpy()
    prior = vqkit.TransformerPrior(5, (2, 2), hidden_channels=16, layers=1, heads=2, dropout=0.5)
    seed()
    expected = drawn()
    seed()
    vqkit.train(pca, source, out=tmp_path / "pca", quiet=True)
    vqkit.train(prior, vqkit.data.ArraySource(grids, name="grids"), out=tmp_path / "prior", **QUIET)
    assert drawn() == expected


def test_within_the_block_they_may_be_seeded() -> None:
    seed()
    expected = drawn()
    seed()
    with kept_generators(torch.device("cpu")):
        seed_generators(7, torch.device("cpu"))
        inside = torch.rand(4)
        np.random.seed(0)  # noqa: NPY002
        random.seed(0)
    assert torch.equal(inside, torch.rand(4, generator=torch.Generator().manual_seed(7)))
    assert drawn() == expected


def test_trainings_in_threads_are_those_one_after_another(tmp_path: Path) -> None:
    digits = vqkit.load_source("builtin:digits").subset(range(60))
    options = {"hidden_channels": 8, "residual_blocks": 0, "num_codebooks": 2, "stacking": "residual"}

    def trained(number: int) -> dict[str, torch.Tensor]:
        model = vqkit.VQVAE.for_source(
            digits, 8, seed=number % 3, quantizer_options={"quantizer_dropout": 0.5}, **options
        )
        settings = {"steps": 12, "batch_size": 8, "seed": number % 3, "evaluations": 0}
        vqkit.train(model, digits, out=tmp_path / str(number), quiet=True, tensorboard=False, **settings)
        return {name: value.clone() for name, value in model.state_dict().items()}

    torch.manual_seed(5)
    before = torch.get_rng_state()
    alone = [trained(number) for number in range(3)]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(trained, range(3, 6)))
    for one, other in zip(alone, together, strict=True):
        assert all(torch.equal(value, other[name]) for name, value in one.items())
    assert torch.equal(torch.get_rng_state(), before)


def test_models_that_other_threads_make_change_no_training(tmp_path: Path) -> None:
    digits = vqkit.load_source("builtin:digits").subset(range(60))
    options = {"hidden_channels": 8, "residual_blocks": 0, "num_codebooks": 2, "stacking": "residual"}
    settings = {"steps": 40, "batch_size": 8, "evaluations": 0, "quiet": True, "tensorboard": False}

    def made() -> vqkit.VQVAE:
        dropout = {"quantizer_dropout": 0.5}
        return vqkit.VQVAE.for_source(digits, 8, seed=0, quantizer_options=dropout, **options)

    model, other, ended = made(), made(), threading.Event()
    vqkit.train(model, digits, out=tmp_path / "a", **settings)

    def make() -> None:
        while not ended.is_set():
            made()

    thread = threading.Thread(target=make)
    thread.start()
    try:
        vqkit.train(other, digits, out=tmp_path / "b", **settings)
    finally:
        ended.set()
        thread.join()
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in model.state_dict().items())
