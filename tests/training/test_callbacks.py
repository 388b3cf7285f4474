"""Callbacks: every event of a run in order, failures that name them, TensorBoard among them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import vqkit
from tests.training.cases import StopAfter
from vqkit.errors import ConfigError, TrainingInterrupted, TrainingStopped
from vqkit.training import Callback
from vqkit.training.record.channels import Channels

QUIET: dict[str, Any] = {"quiet": True, "tensorboard": False, "batch_size": 8}
IMAGES = np.random.default_rng(0).integers(0, 256, (40, 1, 8, 8), dtype=np.uint8)


class Notes(Callback):
    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []

    def on_start(self, run: vqkit.Run) -> None:
        assert (run.path / "run.json").is_file()
        self.events.append(("start", run.step, run.finished))

    def on_metrics(self, step: int, kind: str, values: Any) -> None:
        self.events.append((kind, step, values))

    def on_evaluation(self, step: int, values: Any) -> None:
        self.events.append(("evaluation", step, len(values)))

    def on_picture(self, step: int, name: str, picture: Image.Image) -> None:
        assert picture.width > 8
        self.events.append(("picture", step, name))

    def on_checkpoint(self, step: int, path: Path) -> None:
        assert any(path.iterdir())
        self.events.append(("checkpoint", step, path.name))

    def on_end(self, run: vqkit.Run) -> None:
        self.events.append(("end", run.step, run.finished))


def model() -> vqkit.VQVAE:
    return vqkit.VQVAE(8, channels=1, code_dim=4, downsampling=2, hidden_channels=8, residual_channels=4)


def test_all_events_come_in_order_and_are_the_log(tmp_path: Path) -> None:
    notes, second = Notes(), Notes()
    run = vqkit.train(
        model(), IMAGES, out=tmp_path / "run", steps=6, log_every=2, evaluations=2, callbacks=[notes, second], **QUIET
    )
    kinds = [event[0] for event in notes.events]
    assert notes.events == second.events
    assert kinds[:2] == ["start", "checkpoint"]
    assert notes.events[-1] == ("end", 6, True)
    assert [event[1] for event in notes.events if event[0] == "train"] == [2, 4, 6]
    assert {"validation", "final", "picture"} <= set(kinds)
    assert [event[1] for event in notes.events if event[0] == "evaluation"] == [3]
    log = [
        (line["kind"], line["step"], {k: v for k, v in line.items() if k not in ("kind", "step")}) for line in run.log()
    ]
    assert [event for event in notes.events if isinstance(event[2], dict)] == log


def test_a_stopped_run_ends_and_starts_again(tmp_path: Path) -> None:
    notes = Notes()
    settings = {"steps": 8, "checkpoint_seconds": 0, "callbacks": [notes, StopAfter(3)]}
    with pytest.raises(TrainingInterrupted):
        vqkit.train(model(), IMAGES, out=tmp_path / "run", **settings, **QUIET)
    assert notes.events[-1][0] == "end"
    assert not notes.events[-1][2]
    again = Notes()
    vqkit.resume(tmp_path / "run", data=IMAGES, quiet=True, tensorboard=False, callbacks=[again])
    assert again.events[0] == ("start", notes.events[-1][1], False)
    assert again.events[-1] == ("end", 8, True)


def test_a_closed_form_has_events_too(tmp_path: Path) -> None:
    notes = Notes()
    source = vqkit.load_source(IMAGES)
    vqkit.train(vqkit.PCA.for_source(source, 4), source, out=tmp_path / "run", callbacks=[notes], **QUIET)
    assert [event[0] for event in notes.events if event[0] in ("start", "final", "end")] == ["start", "final", "end"]


def test_a_callback_that_fails_is_named_and_the_run_can_be_resumed(tmp_path: Path) -> None:
    class Tracker(Callback):
        def on_metrics(self, step: int, kind: str, values: Any) -> None:
            if kind == "train":
                raise ConnectionError("no route\nto host")

    with pytest.raises(
        TrainingStopped, match=r"callback Tracker failed in on_metrics \(ConnectionError: no route\).*vqkit\.resume"
    ):
        vqkit.train(model(), IMAGES, out=tmp_path / "run", steps=4, log_every=2, callbacks=[Tracker()], **QUIET)
    assert vqkit.resume(tmp_path / "run", data=IMAGES, quiet=True, tensorboard=False).finished


def test_steps_are_told_as_tensors_and_only_where_somebody_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Steps(Callback):
        def __init__(self) -> None:
            self.losses: list[torch.Tensor] = []

        def on_step(self, step: int, values: Any) -> None:
            assert {"gradient_norm", "mse"} <= values.keys()
            self.losses.append(values["loss"])
            assert step == len(self.losses)

    steps = Steps()
    settings: dict[str, Any] = {"steps": 4, "log_every": 2, **QUIET}
    run = vqkit.train(model(), IMAGES, out=tmp_path / "run", callbacks=steps, **settings)
    logged = [line["loss"] for line in run.log() if line["kind"] == "train"]
    assert logged == pytest.approx([float(torch.stack(steps.losses[i : i + 2]).mean()) for i in (0, 2)])
    told: list[str] = []
    monkeypatch.setattr(Channels, "tell", lambda self, event, *_: told.append(event))
    vqkit.train(model(), IMAGES, out=tmp_path / "other", callbacks=Notes(), **settings)
    assert "on_step" not in told
    assert "on_start" in told


def test_a_misspelt_event_is_refused_with_the_near_one(tmp_path: Path) -> None:
    class Misspelt(Callback):
        def on_metric(self, step: int, kind: str, values: Any) -> None: ...

    class Short(Callback):
        def on_evaluation(self, step: int) -> None: ...

    for callback, message in (
        (Misspelt(), r"Misspelt has a method on_metric, and there is no such event \(did you mean on_metrics\?\)"),
        (Short(), r"Short: on_evaluation is called with \(step, values\), and takes other arguments"),
        ([Notes], r"callbacks is the class Notes; call it"),
        (Notes, r"callbacks is the class Notes; call it"),
        (7, r"callbacks=7: give a list"),
    ):
        with pytest.raises(ConfigError, match=message):
            vqkit.train(model(), IMAGES, out=tmp_path / "run", callbacks=callback, **QUIET)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match=message):
            vqkit.resume(tmp_path / "run", callbacks=callback)  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


def test_something_else_is_no_callback(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a function is none; give instances of subclasses of vqkit\.Callback"):
        vqkit.train(model(), IMAGES, out=tmp_path / "run", steps=1, callbacks=[lambda: None], **QUIET)  # type: ignore[list-item]
    assert not (tmp_path / "run" / "run.json").exists()
