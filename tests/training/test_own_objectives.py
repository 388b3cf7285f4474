"""Objectives of one's own in a run: refused before the first step where no run could be resumed, prepared once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.training.test_objectives_of_runs import losses, trained
from vqkit.errors import ConfigError, TrainingStopped
from vqkit.models import VQVAE
from vqkit.objectives import OBJECTIVES, Decoded, Objective, build_objective
from vqkit.training.record.run import read_config

pytestmark = pytest.mark.usefixtures("own_registries")


class Scaled(Objective):
    """The absolute error times ``factor``; counts how often it is prepared."""

    def __init__(self, factor: float = 1.0, name: Any = "error_loss") -> None:
        super().__init__()
        self.factor = factor
        self.term = name
        self.prepared = 0

    def prepare(self, axes: int, channels: int) -> None:
        """Count."""
        super().prepare(axes, channels)
        self.prepared += 1

    def losses(self, decoded: Decoded) -> dict[str, Tensor]:
        """One term."""
        return {self.term: self.factor * (decoded.mean - decoded.target).abs().mean()}


class Diverging(Scaled):
    """With a parameter whose own loss is NaN."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(()))

    def own_losses(self, decoded: Decoded) -> dict[str, Tensor]:
        """NaN."""
        return {"own_scale": self.scale * float("nan")}


def test_one_that_resume_could_not_make_again_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'Scaled': its class is not registered.*OBJECTIVES.register"):
        trained(tmp_path / "run", objective=Scaled())
    OBJECTIVES.register("scaled")(Scaled)
    with pytest.raises(ConfigError, match=r"could be resumed .*let its constructor take numbers"):
        trained(tmp_path / "run", objective=Scaled(name=lambda: 1))
    assert not (tmp_path / "run").exists()


def test_an_argument_that_was_changed_since_is_recorded_as_it_is(tmp_path: Path) -> None:
    OBJECTIVES.register("scaled")(Scaled)
    objective = Scaled()
    objective.factor = 5.0
    run = trained(tmp_path / "run", objective=objective, steps=2)
    assert read_config(run.path)["training"]["objective"] == "scaled(factor=5.0)"


def test_an_instance_is_prepared_once(tmp_path: Path) -> None:
    OBJECTIVES.register("scaled")(Scaled)
    objective = Scaled()
    run = trained(tmp_path / "run", objective=objective, steps=2)
    assert objective.prepared == 1
    assert len(losses(run, "error_loss")) == 2


def test_nan_in_an_own_loss_is_named(tmp_path: Path) -> None:
    OBJECTIVES.register("diverging")(Diverging)
    with pytest.raises(TrainingStopped, match="in own loss own_scale of objective diverging"):
        trained(tmp_path / "run", objective=Diverging())


@pytest.mark.parametrize("name", ["loss", "mse"])
def test_a_term_is_not_called_what_the_log_calls_another_number(tmp_path: Path, name: str) -> None:
    OBJECTIVES.register("scaled")(Scaled)
    with pytest.raises(ConfigError, match=f"names a term '{name}'.*rename it"):
        trained(tmp_path / "run", objective=Scaled(name=name))


def test_a_class_is_not_taken_for_an_instance() -> None:
    with pytest.raises(ConfigError, match=r"objective is the class Scaled; call it: objective=Scaled\(\.\.\.\)"):
        build_objective(Scaled)  # type: ignore[arg-type]
    for name in ("quantizer", "encoder", "decoder"):
        with pytest.raises(ConfigError, match=f"{name} is the class Identity; call it: {name}=Identity"):
            VQVAE(16, channels=1, **{name: nn.Identity})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("likelihood + gradient*0.1", "'gradient' is no number; the weight comes first, as in 0.1*gradient"),
        ("gradient(scales=many)", "'many' is no number, word in quotes"),
    ],
)
def test_faults_of_syntax_are_said_in_the_words_of_the_text(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        build_objective(text)
    assert words in str(refusal.value)
    assert "object at 0x" not in str(refusal.value)
