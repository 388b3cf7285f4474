"""Edges of a run: stops after its end, frozen callbacks, schedules that fail, last lines, and opening it again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vqkit
from tests.training.cases import StopAfter
from vqkit.errors import ConfigError, ModelFolderError, TrainingInterrupted, TrainingStopped
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


@pytest.mark.usefixtures("own_registries")
@pytest.mark.parametrize("own", [False, True])
def test_a_term_that_is_no_scalar_is_named_before_the_first_step(tmp_path: Path, own: bool) -> None:
    @vqkit.objectives.OBJECTIVES.register("edges")
    class Edges(vqkit.objectives.Objective):
        def losses(self, decoded: vqkit.objectives.Decoded) -> dict[str, Any]:
            error = (decoded.mean - decoded.target).abs()
            return {"edge_loss": error.mean() if own else error.mean(dim=1)}

        def own_losses(self, decoded: vqkit.objectives.Decoded) -> dict[str, Any]:
            return {"critic": 1.0} if own else {}

    term = "own_losses gives the term 'critic' as a float" if own else r"losses gives the term 'edge_loss' as torch"
    with pytest.raises(ConfigError, match=rf"objective 'edges': {term}.*it has to be a float scalar, a mean"):
        vqkit.train(model(), IMAGES, out=tmp_path / "run", objective="likelihood + edges", **SETTINGS)
    assert not (tmp_path / "run").exists()


def test_a_run_is_opened_again_by_its_folder(tmp_path: Path) -> None:
    run = vqkit.train(model(), IMAGES, out=tmp_path / "run", **SETTINGS)
    again = vqkit.load_run(str(run.path))
    assert again == run
    assert again.model().codebook_size == 8
    with pytest.raises(TrainingInterrupted):
        vqkit.resume(run.path, data=IMAGES, steps=12, callbacks=StopAfter(9), checkpoint_seconds=0, **QUIET)
    part = vqkit.load_run(run.path)
    assert (part.finished, part.step, part.evaluation) == (False, 9, None)
    with pytest.raises(ModelFolderError, match="no run here"):
        vqkit.load_run(tmp_path)


def test_a_closed_form_run_and_a_stopped_one_are_opened_too(tmp_path: Path) -> None:
    pca = vqkit.train(vqkit.PCA(4, channels=1, size=(8, 8)), IMAGES, out=tmp_path / "pca", **QUIET)
    assert vqkit.load_run(pca.path) == pca
    stopped = vqkit.train(model(), IMAGES, out=tmp_path / "run", callbacks=Frozen(3), **SETTINGS)
    assert vqkit.load_run(stopped.path) == stopped
    assert vqkit.load_run(stopped.path).stop_reason == stopped.stop_reason
