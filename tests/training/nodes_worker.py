"""Worker of test_two_nodes.py, a rank on a node of its own: train from shards, lose a node, go on."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
import torch._dynamo  # training imports it at its first use, for a second in every rank

from tests.hurry import shorten_endings
from tests.training.cases import StopAfter
from vqkit.data import load_source
from vqkit.errors import TrainingInterrupted
from vqkit.models import VQVAE
from vqkit.training import Callback, resume, train
from vqkit.training.checkpoints import checkpoint
from vqkit.training.loop import Loop

KINDS = ("parquet", "tar")
LOST = 5
"""The step in which the second node is lost."""


def run(kind: str, url: str, out: Path, callbacks: list[Callback] | None = None) -> None:
    """Train on shards at an address: a model with classes, 9 steps of 8 images, a checkpoint after each."""
    source = load_source(url, memory_limit="1KB")
    torch.manual_seed(0)
    model = VQVAE.for_source(
        source,
        8,
        hidden_channels=8,
        residual_channels=4,
        code_dim=4,
        downsampling=2,
        classes=2,
        class_names=["cat", "dog"],
    )
    options: dict[str, Any] = {"steps": 9, "batch_size": 8, "evaluations": 1, "checkpoint_seconds": 0, "log_every": 3}
    train(model, source, out=out / kind, quiet=True, tensorboard=False, callbacks=callbacks or [], **options)


def lose_a_node() -> None:
    """The process of rank 1 is gone in the middle of a step: nothing is said, nothing is written."""
    before = Loop.one_step

    def one_step(self: Loop) -> None:
        if self.position.step == LOST and self.processes.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        before(self)

    Loop.one_step = one_step  # type: ignore[method-assign]


def main() -> None:
    """``begin``: one run that Ctrl-C stops, and one that loses a node; ``again``: both go on, beside whole ones."""
    torch.set_num_threads(1)
    shorten_endings(pytest.MonkeyPatch())
    out, what, *urls = sys.argv[1:]
    given = dict(zip(KINDS, urls, strict=True))
    if what == "begin":
        with suppress(TrainingInterrupted):
            run("parquet", given["parquet"], Path(out), [StopAfter(4)])
        lose_a_node()
        run("tar", given["tar"], Path(out))
        raise AssertionError("no node was lost")
    for kind, step in zip(KINDS, (4, LOST), strict=True):
        assert checkpoint.found(Path(out) / kind / "checkpoints")[-1].name == f"step_{step:09d}"
        resume(Path(out) / kind, data=load_source(given[kind], memory_limit="1KB"), quiet=True, tensorboard=False)
        run(kind, given[kind], Path(out) / "whole")


if __name__ == "__main__":
    main()
