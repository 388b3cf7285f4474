"""The multi-scale gradient loss against loops in NumPy float64."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.objectives.cases import decoded
from vqkit.errors import ConfigError
from vqkit.objectives import GradientObjective


def oracle(made: np.ndarray, wanted: np.ndarray, mask: np.ndarray, scales: int) -> float:
    """Means of blocks, then differences of each kept pair of neighbors, one by one."""
    means = []
    axes = made.ndim - 2
    for scale in range(scales):
        side = 2**scale
        counts = [length // side for length in made.shape[2:]]
        if min(counts) < 1:
            break
        blocks = {
            place: tuple(slice(side * one, side * (one + 1)) for one in place)
            for place in itertools.product(*map(range, counts))
        }
        for axis in range(axes):
            found = []
            for place, block in blocks.items():
                following = tuple(one + (number == axis) for number, one in enumerate(place))
                if following not in blocks:
                    continue
                for item, channel in itertools.product(*map(range, made.shape[:2])):
                    if mask[item][block].all() and mask[item][blocks[following]].all():
                        edges = [
                            signal[item, channel][blocks[following]].mean() - signal[item, channel][block].mean()
                            for signal in (made, wanted)
                        ]
                        found.append(abs(edges[0] - edges[1]))
            if counts[axis] > 1:
                means.append(np.mean(found) if found else 0.0)
    return float(np.mean(means))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("scales", [1, 3, 6])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_against_loops(axes: int, scales: int, masked: bool) -> None:
    given = decoded(axes, masked=masked)
    mask = torch.ones(4, *given.target.shape[2:], dtype=torch.bool) if given.mask is None else given.mask
    (loss,) = GradientObjective(scales=scales).losses(given).values()
    expected = oracle(given.mean.detach().numpy(), given.target.numpy(), mask.numpy(), scales)
    assert loss.item() == pytest.approx(expected, rel=1e-12)


def test_a_constant_offset_costs_nothing_and_an_edge_does() -> None:
    given = decoded(2)
    shifted = replace(given, mean=given.target + 0.5)
    assert float(GradientObjective().losses(shifted)["gradient_loss"]) == pytest.approx(0.0, abs=1e-12)
    stretched = replace(given, mean=2 * given.target)
    assert float(GradientObjective().losses(stretched)["gradient_loss"]) > 0.1


def test_signals_of_one_value_have_no_gradient() -> None:
    given = decoded(1)
    one = replace(given, mean=given.mean[..., :1], target=given.target[..., :1])
    assert float(GradientObjective().losses(one)["gradient_loss"]) == 0.0


@pytest.mark.parametrize("scales", [0, 17, 1.5, True])
def test_scales_out_of_range(scales: int) -> None:
    with pytest.raises(ConfigError, match=rf"scales={scales}.*from 1 to 16"):
        GradientObjective(scales=scales)
