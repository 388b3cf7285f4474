"""Learning-rate schedules: against torch's own, in runs of steps and of minutes, by name and by function."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler
from typer.testing import CliRunner

import vqkit
from tests.training.cases import StopAfter
from vqkit.cli.main import app
from vqkit.errors import ConfigError, TrainingInterrupted, TrainingStopped
from vqkit.training import SCHEDULES, Schedule, TrainConfig
from vqkit.training.optim.schedules import build_schedule, learning_rate_factor

QUIET: dict[str, Any] = {"quiet": True, "tensorboard": False}
SETTINGS: dict[str, Any] = {"steps": 20, "batch_size": 8, "evaluations": 0, "log_every": 1, **QUIET}
IMAGES = np.random.default_rng(0).integers(0, 256, (40, 1, 8, 8), dtype=np.uint8)
STEPS = 1000
TORCH: dict[str, Any] = {
    "cosine": lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, STEPS, eta_min=0.01),
    "cosine(final=0.3)": lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, STEPS, eta_min=0.3),
    "constant": lambda optimizer: lr_scheduler.ConstantLR(optimizer, 1.0),
    "linear": lambda optimizer: lr_scheduler.LinearLR(optimizer, 1.0, 0.0, STEPS),
    "linear(final=0.25)": lambda optimizer: lr_scheduler.LinearLR(optimizer, 1.0, 0.25, STEPS),
    "inverse_sqrt(after=100)": lambda optimizer: lr_scheduler.LambdaLR(
        optimizer, lambda step: 1.0 if step < 100 else (100 / step) ** 0.5
    ),
    "warmup_stable_decay(decay=0.25)": lambda optimizer: lr_scheduler.LambdaLR(
        optimizer, lambda step: 1.0 if step <= 750 else 1 - ((step - 750) / 250) ** 0.5
    ),
}


def model() -> vqkit.VQVAE:
    return vqkit.VQVAE.for_source(
        vqkit.load_source(IMAGES), 8, code_dim=4, downsampling=2, hidden_channels=8, residual_channels=4, seed=0
    )


def rates(run: vqkit.Run) -> list[float]:
    return [line["learning_rate"] for line in run.log() if line["kind"] == "train"]


@pytest.mark.parametrize("name", TORCH)
def test_a_schedule_is_that_of_torch(name: str) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs, ours = TORCH[name](optimizer), build_schedule(name)
    for step in range(STEPS + 1):
        assert ours(step / STEPS, step) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9, abs=1e-9)
        optimizer.step()
        theirs.step()


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_begins_at_the_peak_and_stays_in_range(name: str) -> None:
    schedule = build_schedule(name)
    factors = [schedule(step / STEPS, step) for step in range(STEPS + 1)]
    assert factors[0] == 1
    assert all(later <= earlier for earlier, later in pairwise(factors))
    assert min(factors) >= 0


def test_the_warm_up_is_multiplied_with_any_schedule() -> None:
    for name in SCHEDULES:
        schedule = build_schedule(name)
        assert learning_rate_factor(0, 0.0, 9, schedule) == pytest.approx(0.1 * schedule(0.0, 0))
        assert learning_rate_factor(50, 0.5, 9, schedule) == schedule(0.5, 50)
        assert learning_rate_factor(0, 0.0, 0, schedule) == 1


def test_a_run_follows_its_schedule_and_records_its_name(tmp_path: Path) -> None:
    settings: dict[str, Any] = {**SETTINGS, "warmup_steps": 0, "learning_rate": 0.5}
    run = vqkit.train(model(), IMAGES, out=tmp_path / "run", schedule="linear(final = 0.10)", **settings)
    assert rates(run) == pytest.approx([0.5 * (1 - 0.9 * step / 20) for step in range(20)])
    assert '"schedule": "linear(final=0.1)"' in (run.path / "run.json").read_text()
    given = vqkit.train(
        model(), IMAGES, out=tmp_path / "same", schedule=build_schedule("linear(final=0.1)"), **settings
    )
    assert rates(given) == rates(run)
    longer = vqkit.resume(run.path, data=IMAGES, steps=40, **QUIET)
    assert rates(longer)[20:] == pytest.approx([0.5 * (1 - 0.9 * step / 40) for step in range(20, 40)])
    plain = vqkit.train(model(), IMAGES, out=tmp_path / "plain", **settings)
    assert "schedule" not in (plain.path / "run.json").read_text()  # as in the runs of versions that knew one only
    assert TrainConfig(steps=1).schedule == "cosine"


def halving(progress: float, step: int) -> float:
    return 0.5 ** (step // 5) * (1 - 0.5 * progress)


def test_a_function_is_asked_for_again_and_the_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    settings: dict[str, Any] = {**SETTINGS, "warmup_steps": 0, "schedule": halving}
    whole = vqkit.train(model(), IMAGES, out=tmp_path / "whole", **settings)
    assert rates(whole) == pytest.approx([1e-3 * halving(step / 20, step) for step in range(20)])
    with pytest.raises(TrainingInterrupted):
        vqkit.train(model(), IMAGES, out=tmp_path / "run", callbacks=StopAfter(6), checkpoint_seconds=0, **settings)
    with pytest.raises(ConfigError, match=r"function of its own \(halving\).*vqkit\.resume\(\.\.\., schedule="):
        vqkit.resume(tmp_path / "run", data=IMAGES, **QUIET)
    parted = vqkit.resume(tmp_path / "run", data=IMAGES, schedule=halving, **QUIET)
    assert rates(parted) == rates(whole)
    for run in (whole, parted):
        assert '"schedule": "given:halving"' in (run.path / "run.json").read_text()
    weights = [(run.path / "model/model.safetensors").read_bytes() for run in (whole, parted)]
    assert weights[0] == weights[1]
    assert vqkit.resume(tmp_path / "run", data=IMAGES, schedule=halving, **QUIET).finished  # ended, and the same


def test_settings_as_they_were_are_no_change_of_a_run_that_has_ended(tmp_path: Path) -> None:
    run = vqkit.train(model(), IMAGES, out=tmp_path / "run", **{**SETTINGS, "evaluations": 2})
    same: dict[str, Any] = {"schedule": "cosine", "patience": 0, "objective": "likelihood"}
    assert vqkit.resume(run.path, data=IMAGES, **same, **QUIET).finished
    for name, value in (("schedule", "linear"), ("patience", 3), ("best_by", "nmse")):
        with pytest.raises(ConfigError, match=f"{name}: .* has ended, at step 20"):
            vqkit.resume(run.path, data=IMAGES, **{name: value}, **QUIET)  # type: ignore[arg-type]


def test_a_run_of_minutes_follows_the_clock(tmp_path: Path) -> None:
    settings: dict[str, Any] = {**SETTINGS, "steps": None, "minutes": 0.02, "warmup_steps": 0}
    seen: list[tuple[float, int]] = []

    def linear(progress: float, step: int) -> float:
        seen.append((progress, step))
        return 1 - progress

    run = vqkit.train(model(), IMAGES, out=tmp_path / "run", schedule=linear, **settings)
    assert rates(run) == pytest.approx([1e-3 * (1 - progress) for progress, _ in seen[-run.step :]])
    assert [step for _, step in seen[-run.step :]] == list(range(run.step))
    assert rates(run)[-1] < 2e-4


@pytest.mark.usefixtures("own_registries")
def test_one_of_a_persons_own_is_found_by_name(tmp_path: Path) -> None:
    @SCHEDULES.register("staircase")
    class Staircase(Schedule):
        def __init__(self, height: float = 0.1) -> None:
            self.height = height

        def __call__(self, progress: float, step: int) -> float:
            return self.height ** int(4 * progress)

    run = vqkit.train(model(), IMAGES, out=tmp_path / "run", schedule=Staircase(0.5), warmup_steps=0, **SETTINGS)
    assert rates(run)[::5] == pytest.approx([1e-3, 5e-4, 2.5e-4, 1.25e-4])
    assert '"schedule": "staircase(height=0.5)"' in (run.path / "run.json").read_text()
    assert rates(vqkit.resume(run.path, data=IMAGES, steps=40, **QUIET))[30] == pytest.approx(1e-3 * 0.5**3)


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ("cosin", r"schedule 'cosin' is unknown \(did you mean 'cosine'\?\)"),
        ("linear(end=0)", r"schedule 'linear' takes no 'end'; it takes: final"),
        ("linear(final=2)", r"final=2: a fraction of the peak lies in \[0, 1\]"),
        ("linear(", r"is not the name of a schedule.*known: cosine, constant"),
        (lambda step: 1.0, r"takes other arguments .*schedule\(progress, step\)"),
        (lambda progress, step: math.nan, r"gave nan at step 0; a factor of the learning rate"),
        (lambda progress, step: 1 / progress, r"failed at progress 0, step 0 \(ZeroDivisionError"),
        (SCHEDULES["linear"], r"schedule is the class Linear; call it"),
        (7, r"schedule=7: give a name \(cosine"),
    ],
)
def test_what_is_no_schedule_is_refused_before_anything_is_done(tmp_path: Path, schedule: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        vqkit.train(model(), IMAGES, out=tmp_path / "run", schedule=schedule, **SETTINGS)
    assert not (tmp_path / "run").exists()


def test_a_function_that_fails_later_stops_the_run_where_it_can_be_resumed(tmp_path: Path) -> None:
    with pytest.raises(TrainingStopped, match=r"gave -1 at step 3"):
        vqkit.train(
            model(), IMAGES, out=tmp_path / "run", schedule=lambda progress, step: -1 if step == 3 else 1, **SETTINGS
        )
    assert vqkit.resume(tmp_path / "run", data=IMAGES, schedule="constant", **QUIET).finished


def test_the_command_line_has_schedules(tmp_path: Path) -> None:
    words = "--steps 4 -k 8 --code-dim 4 --hidden-channels 8 --batch-size 8 --no-tensorboard --schedule"
    options = words.split()
    out = tmp_path / "run"
    done = CliRunner().invoke(app, ["train", "digits", "--out", str(out), *options, "linear(final=0.5)"])
    assert done.exit_code == 0, done.output
    assert '"schedule": "linear(final=0.5)"' in (out / "run.json").read_text()
    help_text = " ".join(CliRunner().invoke(app, ["train", "--help"], env={"COLUMNS": "200"}).output.split())
    assert "inverse_sqrt" in help_text
    with pytest.raises(ConfigError, match="known: cosine"):
        CliRunner().invoke(app, ["train", "digits", *options, "sine"], catch_exceptions=False)
