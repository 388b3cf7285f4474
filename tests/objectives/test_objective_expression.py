"""Sums of objectives in words and in Python."""

from __future__ import annotations

import copy

import pytest
import torch

from tests.objectives.cases import Adversary, decoded
from vqkit.errors import ConfigError
from vqkit.objectives import (
    OBJECTIVES,
    GradientObjective,
    LikelihoodObjective,
    WeightedSum,
    build_objective,
    parse_objective,
)


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("likelihood", "likelihood"),
        (" 1*likelihood ", "likelihood"),
        ("likelihood+.10*gradient", "likelihood + 0.1*gradient"),
        ("2 * gradient( scales = 4 ) + likelihood", "2*gradient(scales=4) + likelihood"),
        ("0*gradient + 1e-3*likelihood", "0*gradient + 0.001*likelihood"),
        ("adversary(after=10, adaptive=true)", "adversary(after=10, adaptive=True)"),
    ],
)
def test_spelling(text: str, spelled: str) -> None:
    assert " + ".join(str(term) for term in parse_objective(text)) == spelled
    assert str(build_objective(text)).replace(".0*", "*") == spelled
    assert str(build_objective(spelled)) == str(build_objective(str(build_objective(text))))


@pytest.mark.parametrize(
    ("text", "repair"),
    [
        ("", "'likelihood"),
        ("likelihood +", "'likelihood"),
        ("likelihood - gradient", "is no name"),
        ("-1*gradient", "weight -1: give a finite number, 0 or more"),
        ("nan*gradient", "weight nan: give a finite number"),
        ("inf*gradient", "weight inf"),
        ("1e999*gradient", "weight inf"),
        ("'a'*gradient", "no weight"),
        ("true*gradient", "'likelihood"),
        ("gradient(4)", r"options have names: gradient\(scales=4\)"),
        ("gradient(**{})", "options have names"),
        ("gradient(scales=open('x'))", "'likelihood"),
        ("gradient(steps=4)", "gradient.*steps"),
        ("gradient(scales=99)", "from 1 to 16"),
        ("a.b", "is no name"),
        ("__import__('os')", "options have names"),
        ("(" * 300 + "likelihood" + ")" * 300, "'likelihood"),
        ("likelihood+" * 4000 + "likelihood", "4.*characters"),
        ("gradiant", r"did you mean 'gradient'\?\).*likelihood, gradient|likelihood.*"),
    ],
)
def test_what_is_no_objective_is_told(text: str, repair: str) -> None:
    with pytest.raises(ConfigError, match=repair) as told:
        build_objective(text)
    assert "\n" not in str(told.value)


def test_unknown_names_list_the_registry() -> None:
    with pytest.raises(ConfigError) as told:
        build_objective("likelihood + gradients")
    assert all(name in str(told.value) for name in (*OBJECTIVES, "did you mean 'gradient'", "vqkit.objectives"))


def test_sums_in_python_are_those_in_words() -> None:
    given = decoded(2)
    written = LikelihoodObjective() + 0.1 * (GradientObjective(scales=2) + 2 * LikelihoodObjective())
    worded = build_objective("likelihood + 0.1*gradient(scales=2) + 0.2*likelihood")
    assert str(written) == str(worded)
    losses = written.losses(given)
    assert {name: float(loss) for name, loss in losses.items()} == {
        name: float(loss) for name, loss in worded.losses(given).items()
    }
    (likelihood,) = LikelihoodObjective().losses(given).values()
    assert torch.allclose(losses["reconstruction_loss"], 1.2 * likelihood)  # terms of one name add up


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), -1, True, "1"])
def test_weights_in_python(weight: float) -> None:
    with pytest.raises(ConfigError, match="give a finite number, 0 or more"):
        WeightedSum([(weight, GradientObjective())])
    with pytest.raises(ConfigError, match="without terms"):
        WeightedSum([])


def test_settings_are_those_of_the_constructor_and_survive_a_copy() -> None:
    objective = Adversary(after=3)
    assert objective.settings == {"after": 3}
    assert str(copy.deepcopy(objective)) == str(objective) == "adversary(after=3)"
