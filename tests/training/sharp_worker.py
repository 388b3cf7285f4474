"""Worker of test_sharp.py, one of two processes: a sharp run with a perceptual term."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.hurry import shorten_endings
from vqkit.data import ArraySource
from vqkit.models import VQVAE
from vqkit.training import train

OBJECTIVE = (
    "likelihood + 0.05*perceptual(scales=2, width=8) + 0.05*adversarial(width=4, layers=1, r1_every=3, lecam=0.1)"
)


def run(out: Path) -> None:
    """Train for a few steps."""
    pictures = np.clip(np.random.default_rng(0).random((64, 1, 8, 8)).cumsum(axis=2) / 8, 0, 1)
    source = ArraySource((255 * pictures).astype(np.uint8))
    model = VQVAE.for_source(
        source, 16, code_dim=4, hidden_channels=8, residual_channels=4, downsampling=2, residual_blocks=1, seed=0
    )
    train(
        model, source, out=out, steps=16, batch_size=16, evaluations=0, log_every=4, checkpoint_seconds=1e6,
        average_decay=0.5, learning_rate=3e-3, evaluation_items=16, objective=OBJECTIVE, sharp=True, parallel="ddp",
        quiet=True, tensorboard=False,
    )  # fmt: skip


def main() -> None:
    """In each process."""
    torch.set_num_threads(1)
    shorten_endings(pytest.MonkeyPatch())
    run(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
