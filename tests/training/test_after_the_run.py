"""Callbacks and schedules at the edges of a run: stops after its end, frozen callbacks, schedules that fail, last lines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vqkit
from vqkit.errors import ConfigError, TrainingStopped
from vqkit.training.checkpoints import checkpoint

QUIET: dict[str, Any] = {"quiet": True, "tensorboard": False}
SETTINGS: dict[str, Any] = {"steps": 6, "batch_size": 8, "evaluations": 2, **QUIET}
IMAGES = np.random.default_rng(0).integers(0, 256, (40, 1, 8, 8), dtype=np.uint8)


def model() -> vqkit.VQVAE:
    source = vqkit.load_source(IMAGES)
    return vqkit.VQVAE.for_source(source, 8, code_dim=4, downsampling=2, hidden_channels=8, residual_channels=4, seed=0)


@dataclass(frozen=True)
class Frozen(vqkit.Callback):
    last: int

    def on_step(self, step: int, values: Any) -> None:
        if step == self.last:
            self.stop()


def test_a_frozen_dataclass_is_a_callback_and_stops_nothing_after_its_run(tmp_path: Path) -> None:
    callback = Frozen(3)
    run = vqkit.train(model(), IMAGES, out=tmp_path / "run", callbacks=callback, **SETTINGS)
    assert run.stop_reason == "the callback Frozen asked for it"
    with pytest.raises(ConfigError, match=r"the callback Frozen watches no run"):
        callback.stop()
    pca = Frozen(9)
    vqkit.train(vqkit.PCA(4, channels=1, size=(8, 8)), IMAGES, out=tmp_path / "pca", callbacks=pca, **QUIET)
    with pytest.raises(ConfigError, match=r"watches no run"):
        pca.stop()


def test_a_schedule_that_fails_in_the_middle_is_named_and_all_is_saved(tmp_path: Path) -> None:
    whole = vqkit.train(model(), IMAGES, out=tmp_path / "whole", schedule="constant", **SETTINGS)

    def broken(progress: float, step: int) -> float:
        return 1.0 / (4 - step) if step == 4 else 1.0

    with pytest.raises(TrainingStopped) as caught:
        vqkit.train(model(), IMAGES, out=tmp_path / "run", schedule=broken, **SETTINGS)
    message = str(caught.value)
    assert "broken' failed at progress 0.6667, step 4 (ZeroDivisionError" in message
    assert "vqkit.resume(" in message
    assert "\n" not in message
    assert checkpoint.found(tmp_path / "run/checkpoints")[-1].name == "step_000000004"
    run = vqkit.resume(tmp_path / "run", data=IMAGES, schedule="constant", **QUIET)
    for name in ("model.safetensors", "config.json"):
        assert (whole.path / "model" / name).read_bytes() == (run.path / "model" / name).read_bytes()


@pytest.mark.parametrize("changes", [{"patience": 3}, {"best_by": "nmse"}, {"schedule": "linear"}, {"steps": 2}])
def test_settings_of_steps_are_refused_of_a_class_without_them(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=rf"{next(iter(changes))}=?.*: a PCA is solved in closed form"):
        vqkit.train(vqkit.PCA(4, channels=1, size=(8, 8)), IMAGES, out=tmp_path / "run", **changes, **QUIET)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("log_every", "steps"), [(50, [6]), (4, [4, 6]), (3, [3, 6])])
def test_the_last_steps_are_logged_and_never_twice(tmp_path: Path, log_every: int, steps: list[int]) -> None:
    run = vqkit.train(model(), IMAGES, out=tmp_path / "run", log_every=log_every, **SETTINGS)

    def train_lines() -> list[dict[str, Any]]:
        return [line for line in run.log() if line["kind"] == "train"]

    assert [line["step"] for line in train_lines()] == steps
    assert all(line["loss"] > 0 for line in train_lines())
    assert run.plot().width
    vqkit.resume(run.path, data=IMAGES, **QUIET)
    assert [line["step"] for line in train_lines()] == steps
