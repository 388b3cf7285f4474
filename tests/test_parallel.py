"""Two gloo processes give the same run as one with twice the batch per process: DDP, FSDP2, and resume."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from vqkit.models import load_model

WORKER = Path(__file__).with_name("parallel_worker.py")


def launch(processes: int, *arguments: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    started = []
    for rank in range(processes):
        own = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes)}
        command = [sys.executable, str(WORKER), *arguments]
        started.append(
            subprocess.Popen(command, env={**environment, **own}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        )
    outputs = [process.communicate(timeout=240)[0].decode() for process in started]
    assert all(process.returncode == 0 for process in started), "\n".join(outputs)


def largest_difference(a: Path, b: Path) -> float:
    one, other = load_model(a).state_dict(), load_model(b).state_dict()
    assert one.keys() == other.keys()
    return max(float((one[name].double() - other[name].double()).abs().max()) for name in one)


@pytest.mark.parametrize("kind", ["ema", "gradient"])
def test_ddp_equals_one_process(tmp_path: Path, kind: str) -> None:
    launch(1, str(tmp_path / "one"), "ddp", "15", kind)
    launch(2, str(tmp_path / "two"), "ddp", "15", kind)
    assert largest_difference(tmp_path / "one", tmp_path / "two") < 1e-4


def test_fsdp_equals_one_process_and_its_checkpoint_resumes(tmp_path: Path) -> None:
    launch(1, str(tmp_path / "one"), "ddp", "12", "ema")
    launch(2, str(tmp_path / "two"), "fsdp", "12", "ema")
    assert largest_difference(tmp_path / "one", tmp_path / "two") < 1e-4
    before = {name: t.clone() for name, t in load_model(tmp_path / "two").state_dict().items()}
    launch(2, str(tmp_path / "two"), "fsdp", "12", "resume")  # at its end already: saves the same model again
    after = load_model(tmp_path / "two").state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
