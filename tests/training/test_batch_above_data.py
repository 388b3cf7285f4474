"""Batches that are larger than the data, or than the machine: said, or refused, before they are made."""

from __future__ import annotations

import io
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from vqkit import load_source, resume, tokenize, train
from vqkit.cli.main import app
from vqkit.data import Source
from vqkit.errors import ConfigError
from vqkit.models import PCA, VQVAE
from vqkit.priors import GatedPixelCNN
from vqkit.training import TrainConfig
from vqkit.training.inputs.batch_size import batch_note, check_batch
from vqkit.training.record.log import read_log

TINY: dict[str, Any] = {"code_dim": 8, "hidden_channels": 8, "residual_channels": 4}
RUN: dict[str, Any] = {"steps": 1, "evaluations": 0, "tensorboard": False}


def pixels(count: int, side: int = 8) -> Source:
    generator = torch.Generator().manual_seed(0)
    return load_source(torch.randint(0, 256, (count, 1, side, side), dtype=torch.uint8, generator=generator))


def small(source: Source) -> VQVAE:
    return VQVAE.for_source(source, 16, seed=0, **TINY)


def warnings(path: Path) -> list[str]:
    return [line["message"] for line in read_log(path) if line["kind"] == "warning"]


@pytest.mark.parametrize("quiet", [False, True])
def test_it_is_said_and_logged_once(quiet: bool, tmp_path: Path) -> None:
    source = pixels(20)
    said = io.StringIO()
    console = Console(file=said, width=200)
    with pytest.warns(UserWarning, match="batch_size=180 of 18") if quiet else nullcontext():
        run = train(small(source), source, out=tmp_path / "r", batch_size=180, quiet=quiet, console=console, **RUN)
    (told,) = warnings(run.path)
    assert "batch_size=180 of 18 training items" in told
    assert "every item 10 times" in told
    assert ("batch_size=180 of 18" in said.getvalue()) is not quiet
    resume(run.path, data=source, steps=2, console=console, tensorboard=False)
    assert warnings(run.path) == [told]
    resume(run.path, data=source, steps=3, batch_size=36, console=console, tensorboard=False)
    assert len(warnings(run.path)) == 2
    assert "every item 2 times" in warnings(run.path)[1]


@pytest.mark.parametrize("size", [1, 17, 18])
def test_a_batch_within_the_data_is_no_news(size: int, tmp_path: Path) -> None:
    source = pixels(20)
    assert warnings(train(small(source), source, out=tmp_path / "r", batch_size=size, quiet=True, **RUN).path) == []


def test_on_the_command_line(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 256, (10, 8, 8), dtype=np.uint8))
    options = ["--codebook-size", "8", "--hidden-channels", "8", "--batch-size", "90", "--steps", "1"]
    found = CliRunner().invoke(app, ["train", str(tmp_path / "x.npy"), "--out", str(tmp_path / "r"), *options])
    assert found.exit_code == 0
    assert "batch_size=90 of 9 training items: each step shows every item 10 times" in found.stderr


def test_of_tokens_and_in_closed_form(tmp_path: Path) -> None:
    source = pixels(20)
    tokens = tokenize(small(source).eval(), source, out=tmp_path / "t")
    prior = GatedPixelCNN.for_tokens(tokens, layers=1, hidden_channels=8)
    run = train(prior, tokens, out=tmp_path / "p", batch_size=27, quiet=True, **RUN)
    assert "every item 1.5 times" in warnings(run.path)[0]
    whole = train(PCA.for_source(source, 4), source, out=tmp_path / "a", batch_size=99, quiet=True, tensorboard=False)
    assert warnings(whole.path) == []  # read whole, in batches of its own
    mirrored = train(
        PCA.for_source(source, 4), source, out=tmp_path / "b", batch_size=99, flip=True, quiet=True, tensorboard=False
    )
    assert "every item 5.5 times" in warnings(mirrored.path)[0]


def test_crops_that_lie_side_by_side_are_counted() -> None:
    source = pixels(2, side=32)
    assert batch_note(source, TrainConfig(batch_size=32, crop=8)) is None
    told = batch_note(source, TrainConfig(batch_size=64, crop=8))
    assert told is not None
    assert "2 training items in crops of 8 x 8: each step shows every part of them 2 times" in told
    whole = batch_note(source, TrainConfig(batch_size=4, crop=64))  # enlarged: one for each
    assert whole is not None
    assert "every item 2 times" in whole


def test_a_batch_that_no_memory_holds_is_refused_before_it_is_made(tmp_path: Path) -> None:
    source = pixels(20, side=64)
    with pytest.raises(ConfigError, match=r"2,147,483,647.*GiB.*at most"):
        train(small(source), source, out=tmp_path / "r", batch_size=2**31 - 1, quiet=True, **RUN)
    assert not (tmp_path / "r").exists()
    check_batch(source, TrainConfig(batch_size=1024))
    with pytest.raises(ConfigError, match="GiB"):
        check_batch(source, TrainConfig(batch_size=1 << 20, crop=4096))
    check_batch(source, TrainConfig(batch_size=1 << 20, crop=4096), world=1 << 20)


@pytest.mark.parametrize("out", ["/proc/none/such", "/dev/null/r", "x" * 300])
def test_a_place_where_no_run_can_be_is_refused_in_one_line(out: str, tmp_path: Path) -> None:
    place = Path(out)
    if place.is_absolute() and not place.parents[-2].exists():
        pytest.skip("no such folder on this system")
    where = place if place.is_absolute() else tmp_path / out
    with pytest.raises(ConfigError, match=r"no folder can be made|is a file|exists and is no folder|too long"):
        train(small(pixels(20)), pixels(20), out=where, quiet=True, **RUN)
