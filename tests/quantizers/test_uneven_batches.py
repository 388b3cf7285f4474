"""Processes whose batches differ in size, or are empty: state, losses and gradients are those of one with all."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.quantizers import uneven_worker
from tests.ranks import launch


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Tensor]]:
    folder = tmp_path_factory.mktemp("uneven")
    launch(uneven_worker.__name__, [str(folder)])
    return [load_file(folder / f"{rank}.safetensors") for rank in range(2)]


@pytest.mark.parametrize(("kind", "count", "stacking"), uneven_worker.cases())
def test_uneven_batches_leave_the_state_of_one_process_with_all(
    states: list[dict[str, Tensor]], kind: str, count: int, stacking: str
) -> None:
    torch.manual_seed(0)
    alone, losses = uneven_worker.run(kind, count, stacking, None)
    wanted = alone.state_dict()
    assert wanted or kind in ("fsq", "lfq", "bsq")
    for name, tensor in wanted.items():
        first, second = (state[f"{kind} {count} {stacking} {name}"] for state in states)
        assert torch.equal(first, second), name
        torch.testing.assert_close(first, tensor, rtol=1e-5, atol=1e-5, msg=name)
    for each in losses:
        for name, value in each.items():
            one, other = (state[f"{kind} {count} {stacking} {name}"] for state in states)
            if kind == "gumbel":  # whose processes draw different noise
                continue
            if name.startswith("loss"):
                assert torch.equal(one, other), name
            wanted_value = {"rtol": 2e-4, "atol": 2e-5, "msg": name}
            torch.testing.assert_close((one + other) / 2, value, **wanted_value)
