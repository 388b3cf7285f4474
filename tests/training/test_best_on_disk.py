"""What is in ``best/`` of a run: infinite measures, full disks, kills between renames, and parts that were given up."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

import vqkit
from tests.training.cases import StopAfter
from vqkit.errors import ConfigError, TrainingInterrupted, TrainingStopped
from vqkit.storage import atomic
from vqkit.training.checkpoints.best import choose_measure, describe_best, read_record
from vqkit.training.evaluators.measures import Measure

QUIET: dict[str, Any] = {"quiet": True, "tensorboard": False}
SETTINGS: dict[str, Any] = {"steps": 20, "batch_size": 8, "evaluations": 10, "best_by": "min:height", **QUIET}
VECTORS = np.random.default_rng(0).standard_normal((40, 4)).astype(np.float32)


def register(heights: list[float]) -> type[Any]:
    """A trainable whose evaluations give these heights, one after another by its steps (2, 4, ...)."""

    @vqkit.TRAINABLES.register("hill")
    class Hill(vqkit.Trainable):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(()))
            self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

        def forward(self, x: torch.Tensor) -> vqkit.StepOutput:
            if self.training:
                self.steps += 1
            return vqkit.StepOutput((self.weight * x - 0.5).square().mean())

        def evaluate_batch(self, x: torch.Tensor, condition: Any = None) -> dict[str, float]:
            return {"height": heights[min(int(self.steps) // 2, len(heights) - 1)]}

    return Hill


def evaluations(run: vqkit.Run) -> list[tuple[int, Any]]:
    return [(line["step"], line["height"]) for line in run.log() if line["kind"] == "validation"]


def fill_disk(patch: pytest.MonkeyPatch, full: Any) -> None:
    """Every write of files of which ``full`` is true of one fails."""
    write = atomic.write_files

    def written(writers: Any, **options: Any) -> None:
        if any(full(path) for path in writers):
            raise OSError(28, "No space left on device")
        write(writers, **options)

    patch.setattr(atomic, "write_files", written)


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=400)


def said(console: Console) -> str:
    return " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]


@pytest.mark.usefixtures("own_registries")
@pytest.mark.parametrize(("sign", "infinity"), [("max", math.inf), ("min", -math.inf)])
def test_an_infinite_measure_is_kept_and_read_again(tmp_path: Path, sign: str, infinity: float) -> None:
    Hill = register([1.0, 2.0, math.nan, infinity, infinity, *[5.0] * 6])
    settings = {**SETTINGS, "best_by": f"{sign}:height"}
    run = vqkit.train(Hill(), VECTORS, out=tmp_path / "run", **settings)
    assert json.loads((run.path / "best/best.json").read_text())["value"] == str(infinity)
    record = read_record(run.path)
    assert record is not None
    assert (record["value"], record["step"]) == (infinity, 6)
    assert f"height {infinity:.4g} at step 6" in (describe_best(run.path) or "")
    assert int(run.best_model().steps) == 6
    again = vqkit.resume(run.path, data=VECTORS, steps=22, **QUIET)
    assert read_record(again.path) == record


def test_what_an_evaluation_says_none_for_is_infinite() -> None:
    perfect = {"mse": 0.0, "nmse": 0.0, "psnr_db": None, "psnr_item_mean_db": None, "psnr_peak": 255.0, "usage": None}
    assert Measure("psnr_db", 1).value_in(perfect) == math.inf
    assert Measure("psnr_item_mean_db", 1).value_in(perfect) == math.inf
    assert Measure("nmse", -1).value_in({"mse": 0.1, "nmse": None}) == math.inf
    for name, values in (("psnr_db", {**perfect, "psnr_peak": None}), ("usage", perfect), ("other", perfect)):
        assert math.isnan(Measure(name, 1).value_in(values))
    assert math.isnan(Measure("psnr_db", 1).value_in({**perfect, "mse": 0.1}))


def test_a_perfect_reconstruction_before_the_first_step_is_a_measure(tmp_path: Path) -> None:
    black = np.zeros((16, 1, 8, 8), dtype=np.uint8)
    model = vqkit.PCA(1, channels=1, size=(8, 8))
    vqkit.train(model, black, out=tmp_path / "run", **QUIET)
    from vqkit.training.evaluators.selection import evaluator_for

    config = vqkit.TrainConfig(steps=2, best_by="psnr_db")
    judge = evaluator_for(model, vqkit.load_source(black), config, None)
    assert judge.validate(model, 0)[0]["psnr_db"] is None  # type: ignore[index]
    assert choose_measure(config, judge, model) == Measure("psnr_db", 1)


@pytest.mark.usefixtures("own_registries")
def test_after_a_failed_write_what_beats_the_disk_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, console: Console
) -> None:
    Hill, full = register([0.0, 9.0, 3.0, 5.0, 4.0, *[8.0] * 6]), [4]
    here = [0]

    class Here(vqkit.Callback):
        def on_step(self, step: int, values: Any) -> None:
            here[0] = step

    with monkeypatch.context() as patch:
        fill_disk(patch, lambda path: path.parent.name == "best" and here[0] in full)
        callbacks = [Here(), StopAfter(7)]
        settings = {**SETTINGS, "quiet": False, "console": console, "checkpoint_seconds": 0, "patience": 3}
        with pytest.raises(TrainingInterrupted):
            vqkit.train(Hill(), VECTORS, out=tmp_path / "run", callbacks=callbacks, **settings)
    assert "step 4: the best model was not written" in said(console)
    assert (read_record(tmp_path / "run") or {})["step"] == 6, "5.0 beats the 9.0 on the disk, not the 3.0 of step 4"
    run = vqkit.resume(tmp_path / "run", data=VECTORS, **QUIET)
    assert (read_record(run.path) or {})["value"] == 4.0
    assert (run.step, run.stop_reason) == (10, "height has not improved in 3 evaluations (best: 3 at step 4)")


@pytest.mark.usefixtures("own_registries")
@pytest.mark.parametrize("worse", [True, False])
def test_a_better_model_of_a_part_that_was_given_up_is_told_of(tmp_path: Path, console: Console, worse: bool) -> None:
    heights = [0.0, 9.0, 7.0, 1.0, *[8.0] * 7]
    Hill = register(heights)

    class Killed(vqkit.Callback):
        def on_step(self, step: int, values: Any) -> None:
            if step == 8:
                raise RuntimeError("killed")

    with pytest.raises(TrainingStopped, match="killed"):
        vqkit.train(Hill(), VECTORS, out=tmp_path / "run", callbacks=Killed(), **SETTINGS)
    assert (read_record(tmp_path / "run") or {})["step"] == 6
    if worse:
        heights[3] = 7.5
    shown = {"quiet": False, "tensorboard": False, "console": console}
    run = vqkit.resume(tmp_path / "run", data=VECTORS, learning_rate=1e-4, **shown)
    assert (read_record(run.path) or {})["step"] == (4 if worse else 6)
    told = "held the model of step 6 (height 1), which the run made before it went on from an earlier checkpoint"
    assert (f"{told}; it was replaced by a worse one, the best since: 7 at step 4" in said(console)) == worse
    assert ("which the run made before" in said(console)) == worse


@pytest.mark.usefixtures("own_registries")
def test_a_kill_between_the_renames_is_noticed(tmp_path: Path, console: Console) -> None:
    Hill = register([0.0, 9.0, 7.0, 1.0, *[8.0] * 20])
    run = vqkit.train(Hill(), VECTORS, out=tmp_path / "run", **SETTINGS)
    other = Hill()
    other.save_pretrained(tmp_path / "other")
    (tmp_path / "other/model.safetensors").replace(run.path / "best/model.safetensors")
    assert read_record(run.path) is None
    assert "is damaged: best.json tells of other weights" in (describe_best(run.path) or "")
    vqkit.resume(run.path, data=VECTORS, steps=24, **QUIET)
    found = read_record(run.path)
    assert found is not None
    assert found["step"] > 20, "what is not whole is written again by the next evaluation"
    assert found["value"] == 8.0


@pytest.mark.usefixtures("own_registries")
def test_a_record_of_an_older_version_has_no_digest(tmp_path: Path) -> None:
    run = vqkit.train(register([1.0] * 11)(), VECTORS, out=tmp_path / "run", **SETTINGS)
    file = run.path / "best/best.json"
    document = json.loads(file.read_text())
    del document["weights"]
    file.write_text(json.dumps(document))
    assert (read_record(run.path) or {})["step"] == document["step"]
    assert "height 1 at step 2" in (describe_best(run.path) or "")


@pytest.mark.usefixtures("own_registries")
def test_leftovers_of_a_killed_write_are_removed(tmp_path: Path) -> None:
    run = vqkit.train(register([1.0] * 11)(), VECTORS, out=tmp_path / "run", **SETTINGS)
    leftover = run.path / "best/.model.safetensors.0123abcd.part"
    leftover.write_bytes(b"half")
    vqkit.resume(run.path, data=VECTORS, **QUIET)
    assert not leftover.exists()


@pytest.mark.usefixtures("own_registries")
@pytest.mark.parametrize(
    ("full", "message"),
    [
        (lambda path: path.name == "run.json" and path.is_file(), "step 6: that the run ends here .Enough: six. was"),
        (lambda path: path.parent.name == "model", "step 6: the trained model was not written"),
    ],
)
def test_a_full_disk_at_the_end_is_one_sentence_with_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: Any, message: str
) -> None:
    class Enough(vqkit.Callback):
        def on_step(self, step: int, values: Any) -> None:
            if step == 6:
                self.stop("six")

    Hill = register([1.0] * 11)
    with monkeypatch.context() as patch:
        fill_disk(patch, full)
        with pytest.raises(TrainingStopped, match=rf"{message}.*No space.*Free some space, then: vqkit\.resume"):
            vqkit.train(Hill(), VECTORS, out=tmp_path / "run", callbacks=Enough(), **SETTINGS)
    run = vqkit.resume(tmp_path / "run", data=VECTORS, callbacks=Enough(), **QUIET)
    assert (run.step, run.finished, run.stop_reason) == (6, True, "Enough: six")


@pytest.mark.usefixtures("own_registries")
def test_a_full_disk_after_the_model_is_saved_costs_neither_run_nor_best_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, console: Console
) -> None:
    run = tmp_path / "run"

    def full(path: Path) -> bool:
        return (run / "model/model.safetensors").is_file() and path.parent.name in ("best", "model")

    fill_disk(monkeypatch, full)
    settings = {**SETTINGS, "quiet": False, "console": console}
    done = vqkit.train(register([1.0] * 11)(), VECTORS, out=run, **settings)
    assert done.finished
    assert "the best model stays as it was evaluated: not written" in said(console)
    assert "the model card was not written" in said(console)
    assert (read_record(run) or {})["step"] == 2


def test_a_misspelt_measure_is_told_with_the_near_ones() -> None:
    with pytest.raises(ConfigError, match=r"did you mean psnr_db"):
        vqkit.TrainConfig(steps=2, best_by="pnsr_db")
    with pytest.raises(ConfigError, match=r"Give max:accuracy or min:accuracy$"):
        vqkit.TrainConfig(steps=2, best_by="accuracy")
