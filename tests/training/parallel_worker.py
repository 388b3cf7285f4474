"""Worker of test_parallel.py, one of two processes: train tiny models until Ctrl-C, or resume them."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
import torch._dynamo
import torch.distributed.fsdp  # training imports both at its first use, for a second in every rank

import tests.objectives.cases  # noqa: F401, registers the adversary
from tests.hurry import shorten_endings
from tests.training.cases import StopAfter
from vqkit.data import Source, load_source
from vqkit.errors import TrainingInterrupted
from vqkit.models import VQVAE
from vqkit.training import Callback, TrainConfig, resume, train

STOPPED = 3
KINDS, PARALLEL = ("ema", "gradient"), ("ddp", "fsdp")
OBJECTIVES = {"ema": "likelihood", "gradient": "likelihood + 0.5*gradient + 0.2*adversary(after=2, adaptive=True)"}
"""Quantizers, and what they are trained for: once with a discriminator."""


def digits() -> Source:
    return load_source("digits").subset(range(200))


def model_of(kind: str) -> VQVAE:
    torch.manual_seed(0)
    return VQVAE.for_source(
        digits(),
        16,
        hidden_channels=8,
        residual_channels=4,
        code_dim=4,
        downsampling=2,
        quantizer=kind,
        quantizer_options={"restart_every": 2, "restart_below": 0.3},
    )


def run(kind: str, parallel: str, out: Path, until: int | None = None) -> None:
    config = TrainConfig(
        steps=14,
        batch_size=32,
        parallel=parallel,
        log_every=5,
        evaluations=3,
        evaluation_items=20,
        checkpoint_seconds=0,
        objective=OBJECTIVES[kind],
        best_by="nmse",
    )
    with suppress(TrainingInterrupted):  # the test looks at what was saved
        source, stop = digits(), [] if until is None else [StopAfter(until)]
        train(model_of(kind), source, out=out, config=config, quiet=True, tensorboard=False, callbacks=stop)


class Stop(Callback):
    """Ends a run after a step; only the first process is told of steps."""

    def on_step(self, step: int, values: Any) -> None:
        if step == STOPPED:
            self.stop("enough")


def run_stopped(parallel: str, out: Path) -> None:
    """One that a callback ends, and that goes on to another end by its patience."""
    options: dict[str, Any] = {"steps": 40, "batch_size": 32, "evaluations": 20, "evaluation_items": 20}
    options |= {"quiet": True, "tensorboard": False}
    source = digits()
    found = train(model_of("ema"), source, out=out, parallel=parallel, callbacks=Stop(), **options)
    assert (found.step, found.stop_reason) == (STOPPED, "Stop: enough")
    found = resume(out, data=source, patience=1, best_by="max:nmse", quiet=True, tensorboard=False)
    assert STOPPED < found.step < 40


def main() -> None:
    """Several trainings in a program under torchrun: the group stays open between them."""
    out, resumed = Path(sys.argv[1]), sys.argv[2] == "resume"
    torch.set_num_threads(1)
    shorten_endings(pytest.MonkeyPatch())
    for kind in KINDS:
        for parallel in PARALLEL:
            if resumed:
                assert not (out / f"{kind}-{parallel}" / "model" / "config.json").exists()  # it was stopped
                resume(out / f"{kind}-{parallel}", data=digits(), quiet=True, tensorboard=False)
            else:
                run(kind, parallel, out / f"{kind}-{parallel}", until=6)
    if resumed:
        for parallel in PARALLEL:
            run_stopped(parallel, out / f"stopped-{parallel}")


if __name__ == "__main__":
    main()
