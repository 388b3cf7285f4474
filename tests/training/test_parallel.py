"""Two gloo processes give the same run as one with twice the batch per process: DDP, FSDP2, and resume."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.ranks import launch
from tests.training import parallel_worker
from vqkit.models import load_model
from vqkit.training.checkpoints import checkpoint


def largest_difference(a: Path, b: Path) -> float:
    one, other = load_model(a).state_dict(), load_model(b).state_dict()
    assert one.keys() == other.keys()
    return max(float((one[name].double() - other[name].double()).abs().max()) for name in one if one[name].numel())


def discriminator(run: Path) -> dict[str, torch.Tensor]:
    """The objective's own tensors, its optimizer's too, in the newest checkpoint."""
    tensors = load_file(checkpoint.found(run / "checkpoints")[-1] / checkpoint.TENSORS)
    return {name: tensor for name, tensor in tensors.items() if name.startswith("objective")}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of two processes, each stopped by Ctrl-C in the first one after step 6 and resumed in new processes."""
    folder = tmp_path_factory.mktemp("parallel")
    launch(parallel_worker.__name__, [str(folder), "begin"], [str(folder), "resume"])
    return folder


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same runs in one process."""
    folder = tmp_path_factory.mktemp("alone")
    for kind in parallel_worker.KINDS:
        parallel_worker.run(kind, "ddp", folder / kind)
    return folder


@pytest.mark.parametrize("parallel", parallel_worker.PARALLEL)
@pytest.mark.parametrize("kind", parallel_worker.KINDS)
def test_two_processes_equal_one_also_when_stopped_and_resumed(
    runs: Path, alone: Path, kind: str, parallel: str
) -> None:
    both = alone / kind, runs / f"{kind}-{parallel}"
    assert largest_difference(*both) < 1e-4
    assert largest_difference(*(run / "best" for run in both)) < 1e-4
    steps = {json.loads((run / "best/best.json").read_text())["step"] for run in both}
    assert len(steps) == 1
    one, two = (discriminator(folder) for folder in (alone / kind, runs / f"{kind}-{parallel}"))
    assert one.keys() == two.keys()
    assert bool(one) is ("adversary" in parallel_worker.OBJECTIVES[kind])
    for name, tensor in one.items():
        assert torch.allclose(tensor, two[name], atol=1e-4), name


@pytest.mark.parametrize("parallel", parallel_worker.PARALLEL)
def test_a_stop_of_the_first_process_ends_all_at_the_same_step(runs: Path, parallel: str) -> None:
    """The worker asserts the steps in every process; here is what came of it on the disk."""
    run = runs / f"stopped-{parallel}"
    assert "nmse has not improved in 1 evaluation" in json.loads((run / "run.json").read_text())["stopped"]["reason"]
    assert load_model(run).codebook_size == load_model(run / "best").codebook_size == 16
