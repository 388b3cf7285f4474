"""A trainable of one's own: trained by ``vqkit.train`` with checkpoints, resume, logs and evaluations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import vqkit
from tests.training.cases import StopAfter
from vqkit.errors import ConfigError, TrainingInterrupted
from vqkit.training.optim.groups import collect_groups

QUIET: dict[str, Any] = {"quiet": True, "tensorboard": False, "device": "cpu"}


@vqkit.TRAINABLES.register("test-line")
class Line(vqkit.Trainable):
    """Predicts the last column from the others."""

    training_defaults: ClassVar = {"batch_size": 4, "learning_rate": 1e-2}

    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.layer = nn.Linear(width - 1, 1)

    def forward(self, *batch: Any) -> vqkit.StepOutput:
        (x,) = batch
        error = (self.layer(x[:, :-1]) - x[:, -1:]).square().mean()
        return vqkit.StepOutput(error, {"squared_error": error.detach()})


class Judged(Line):
    """A line with a measure of its own."""

    def evaluate_batch(self, batch: Tensor, *conditions: Tensor) -> dict[str, float]:
        return {"largest": float(batch.max())}


vqkit.TRAINABLES.register("test-judged")(Judged)


@pytest.fixture
def rows() -> np.ndarray:
    values = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    values[:, 2] = values[:, 0] - 2 * values[:, 1]
    return values


def test_it_learns_and_its_folder_gives_it_back(rows: np.ndarray, tmp_path: Path) -> None:
    line = Line()
    run = vqkit.train(line, rows, out=tmp_path / "run", steps=300, learning_rate=0.05, average_decay=0.9, **QUIET)
    assert run.finished
    assert run.evaluation is not None
    assert run.evaluation["loss"] == run.evaluation["squared_error"] < 1e-2
    back = run.model()
    assert isinstance(back, Line)
    assert all(torch.equal(value, line.state_dict()[name]) for name, value in back.state_dict().items())
    assert np.allclose(back.layer.weight.detach(), [[1, -2]], atol=0.1)
    settings = json.loads((tmp_path / "run" / "run.json").read_text())
    assert settings["model"] == {"model_type": "test-line", "width": 3}
    assert settings["training"]["batch_size"] == 4
    assert {line["kind"] for line in run.log()} >= {"train", "final"}


def test_stopped_and_resumed_it_is_the_same_to_the_last_bit(rows: np.ndarray, tmp_path: Path) -> None:
    torch.manual_seed(0)
    first, second = Line(), Line()
    second.load_state_dict(first.state_dict())
    settings: dict[str, Any] = {"steps": 20, "checkpoint_seconds": 1e-9, **QUIET}
    whole = vqkit.train(first, rows, out=tmp_path / "whole", **settings)
    with pytest.raises(TrainingInterrupted):
        vqkit.train(second, rows, out=tmp_path / "part", callbacks=[StopAfter(7)], **settings)
    rest = vqkit.resume(tmp_path / "part", data=rows, quiet=True, tensorboard=False)
    assert rest.evaluation == whole.evaluation
    expected = whole.model().state_dict()
    assert all(torch.equal(expected[name], value) for name, value in rest.model().state_dict().items())


def test_it_is_judged_by_its_own_measure(rows: np.ndarray, tmp_path: Path) -> None:
    run = vqkit.train(Judged(), rows, out=tmp_path / "run", steps=2, validation="last:8", **QUIET)
    assert run.evaluation is not None
    assert run.evaluation["largest"] == pytest.approx(float(rows[-8:].max()))
    assert run.evaluation["items"] == run.evaluation["of"] == 8


def test_only_a_closed_form_class_is_fitted() -> None:
    with pytest.raises(vqkit.errors.ConfigError, match="gradient steps"):
        Line().fit(list)


def test_old_names_still_work_and_warn() -> None:
    model = vqkit.VQVAE(channels=1, axes=0, downsampling=1, codebook_size=4, hidden_channels=8)
    with pytest.warns(DeprecationWarning, match="recalibration_positions"):
        assert model.settling_positions == model.recalibration_positions > 0
    with pytest.warns(DeprecationWarning, match="recalibrate_codebook"):
        model.settle([])


def test_the_old_name_of_a_quantizer_s_attribute_still_works_and_warns() -> None:
    with pytest.warns(DeprecationWarning, match="recalibrates"):
        old = type("Old", (vqkit.EMAVectorQuantizer,), {"settles": False})
    assert vqkit.EMAVectorQuantizer.recalibrates
    assert not old.recalibrates  # type: ignore[attr-defined]


class Tuned(Line):
    """A line whose slope keeps its weight, and whose offset learns at a tenth of the rate."""

    def parameter_groups(self) -> list[vqkit.ParameterGroup]:
        return [
            vqkit.ParameterGroup([self.layer.weight], weight_decay=0.25),
            vqkit.ParameterGroup([self.layer.bias], lr_scale=0.1),
        ]


vqkit.TRAINABLES.register("test-tuned")(Tuned)


def test_parameter_groups_of_its_own_are_decayed_and_scheduled_as_they_say(rows: np.ndarray, tmp_path: Path) -> None:
    torch.manual_seed(0)
    line, reference = Tuned(), Line()
    reference.load_state_dict(line.state_dict())
    settings: dict[str, Any] = {"steps": 1, "warmup_steps": 0, "average_decay": 0.0, "clip_norm": 0.0, **QUIET}
    before = {name: value.clone() for name, value in line.state_dict().items()}
    vqkit.train(line, rows, out=tmp_path / "own", **settings)
    vqkit.train(reference, rows, out=tmp_path / "same", weight_decay=0.25, **settings)
    own, same = line.state_dict(), reference.state_dict()
    assert torch.equal(own["layer.weight"], same["layer.weight"])
    moved = own["layer.bias"] - before["layer.bias"]
    assert torch.allclose(moved, 0.1 * (same["layer.bias"] - before["layer.bias"]), rtol=1e-3)
    assert float(moved.abs()) > 0


def test_a_part_of_a_model_says_its_groups() -> None:
    class Slow(nn.Sequential):
        def parameter_groups(self) -> list[vqkit.ParameterGroup]:
            return [vqkit.ParameterGroup(list(self[0].parameters()), lr_scale=0.5)]

    model = vqkit.VQVAE(8, hidden_channels=8)
    model.decoder = Slow(nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1))
    groups = collect_groups(model, 0.1)
    found = {parameter: (group["weight_decay"], group["lr_scale"]) for group in groups for parameter in group["params"]}
    assert sum(len(group["params"]) for group in groups) == len(found) == len(list(model.parameters()))
    names = {name: found[parameter] for name, parameter in model.named_parameters()}
    assert names["decoder.0.weight"] == (0.1, 0.5)
    assert names["decoder.0.bias"] == (0.0, 0.5)
    assert names["decoder.1.weight"] == (0.1, 1.0)
    gradient = vqkit.VectorQuantizer(8, 2)
    assert [(g["weight_decay"], g["params"]) for g in collect_groups(gradient, 0.1)] == [(0.0, [gradient.codebook])]


@pytest.mark.parametrize("given", [[{"params": []}], [nn.Parameter(torch.zeros(2))]])
def test_groups_that_are_none_are_refused(given: list[Any]) -> None:
    line = Line()
    line.parameter_groups = lambda: given  # type: ignore[method-assign]
    with pytest.raises(ConfigError, match=r"give a list of vqkit.ParameterGroup"):
        collect_groups(line, 0.1)


def test_a_parameter_of_another_model_is_refused() -> None:
    line = Line()
    line.parameter_groups = lambda: [vqkit.ParameterGroup(list(Line().parameters()))]  # type: ignore[method-assign]
    with pytest.raises(ConfigError, match="not the model's"):
        collect_groups(line, 0.1)


@pytest.mark.parametrize("wrong", [{"lr_scale": 0.0}, {"lr_scale": float("nan")}, {"weight_decay": -0.1}])
def test_numbers_that_no_optimizer_takes_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        vqkit.ParameterGroup([], **wrong)


class Coded(Line):
    """A line with a codebook of the rows, and no word of its latents."""

    def __init__(self, width: int = 3) -> None:
        super().__init__(width)
        self.quantizer = vqkit.VectorQuantizer(4, width)

    @property
    def monitored_quantizer(self) -> vqkit.VectorQuantizer:
        return self.quantizer

    def forward(self, *batch: Any) -> vqkit.StepOutput:
        found = self.quantizer(batch[0].reshape(len(batch[0]), -1, 1))
        loss = super().forward(*batch).loss + sum(found.losses.values())
        return vqkit.StepOutput(loss, indices=found.indices)


class CodedWithLatents(Coded):
    """And with a word of them."""

    def latents(self, x: Tensor) -> Tensor:
        return x.reshape(len(x), -1, 1)


vqkit.TRAINABLES.register("test-coded")(Coded)
vqkit.TRAINABLES.register("test-coded-with-latents")(CodedWithLatents)


@pytest.mark.parametrize("kind", [Coded, CodedWithLatents])
def test_a_codebook_is_monitored_and_looked_at_where_latents_are_given(
    kind: type[Coded], rows: np.ndarray, tmp_path: Path
) -> None:
    coded = kind()
    run = vqkit.train(coded, rows, out=tmp_path / "run", steps=20, log_every=10, **QUIET)
    last = [line for line in run.log() if line["kind"] == "train"][-1]
    assert last["restarts"] == coded.quantizer.restarts
    assert 0 < last["usage"] <= 1
    assert ("code_distance" in last) == (kind is CodedWithLatents)
