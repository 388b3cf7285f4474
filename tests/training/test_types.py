"""Static types, as a person's own program sees them: a right program passes the checkers, each slip is found."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest

from vqkit.training import TrainConfig, TrainSettings

ROOT = Path(__file__).parents[2]
RIGHT = """
import torch

import vqkit

data = vqkit.load_source("digits")
settings: vqkit.training.TrainSettings = {"steps": 10, "schedule": lambda progress, step: 1 - progress}
vqkit.train(vqkit.VQVAE.for_source(data, 16), data, **settings)
run = vqkit.train(vqkit.PCA(4), data, batch_size=8, patience=2, best_by="nmse")
vqkit.resume(run.path, steps=20, callbacks=vqkit.Callback())
quantized, indices, loss = vqkit.quantizers.EMAVectorQuantizer(16, 4)(torch.randn(2, 4, 5))
layer = vqkit.quantizers.ChannelsLast(vqkit.VectorQuantizer(16, 4))
total: torch.Tensor = vqkit.VQVAE(16)(torch.zeros(2, 1, 8, 8)).loss + loss + layer(quantized.movedim(1, 2)).loss
nats: torch.Tensor = vqkit.TransformerPrior(16, (5,))(indices).metrics["nats_per_index"]
"""
WRONG = {
    "step": "vqkit.train(model, data, step=10)",
    "learningrate": "vqkit.resume('runs/a', learningrate=0.1)",
    '"ten"': 'vqkit.train(model, data, steps="ten")',
    "los": "print(model(data).los)",
    "indexes": "print(vqkit.VectorQuantizer(16, 4)(torch.zeros(2, 4, 5)).indexes)",
    "codebooksize": "vqkit.VQVAE(codebooksize=16)",
}
"""A line that is wrong, by the word that a checker has to complain of."""
HEAD = "import torch\n\nimport vqkit\n\ndata = vqkit.load_source('digits')\nmodel = vqkit.VQVAE.for_source(data, 16)\n"
PYRIGHT = shutil.which("pyright")


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("programs")
    right, wrong = folder / "right.py", folder / "wrong.py"
    right.write_text(RIGHT)
    wrong.write_text(HEAD + "\n".join(WRONG.values()) + "\n")
    return right, wrong


def complaints(output: str, file: Path) -> list[int]:
    """The numbers of the lines of a file that a checker calls wrong."""
    return sorted({int(number) for number in re.findall(rf"{file.name}:(\d+).*\berror\b", output)})


def wrong_lines(file: Path) -> list[int]:
    lines = file.read_text().splitlines()
    return [number + 1 for number, line in enumerate(lines) if line in WRONG.values()]


def test_mypy_passes_a_right_program_and_finds_every_slip(programs: tuple[Path, Path]) -> None:
    right, wrong = programs
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), str(right), str(wrong)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert complaints(done.stdout, wrong) == wrong_lines(wrong), done.stdout
    assert complaints(done.stdout, right) == [], done.stdout


@pytest.mark.skipif(PYRIGHT is None, reason="pyright is not installed (pip install pyright; it needs node)")
def test_pyright_passes_a_right_program_and_finds_every_slip(programs: tuple[Path, Path]) -> None:
    assert PYRIGHT is not None
    right, wrong = programs
    (right.parent / "pyrightconfig.json").write_text(json.dumps({"extraPaths": [str(ROOT / "src")]}))
    command = [PYRIGHT, "--pythonpath", sys.executable, "--project", str(right.parent)]
    done = subprocess.run(command, cwd=right.parent, capture_output=True, text=True, check=False)
    assert complaints(done.stdout, wrong) == wrong_lines(wrong), done.stdout
    assert complaints(done.stdout, right) == [], done.stdout


def test_the_keyword_arguments_are_the_settings_in_order_and_type() -> None:
    """``TrainSettings`` describes to type checkers what ``TrainConfig`` is."""
    assert list(get_type_hints(TrainSettings).items()) == list(get_type_hints(TrainConfig).items())
    assert not TrainSettings.__required_keys__
