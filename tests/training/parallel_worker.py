"""What each torchrun process of test_parallel.py does: train a tiny model and write the final weights."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from vqkit.data import load_source
from vqkit.errors import TrainingInterrupted
from vqkit.models import VQVAE
from vqkit.training import TrainConfig, resume, train
from vqkit.training.checkpoints import checkpoint


def interrupt_after(last: int) -> None:
    """Send Ctrl-C to this process once the checkpoint of a step has been written (the first process writes them)."""
    keep = checkpoint.save

    def save(folder: Path, step: int, *rest: Any) -> Path:
        path = keep(folder, step, *rest)
        if step == last:
            os.kill(os.getpid(), signal.SIGINT)
        return path

    checkpoint.save = save  # type: ignore[assignment]


def main() -> None:
    out, parallel, steps, kind = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    torch.set_num_threads(1)
    if len(sys.argv) > 5:
        interrupt_after(int(sys.argv[5]))
    if kind == "resume":
        resume(out, quiet=True, tensorboard=False)
        return
    torch.manual_seed(0)
    source = load_source("digits")
    model = VQVAE.for_source(
        source,
        16,
        hidden_channels=8,
        residual_channels=4,
        code_dim=4,
        downsampling=2,
        quantizer=kind,
        quantizer_options={"restart_every": 2, "restart_below": 0.3},
    )
    config = TrainConfig(
        steps=steps,
        batch_size=32,
        parallel=parallel,
        log_every=5,
        evaluations=3,
        evaluation_items=20,
        checkpoint_seconds=0,
    )
    with suppress(TrainingInterrupted):  # the test looks at what was saved
        train(model, source, out=out, config=config, quiet=True, tensorboard=False)


if __name__ == "__main__":
    main()
