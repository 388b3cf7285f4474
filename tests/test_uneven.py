"""Processes whose batches differ in size, or are empty: every quantizer's state is that of one process with all."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests import uneven_worker
from tests.test_parallel import launch

WORKER = Path(uneven_worker.__file__)


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Tensor]]:
    folder = tmp_path_factory.mktemp("uneven")
    launch(2, str(folder), worker=WORKER)
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
    for step, (mine, theirs) in enumerate(uneven_worker.SIZES):
        for name, loss in losses[step].items():
            one, other = (float(state[f"{kind} {count} {stacking} loss {step} {name}"]) for state in states)
            if name == "diversity_loss":  # of the mean over all processes, on each
                assert one == pytest.approx(float(loss), rel=1e-4, abs=1e-5)
                assert other == pytest.approx(one, rel=1e-6)
            elif kind != "gumbel":  # whose processes draw different noise
                mean = (mine * one + theirs * other) / (mine + theirs)
                assert mean == pytest.approx(float(loss), rel=1e-4, abs=1e-5), name
