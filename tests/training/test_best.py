"""The best checkpoint and early stopping: what is kept is the best of the log, and all of it goes on bit for bit."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

import vqkit
from tests.training.cases import StopAfter
from vqkit.cli.main import app
from vqkit.errors import ConfigError, TrainingInterrupted
from vqkit.storage import atomic
from vqkit.training import TrainConfig
from vqkit.training.checkpoints.best import BestModel, describe_best
from vqkit.training.evaluators.measures import Measure

QUIET: dict[str, Any] = {"quiet": True, "tensorboard": False}
SETTINGS: dict[str, Any] = {"steps": 60, "batch_size": 8, "evaluations": 12, "average_decay": 0.0, **QUIET}
IMAGES = np.random.default_rng(0).integers(0, 256, (40, 1, 8, 8), dtype=np.uint8)
"""Noise: a model learns the training items, and no others."""


def model() -> vqkit.VQVAE:
    return vqkit.VQVAE.for_source(
        vqkit.load_source(IMAGES), 16, code_dim=4, downsampling=2, hidden_channels=16, residual_channels=8, seed=0
    )


def evaluations(run: vqkit.Run) -> list[dict[str, Any]]:
    return [line for line in run.log() if line["kind"] == "validation"]


def best_line(run: vqkit.Run, name: str, sign: int) -> dict[str, Any]:
    return max(evaluations(run), key=lambda line: sign * line[name])


def record(run: vqkit.Run) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run.path / "best/best.json").read_text())
    return found


@pytest.mark.parametrize(("best_by", "sign"), [("psnr_db", 1), ("nmse", -1), ("min:usage", -1), ("max:nmse", 1)])
def test_what_is_kept_is_the_best_of_the_log(tmp_path: Path, best_by: str, sign: int) -> None:
    run = vqkit.train(model(), IMAGES, out=tmp_path / "run", best_by=best_by, **SETTINGS)
    name = best_by.split(":")[-1]
    best = best_line(run, name, sign)
    assert {key: record(run)[key] for key in ("measure", "value", "step")} == {
        "measure": name,
        "value": best[name],
        "step": best["step"],
    }
    assert run.stop_reason is None
    _, held_out = vqkit.split(vqkit.load_source(IMAGES), 0.1, seed=0)
    found = vqkit.evaluate(run.best_model(), held_out)
    assert found.as_dict()[name] == pytest.approx(best[name], rel=1e-5)
    assert f"step {best['step']}" in (describe_best(run.path) or "")
    assert "held-out items" in (run.path / "best/README.md").read_text()


def test_nothing_is_kept_unless_it_is_asked_for(tmp_path: Path) -> None:
    run = vqkit.train(model(), IMAGES, out=tmp_path / "run", **SETTINGS)
    assert not (run.path / "best").exists()
    assert describe_best(run.path) is None
    assert not {"patience", "best_by", "schedule"} & json.loads((run.path / "run.json").read_text())["training"].keys()


def test_a_model_that_is_kept_changes_nothing_else(tmp_path: Path) -> None:
    runs = [
        vqkit.train(model(), IMAGES, out=tmp_path / str(best_by), best_by=best_by, **SETTINGS)
        for best_by in (None, "ssim")
    ]
    weights = [(run.path / "model/model.safetensors").read_bytes() for run in runs]
    assert weights[0] == weights[1]


def test_patience_ends_the_run_after_so_many_evaluations_without_a_better_one(tmp_path: Path) -> None:
    run = vqkit.train(model(), IMAGES, out=tmp_path / "run", patience=2, best_by="max:nmse", **SETTINGS)
    values = [line["nmse"] for line in evaluations(run)]
    since = len(values) - 1 - int(np.argmax(values))
    assert since == 2
    assert run.step == evaluations(run)[-1]["step"] < 60
    assert run.stop_reason is not None
    assert run.stop_reason.startswith("nmse has not improved in 2 evaluations (best: ")
    assert run.finished
    assert run.model().codebook_size == 16
    on = vqkit.resume(run.path, data=IMAGES, patience=3, **QUIET)
    assert on.step > run.step
    to_the_end = vqkit.resume(run.path, data=IMAGES, patience=0, **QUIET)
    assert (to_the_end.step, to_the_end.stop_reason) == (60, None)


@pytest.mark.usefixtures("own_registries")
def test_the_measure_without_a_name_is_the_headline_of_the_class(tmp_path: Path) -> None:
    @vqkit.TRAINABLES.register("flat-line")
    class Line(vqkit.Trainable):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(()))

        def forward(self, x: torch.Tensor) -> vqkit.StepOutput:
            return vqkit.StepOutput((self.weight * x.float() / 255 - 0.5).square().mean())

    grids = torch.randint(5, (32, 1, 2, 2), dtype=torch.int32, generator=torch.Generator().manual_seed(0)).numpy()
    tokens = vqkit.data.ArraySource(grids, name="grids")
    cases: list[tuple[Any, Any, str]] = [
        (model(), IMAGES, "nmse"),
        (vqkit.TransformerPrior(5, (2, 2), hidden_channels=16, layers=1, heads=2), tokens, "bits_per_item"),
        (Line(), IMAGES, "loss"),
    ]
    for kind, data, measure in cases:
        settings = {**SETTINGS, "steps": 8, "evaluations": 4}
        run = vqkit.train(kind, data, out=tmp_path / measure, patience=9, **settings)
        assert record(run)["measure"] == measure
        assert record(run)["value"] == min(line[measure] for line in evaluations(run))
        assert type(run.best_model()) is type(kind)


def test_an_interrupted_run_goes_on_bit_for_bit_with_its_best_and_its_patience(tmp_path: Path) -> None:
    settings: dict[str, Any] = {**SETTINGS, "best_by": "max:nmse", "patience": 3, "schedule": "linear(final=0.1)"}
    whole = vqkit.train(model(), IMAGES, out=tmp_path / "whole", **settings)
    assert 10 < whole.step < 60
    for stop in (3, whole.step - 5, whole.step - 1):
        out = tmp_path / f"{stop}"
        with pytest.raises(TrainingInterrupted):
            vqkit.train(model(), IMAGES, out=out, callbacks=StopAfter(stop), checkpoint_seconds=0, **settings)
        parted = vqkit.resume(out, data=IMAGES, **QUIET)
        assert (parted.step, parted.stop_reason) == (whole.step, whole.stop_reason)
        for name in ("model/model.safetensors", "best/model.safetensors", "best/best.json", "best/config.json"):
            assert (out / name).read_bytes() == (whole.path / name).read_bytes(), name
        kept = [[(line["step"], line["nmse"]) for line in evaluations(run)] for run in (whole, parted)]
        assert kept[0] == kept[1]


def test_what_is_fitted_last_is_fitted_in_the_best_model_too(tmp_path: Path) -> None:
    source = vqkit.load_source(IMAGES)
    auto = vqkit.Autoencoder.for_source(source, 4, hidden_channels=8, seed=0)
    run = vqkit.train(auto, source, out=tmp_path / "run", best_by="nmse", **{**SETTINGS, "steps": 12})
    best, last = run.best_model(), run.model()
    for each in (best, last):
        each.sample(2, size=(8, 8), generator=torch.Generator().manual_seed(0))
        assert float(each.likelihood.log_scale.abs().max()) > 0


def test_a_full_disk_costs_the_best_model_not_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = atomic.write_files

    def full(writers: Any, **options: Any) -> None:
        if any(path.parent.name == "best" for path in writers):
            raise OSError("No space left on device")
        write(writers, **options)

    monkeypatch.setattr(atomic, "write_files", full)
    console = Console(file=io.StringIO(), width=200)
    options = {**SETTINGS, "quiet": False, "console": console, "steps": 12}
    run = vqkit.train(model(), IMAGES, out=tmp_path / "run", best_by="nmse", **options)
    assert run.finished
    assert "the best model was not written (No space left" in console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"best_by": "accuracy"}, r"is more of it better, or less\? Give max:accuracy or min:accuracy"),
        ({"best_by": "max:accuracy"}, r"best_by='max:accuracy': evaluations measure mse, nmse, .*; name one of these"),
        ({"best_by": "val_loss"}, r"best_by='val_loss': evaluations measure mse, nmse"),
        ({"patience": 3, "evaluations": 1}, r"evaluations=1: patience and best_by look at .*give 2"),
        ({"patience": -1}, r"patience=-1: give 0 or more"),
    ],
)
def test_what_cannot_be_kept_or_waited_for_is_refused(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        vqkit.train(model(), IMAGES, out=tmp_path / "run", **{**SETTINGS, **settings})
    assert not (tmp_path / "run/run.json").exists()


def test_directions_are_known_where_a_name_says_them() -> None:
    for name, sign in (("psnr_db", 1), ("ssim", 1), ("usage", 1), ("loss", -1), ("commitment_loss", -1), ("mse", -1)):
        assert Measure.read(name) == Measure(name, sign)
        assert Measure.read(f"max:{name}") == Measure(name, 1)
    assert TrainConfig(steps=1, best_by="min:height").best_by == "min:height"


def test_a_number_that_is_not_finite_is_never_the_best() -> None:
    class Alone:
        def agree(self, values: list[float]) -> list[float]:
            return values

    best = BestModel.__new__(BestModel)
    state = {"_value": None, "_step": 0, "_without": 0, "_patience": 0, "_measure": Measure("loss", -1)}
    best.__dict__.update(state, _kept=None, _left=None, _processes=Alone(), _save=lambda *_: True)
    for step, value in enumerate([None, float("nan"), 2.0, float("nan"), 1.0, 1.0]):
        best.consider({"loss": value}, step, None)  # type: ignore[arg-type]
    assert (best.state()["value"], best.state()["step"], best.state()["without"]) == ((1.0).hex(), 4, 1)


def test_the_command_line_keeps_the_best_and_judges_it(tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = f"train digits --out {out} --steps 12 -k 8 --code-dim 4 --hidden-channels 8 --batch-size 8 --no-tensorboard"
    runner = CliRunner()
    done = runner.invoke(app, [*words.split(), "--best-by", "psnr_db", "--patience", "9", "--accumulate", "2"])
    assert done.exit_code == 0, done.output
    training = json.loads((out / "run.json").read_text())["training"]
    assert (training["best_by"], training["patience"], training["accumulate"]) == ("psnr_db", 9, 2)
    told = runner.invoke(app, ["info", str(out)]).output
    assert f"best: {out / 'best'}, psnr_db" in " ".join(told.split())
    judged = runner.invoke(app, ["eval", str(out / "best")])
    assert judged.exit_code == 0, judged.output
