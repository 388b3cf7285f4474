"""Runs that have ended early, and whose last checkpoint never reached the disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vqkit
from vqkit.errors import TrainingStopped
from vqkit.training.checkpoints import checkpoint

QUIET: dict[str, Any] = {"quiet": True, "tensorboard": False}
SETTINGS: dict[str, Any] = {"steps": 20, "batch_size": 8, "evaluations": 4, "log_every": 5, **QUIET}
IMAGES = np.random.default_rng(0).integers(0, 256, (40, 1, 8, 8), dtype=np.uint8)


class StopOn(vqkit.Callback):
    """Asks to stop at an event of step 10."""

    def __init__(self, event: str) -> None:
        self.event = event

    def on_evaluation(self, step: int, values: Any) -> None:
        self._see("on_evaluation", step)

    def on_step(self, step: int, values: Any) -> None:
        self._see("on_step", step)

    def _see(self, event: str, step: int) -> None:
        if self.event == event and step >= 10:
            self.stop("enough")


def model() -> vqkit.VQVAE:
    source = vqkit.load_source(IMAGES)
    return vqkit.VQVAE.for_source(source, 8, code_dim=4, downsampling=2, hidden_channels=8, residual_channels=4, seed=0)


@pytest.mark.parametrize("event", ["on_evaluation", "on_step"])
def test_resume_evaluates_where_the_run_ended_as_the_run_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, event: str
) -> None:
    settings = {**SETTINGS, "best_by": "nmse", "average_decay": 0.0}
    whole = vqkit.train(model(), IMAGES, out=tmp_path / "whole", callbacks=StopOn(event), **settings)
    save = checkpoint.save

    def full(folder: Path, step: int, *others: Any) -> Path:
        if step:
            raise OSError(28, "No space left on device")
        return save(folder, step, *others)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", full)
        with pytest.raises(TrainingStopped, match=r"step 10: checkpoint not written"):
            vqkit.train(model(), IMAGES, out=tmp_path / "run", callbacks=StopOn(event), **settings)
    run = vqkit.resume(tmp_path / "run", data=IMAGES, **QUIET)
    assert (run.step, run.stop_reason) == (whole.step, whole.stop_reason) == (10, "StopOn: enough")
    kept = [
        [(line["kind"], line["step"], line.get("nmse")) for line in each.log() if line["kind"] != "time"]
        for each in (whole, run)
    ]
    assert kept[0] == kept[1]
    assert ("validation", 10) in {line[:2] for line in kept[0]}
    assert json.loads((whole.path / "best/best.json").read_text())["step"] == 10
    for name in ("best/best.json", "best/model.safetensors", "model/model.safetensors"):
        assert (whole.path / name).read_bytes() == (run.path / name).read_bytes(), name
