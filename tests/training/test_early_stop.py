"""Runs that end before their last step: asked by a callback, finished all the same, recorded, and gone on with."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import vqkit
from tests.training.cases import StopAfter
from vqkit.errors import ConfigError, TrainingInterrupted
from vqkit.training.finishing import Finish
from vqkit.training.record.run import read_config

QUIET: dict[str, Any] = {"quiet": True, "tensorboard": False}
SETTINGS: dict[str, Any] = {"steps": 20, "batch_size": 8, "evaluations": 4, "log_every": 5, **QUIET}
IMAGES = np.random.default_rng(0).integers(0, 256, (40, 1, 8, 8), dtype=np.uint8)


class StopAt(vqkit.Callback):
    """Asks at an event of a step to stop."""

    def __init__(self, step: int, event: str = "on_step") -> None:
        self.step = step
        self.event = event
        self.steps = 0
        self.ends: list[tuple[int, bool]] = []

    def on_start(self, run: vqkit.Run) -> None:
        self._see("on_start", run.step)

    def on_step(self, step: int, values: Any) -> None:
        self.steps += 1
        self._see("on_step", step)

    def on_metrics(self, step: int, kind: str, values: Any) -> None:
        self._see("on_metrics", step)

    def on_evaluation(self, step: int, values: Any) -> None:
        self._see("on_evaluation", step)

    def on_checkpoint(self, step: int, path: Path) -> None:
        self._see("on_checkpoint", step)

    def on_end(self, run: vqkit.Run) -> None:
        self.ends.append((run.step, run.finished))

    def _see(self, event: str, step: int) -> None:
        if (event, step) == (self.event, self.step):
            self.stop("that is enough")


def model() -> vqkit.VQVAE:
    return vqkit.VQVAE(8, channels=1, code_dim=4, downsampling=2, hidden_channels=8, residual_channels=4)


@pytest.mark.parametrize(
    ("event", "step"),
    [("on_step", 7), ("on_metrics", 10), ("on_evaluation", 5), ("on_checkpoint", 3), ("on_start", 0)],
)
def test_the_run_is_finished_and_says_why(tmp_path: Path, event: str, step: int) -> None:
    console, callback = Console(file=io.StringIO(), width=200), StopAt(step, event)
    options = {**SETTINGS, "quiet": False, "console": console, "callbacks": callback, "checkpoint_seconds": 0}
    run = vqkit.train(model(), IMAGES, out=tmp_path / "run", **options)
    assert (run.step, run.finished, callback.steps) == (step, True, step)
    assert callback.ends == [(step, True)]
    assert run.stop_reason == "StopAt: that is enough"
    assert read_config(run.path)["stopped"] == {"step": step, "reason": "StopAt: that is enough"}
    assert [line for line in run.log() if line["kind"] == "stop"] == [
        {"step": step, "kind": "stop", "reason": "StopAt: that is enough"}
    ]
    assert f"stopped at step {step}: StopAt: that is enough" in console.file.getvalue()  # type: ignore[attr-defined]
    assert run.evaluation is not None
    assert run.model().codebook_size == 8
    assert "finished early: StopAt: that is enough" in run._repr_html_()


def test_a_stopped_run_goes_on_only_when_it_is_told_to(tmp_path: Path) -> None:
    out = tmp_path / "run"
    vqkit.train(same(), IMAGES, out=out, callbacks=StopAt(7), **SETTINGS)
    before = (out / "model/model.safetensors").read_bytes()
    again = vqkit.resume(out, data=IMAGES, **QUIET)
    assert (again.step, again.stop_reason) == (7, "StopAt: that is enough")
    assert (out / "model/model.safetensors").read_bytes() == before
    assert sum(line["kind"] == "stop" for line in again.log()) == 1
    with pytest.raises(ConfigError, match=r"learning_rate: .* has ended, at step 7"):
        vqkit.resume(out, data=IMAGES, learning_rate=1e-4, **QUIET)
    whole = vqkit.resume(out, data=IMAGES, steps=20, **QUIET)
    assert (whole.step, whole.stop_reason) == (20, None)
    never = vqkit.train(same(), IMAGES, out=tmp_path / "never", **SETTINGS)
    assert (never.path / "model/model.safetensors").read_bytes() == (out / "model/model.safetensors").read_bytes()


def test_a_stop_survives_whatever_kills_the_run_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after the stop and before the end, it ends at the same step, without the callback."""
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(Finish, "run", lambda *_, **__: (_ for _ in ()).throw(MemoryError))
        with pytest.raises(MemoryError):
            vqkit.train(model(), IMAGES, out=out, callbacks=StopAt(7), **SETTINGS)
    run = vqkit.resume(out, data=IMAGES, **QUIET)
    assert (run.step, run.finished, run.stop_reason) == (7, True, "StopAt: that is enough")


def test_a_stop_wished_for_at_the_last_step_is_none(tmp_path: Path) -> None:
    run = vqkit.train(model(), IMAGES, out=tmp_path / "run", callbacks=StopAt(20), **SETTINGS)
    assert (run.step, run.stop_reason) == (20, None)
    assert all(line["kind"] != "stop" for line in run.log())


def test_the_first_reason_counts_and_a_stop_needs_a_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"StopAt watches no run; give it to vqkit\.train"):
        StopAt(3).stop("now")

    class Silent(vqkit.Callback):
        def on_step(self, step: int, values: Any) -> None:
            self.stop()

    both = [Silent(), StopAt(1)]
    run = vqkit.train(model(), IMAGES, out=tmp_path / "run", callbacks=both, **SETTINGS)
    assert run.stop_reason == "the callback Silent asked for it"


def test_a_run_of_minutes_stops_too(tmp_path: Path) -> None:
    options = {**SETTINGS, "steps": None, "minutes": 5.0}
    run = vqkit.train(model(), IMAGES, out=tmp_path / "run", callbacks=StopAt(4), **options)
    assert (run.step, run.finished) == (4, True)
    assert vqkit.resume(tmp_path / "run", data=IMAGES, **QUIET).step == 4


def test_a_stopped_run_that_was_interrupted_before_goes_on_bit_for_bit(tmp_path: Path) -> None:
    whole = vqkit.train(same(), IMAGES, out=tmp_path / "whole", callbacks=StopAt(13), **SETTINGS)
    callbacks = [StopAt(13), StopAfter(6)]
    with pytest.raises(TrainingInterrupted):
        vqkit.train(same(), IMAGES, out=tmp_path / "run", callbacks=callbacks, checkpoint_seconds=0, **SETTINGS)
    parted = vqkit.resume(tmp_path / "run", data=IMAGES, callbacks=StopAt(13), **QUIET)
    assert (parted.step, parted.stop_reason) == (whole.step, whole.stop_reason)
    for name in ("model.safetensors", "config.json"):
        assert (parted.path / "model" / name).read_bytes() == (whole.path / "model" / name).read_bytes()


def same() -> vqkit.VQVAE:
    return vqkit.VQVAE.for_source(
        vqkit.load_source(IMAGES), 8, code_dim=4, downsampling=2, hidden_channels=8, residual_channels=4, seed=0
    )
