"""Encoding by processes that torchrun started, two groups of them as two machines would have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.ranks import launch, launched, torchrun
from tests.tokens import torchrun_worker
from tests.tokens.cases import contents
from tests.tokens.test_workers import PIXELS, tiny
from vqkit import VQVAE, tokenize
from vqkit.errors import ConfigError


def encode(folder: Path, *words: object) -> list[str]:
    """The words of a command that encodes a small set with a small model."""
    tiny().save_pretrained(folder / "model")
    np.save(folder / "x.npy", PIXELS)
    return [*map(str, ("encode", folder / "model", folder / "x.npy", "--out", folder / "t", *words))]


def test_the_bytes_are_those_of_one_process(tmp_path: Path) -> None:
    done = torchrun([{}, {}], "vqkit", *encode(tmp_path, "--batch-size", 8, "--shard-items", 7, "--threads", 1))
    assert [each.returncode for each in done] == [0, 0], done[0].stderr
    said = "".join(each.stdout for each in done)
    assert said.count("240 items, grid 4x4") == 1
    model = VQVAE.from_pretrained(tmp_path / "model").eval()
    one = tokenize(model, tmp_path / "x.npy", tmp_path / "one", batch_size=8, shard_items=7)
    assert contents(tmp_path / "t") == contents(one.path)


def test_what_is_wrong_is_said_once_by_rank_0(tmp_path: Path) -> None:
    words = encode(tmp_path)
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "thesis.txt").write_text("mine")
    (statuses,), said = launched("vqkit.cli.main", words, nodes=[{}, {}])
    assert all(statuses), said
    assert said.count("already holds something that is not") == 1, said


def test_a_set_that_one_rank_finds_finished_is_that_of_all(tmp_path: Path) -> None:
    """A rank that comes late goes the way of the others: it is not one encoding behind them from then on."""
    launch(torchrun_worker.__name__, [str(tmp_path)])


def test_without_torchrun_it_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(ConfigError, match=r"torchrun --nproc-per-node 4 SCRIPT\.py"):
        tokenize(tiny(), PIXELS, tmp_path / "t", engine="torchrun")
