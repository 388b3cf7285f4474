"""Sharp runs: whatever becomes of the adversary, the model is no worse than before it; stopped and resumed alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.ranks import launch
from tests.training import sharp_worker
from tests.training.cases import StopAfter
from vqkit.data import ArraySource, load_source
from vqkit.errors import ConfigError, TrainingInterrupted
from vqkit.models import PCA, VQVAE
from vqkit.objectives.adversarial import AdversarialObjective
from vqkit.training import Callback, Run, TrainConfig, resume, train
from vqkit.training.checkpoints import checkpoint
from vqkit.training.diagnostics.discriminators import DiscriminatorDoctor
from vqkit.training.record.log import read_log
from vqkit.training.sharp.figures import Figures, judge

QUIET: dict[str, Any] = {"quiet": True, "tensorboard": False}
SETTINGS: dict[str, Any] = {
    "steps": 24, "batch_size": 8, "evaluations": 0, "log_every": 4, "checkpoint_seconds": 1e6, "average_decay": 0.5,
    "learning_rate": 1e-2, "evaluation_items": 16,
}  # fmt: skip
ADVERSARY = "adversarial(width=4, layers=1, r1_every=3, lecam=0.1{})"


def source(poisoned: bool = False) -> ArraySource:
    found = np.random.default_rng(0).random((64, 1, 8, 8), dtype=np.float32).cumsum(axis=2) / 8
    if poisoned:
        found[5] = np.nan
    return load_source(np.clip(found, 0, 1) if not poisoned else found)  # type: ignore[return-value]


def sharp(out: Path, objective: str, callbacks: Any = (), **settings: Any) -> Run:
    model = VQVAE.for_source(
        source(), 16, code_dim=4, hidden_channels=8, residual_channels=4, downsampling=2, residual_blocks=1, seed=0
    )
    options = {**QUIET, **SETTINGS, "objective": objective, "sharp": True, **settings}
    return train(model, source(), out=out, callbacks=callbacks, **options)


def lines(run: Run, event: str) -> list[dict[str, Any]]:
    return [line for line in run.log() if line["kind"] == "sharp" and line["event"] == event]


def figures(line: dict[str, Any], after: str = "") -> Figures:
    return Figures(line[f"frechet_distance{after}"], line[f"psnr_db{after}"])


@pytest.mark.parametrize(
    "words",
    [
        "likelihood + 0.05*" + ADVERSARY.format(""),
        "likelihood + 1000*" + ADVERSARY.format(", learning_rate=10.0"),
        "likelihood + 1000*" + ADVERSARY.format(", after=1"),
        "likelihood + 10*" + ADVERSARY.format(", warmup=0, learning_rate=1e-9"),
        "likelihood + 1*"
        + ADVERSARY.format(", after=20, learning_rate=1.0").replace(", lecam=0.1", ", loss='relativistic'"),
    ],
)
def test_sabotaged_it_ends_no_worse_than_before(tmp_path: Path, words: str) -> None:
    run = sharp(tmp_path / "run", words)
    (begun,), (end,) = lines(run, "begun"), lines(run, "end")
    assert figures(end).no_worse_than(figures(begun))
    assert figures(end, "_before") == figures(begun)
    again = judge(run.model(), _held_out(run), end["items"])
    assert again.no_worse_than(figures(begun))
    assert again.frechet == pytest.approx(end["frechet_distance"], rel=1e-3)


def _held_out(run: Run) -> Any:
    from vqkit.training.inputs.holdout import validation_split
    from vqkit.training.record.run import read_config

    return validation_split(source(), TrainConfig.from_dict(read_config(run.path)["training"]))[1]


def test_a_poisoned_adversary_takes_the_run_back_and_not_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = AdversarialObjective.own_losses

    def poisoned(self: AdversarialObjective, decoded: Any) -> Any:
        found = plain(self, decoded)
        return {name: loss * float("nan") for name, loss in found.items()} if self.steps in (14, 17) else found

    monkeypatch.setattr(AdversarialObjective, "own_losses", poisoned)
    run = sharp(tmp_path / "run", "likelihood + 0.05*" + ADVERSARY.format(", after=12"))
    back = [line for line in lines(run, "back") if "NaN" in line["reason"]]
    assert [line["step"] for line in back] == [14, 17]
    assert back[-1]["strength"] == pytest.approx(0.25 ** len(lines(run, "back")), rel=1e-6)
    assert lines(run, "end")[0]["event"] == "end"
    assert all(bool(torch.isfinite(tensor).all()) for tensor in run.model().state_dict().values())


def test_stopped_and_resumed_it_is_the_same_to_the_last_bit(tmp_path: Path) -> None:
    words = "likelihood + 5*" + ADVERSARY.format("")
    whole = sharp(tmp_path / "whole", words)
    with pytest.raises(TrainingInterrupted):
        sharp(tmp_path / "parts", words, callbacks=[StopAfter(17)], checkpoint_seconds=0)
    parts = resume(tmp_path / "parts", data=source(), **QUIET)
    first, second = (
        load_file(checkpoint.found(run.path / "checkpoints")[-1] / checkpoint.TENSORS) for run in (whole, parts)
    )
    assert first.keys() == second.keys()
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())
    said = [[line for line in run.log() if line["kind"] == "sharp"] for run in (whole, parts)]
    assert said[0] == said[1]
    one, other = (run.model().state_dict() for run in (whole, parts))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_it_adds_an_adversary_and_says_how_the_adversary_fares(tmp_path: Path) -> None:
    run = sharp(tmp_path / "run", "likelihood", steps=12)
    train_lines = [line for line in run.log() if line["kind"] == "train"]
    names = ("real_accuracy", "made_accuracy", "real_logit", "made_logit", "gradient_norm", "model_gradient_norm")
    assert all(f"adversarial_{name}" in train_lines[-1] for name in names)


def test_what_has_no_use_for_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="closed form"):
        train(PCA.for_source(source(), 4), source(), out=tmp_path / "pca", sharp=True, **QUIET)
    with pytest.raises(ConfigError, match="ddp"):
        sharp(tmp_path / "run", "likelihood", parallel="fsdp")


def test_the_rule_never_takes_nan() -> None:
    before = Figures(1.0, 20.0)
    for frechet, psnr in ((float("nan"), 30.0), (float("inf"), 30.0), (0.5, float("nan"))):
        assert not Figures(frechet, psnr).no_worse_than(before)


@pytest.mark.parametrize(
    ("real", "made", "logit", "word"),
    [
        (1.0, 1.0, 2.0, "always right"),
        (1.0, 0.0, 2.0, "says the same"),
        (0.5, 0.5, 0.0, "guesses"),
        (0.7, 0.7, 90, "away"),
    ],
)
def test_the_doctor_says_once_what_is_off(real: float, made: float, logit: float, word: str) -> None:
    doctor = DiscriminatorDoctor()
    line = {"a_real_accuracy": real, "a_made_accuracy": made, "a_real_logit": logit, "a_made_logit": -logit}
    said = [doctor.look(line) for _ in range(2)]
    again = DiscriminatorDoctor()
    again.restore(doctor.state())
    said += [again.look(line) for _ in range(3)]
    assert [len(each) for each in said] == [0, 0, 1, 0, 0]
    assert word in said[2][0]
    fine = DiscriminatorDoctor()
    assert not any(
        fine.look({**line, "a_real_accuracy": 0.8, "a_made_accuracy": 0.7, "a_real_logit": 1.0, "a_made_logit": 0.0})
        for _ in range(9)
    )


def test_what_nothing_goes_back_to_is_deleted(tmp_path: Path) -> None:
    run = sharp(tmp_path / "run", "likelihood + 0.05*" + ADVERSARY.format(""), checkpoint_seconds=0)
    (begun,), kept = lines(run, "begun"), [line["step"] for line in lines(run, "kept")]
    named = [checkpoint.values_of(each)["sharp"]["best_step"] for each in checkpoint.found(run.path / "checkpoints")]
    needed = {begun["step"], *(step for step in [*named, *kept[-1:]] if step is not None)}
    there = {checkpoint.step_of(each) for each in checkpoint.found(run.path / "sharp")}
    assert there == needed
    assert not [each for each in (run.path / "sharp").iterdir() if not checkpoint.is_checkpoint(each)]


def test_two_processes_are_as_one(tmp_path: Path) -> None:
    launch(sharp_worker.__name__, [str(tmp_path / "two")])
    sharp_worker.run(tmp_path / "one")
    one, two = ([line for line in read_log(tmp_path / name) if line["kind"] == "sharp"] for name in ("one", "two"))
    assert [line["event"] for line in one] == [line["event"] for line in two]
    for first, second in zip(one, two, strict=True):
        assert (first["step"], first["strength"]) == (second["step"], second["strength"])
        if "psnr_db" in first:
            assert first["psnr_db"] == pytest.approx(second["psnr_db"], abs=0.01)
            assert first["frechet_distance"] == pytest.approx(second["frechet_distance"], rel=0.01)
    states = [
        load_file(checkpoint.found(tmp_path / name / "checkpoints")[-1] / checkpoint.TENSORS) for name in ("one", "two")
    ]
    assert states[0].keys() == states[1].keys()
    assert any(name.startswith("objective/perceptual") for name in states[0])
    for name, tensor in states[0].items():
        if tensor.is_floating_point() and name.startswith(("model/", "objective/")):
            assert torch.allclose(tensor, states[1][name], atol=1e-3), name


@pytest.mark.parametrize(("first", "returns"), [(44, 10), (58, 2)])
def test_data_that_become_nan_end_the_run_with_what_it_had(tmp_path: Path, first: int, returns: int) -> None:
    pictures = (np.random.default_rng(0).random((64, 1, 8, 8), dtype=np.float32).cumsum(axis=2) / 8).clip(0, 1)
    learned, held_out = ArraySource(pictures), ArraySource(pictures[:16].copy())

    class Poison(Callback):
        """NaN in most of the training data from a step on."""

        def on_step(self, step: int, values: Any) -> None:
            if step == first:
                pictures[16:] = np.nan

    model = VQVAE.for_source(
        learned, 16, code_dim=4, hidden_channels=8, residual_channels=4, downsampling=2, residual_blocks=1, seed=0
    )
    options = {
        **QUIET,
        **SETTINGS,
        "objective": "likelihood + 0.05*" + ADVERSARY.format(""),
        "sharp": True,
        "steps": 60,
    }
    run = train(model, learned, out=tmp_path / "run", callbacks=[Poison()], validation=held_out, **options)
    assert run.finished
    assert len([line for line in lines(run, "back") if "NaN" in line["reason"]]) >= min(returns, 2)
    assert ("again and again" in str(run.stop_reason)) is (returns == 10)
    assert figures(lines(run, "end")[0]).no_worse_than(figures(lines(run, "begun")[0]))
    assert all(bool(torch.isfinite(tensor).all()) for tensor in run.model().state_dict().values())
