"""Encoding by processes that torchrun started, two groups of them as two machines would have."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.ranks import launch, torchrun
from tests.tokens import torchrun_worker
from tests.tokens.cases import contents
from tests.tokens.test_workers import PIXELS, tiny
from vqkit import VQVAE, tokenize
from vqkit.errors import ConfigError


def launched(nodes: int, *words: object) -> list[subprocess.CompletedProcess[str]]:
    """Run a command under torchrun on so many nodes."""
    return torchrun([{}] * nodes, "vqkit", *map(str, words))


@pytest.mark.parametrize("nodes", [1, 2])
def test_the_bytes_are_those_of_one_process(tmp_path: Path, nodes: int) -> None:
    tiny().save_pretrained(tmp_path / "model")
    np.save(tmp_path / "x.npy", PIXELS)
    words = ("encode", tmp_path / "model", tmp_path / "x.npy", "--out", tmp_path / "t", "--batch-size", 8)
    done = launched(nodes, *words, "--shard-items", 7, "--threads", 1)
    assert [each.returncode for each in done] == [0] * nodes, done[0].stderr
    said = "".join(each.stdout for each in done)
    assert said.count("240 items, grid 4x4") == 1
    model = VQVAE.from_pretrained(tmp_path / "model").eval()
    one = tokenize(model, tmp_path / "x.npy", tmp_path / "one", batch_size=8, shard_items=7)
    assert contents(tmp_path / "t") == contents(one.path)


def test_what_is_wrong_is_said_once_by_rank_0(tmp_path: Path) -> None:
    tiny().save_pretrained(tmp_path / "model")
    np.save(tmp_path / "x.npy", PIXELS)
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "thesis.txt").write_text("mine")
    (done,) = launched(1, "encode", tmp_path / "model", tmp_path / "x.npy", "--out", tmp_path / "t")
    assert done.returncode
    assert "already holds something that is not" in done.stderr


def test_a_set_that_one_rank_finds_finished_is_that_of_all(tmp_path: Path) -> None:
    """A rank that comes late goes the way of the others: it is not one encoding behind them from then on."""
    launch(torchrun_worker.__name__, [str(tmp_path)])


def test_without_torchrun_it_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(ConfigError, match=r"torchrun --nproc-per-node 4 SCRIPT\.py"):
        tokenize(tiny(), PIXELS, tmp_path / "t", engine="torchrun")
