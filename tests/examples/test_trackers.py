"""Every program of ``examples/trackers`` runs where its tracker is installed, and what it logged is read back."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "trackers"
NEEDS = {"wandb_offline": "wandb", "mlflow_local": "mlflow", "trackio_local": "trackio"}


@pytest.mark.parametrize("name", NEEDS)
def test_it_logs_the_losses_to_this_machine(name: str, tmp_path: Path) -> None:
    pytest.importorskip(NEEDS[name], reason=f"{NEEDS[name]} is not installed")
    silent = {"WANDB_MODE": "offline", "TRACKIO_DIR": str(tmp_path / "trackio"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, FOLDER / f"{name}.py"], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, **silent, "WANDB_SILENT": "true"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "logged " in done.stdout
    files = [file for file in tmp_path.rglob("*") if file.suffix in (".wandb", ".db")]
    assert any(b"train/loss" in file.read_bytes() for file in files), files


@pytest.mark.parametrize("name", NEEDS)
def test_it_is_short_and_there_is_no_other(name: str) -> None:
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    assert f"python examples/trackers/{name}.py" in text
    assert not re.search(r"\bfrom vqkit\.\w+\._|\bvqkit\._", text)
    assert {file.stem for file in FOLDER.glob("*.py")} == set(NEEDS)
