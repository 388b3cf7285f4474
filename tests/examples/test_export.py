"""The programs of ``examples/export``: tokens and pictures of a model without vqkit, in Python and in Node."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import vqkit
from tests.models.cases import SMALL

pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
EXAMPLES = Path(__file__).parents[2] / "examples" / "export"
WEB = os.environ.get("VQKIT_NODE_MODULES", "")
"""A folder ``node_modules`` with onnxruntime-web."""


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    torch.manual_seed(0)
    model = vqkit.VQVAE(16, channels=3, downsampling=2, **SMALL).eval()
    folder = tmp_path_factory.mktemp("export") / "graphs"
    vqkit.export_model(model, folder)
    return folder, model


def _picture() -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)


def test_python_with_onnxruntime_alone(graphs: tuple[Path, Any], tmp_path: Path) -> None:
    folder, model = graphs
    pixels = _picture()
    Image.fromarray(pixels).save(tmp_path / "in.png")
    words = [str(folder), str(tmp_path / "in.png"), str(tmp_path / "out.png")]
    code = "import runpy, sys; sys.modules['torch'] = sys.modules['vqkit'] = None; "
    code += f"sys.argv[1:] = {words!r}; runpy.run_path({str(EXAMPLES / 'python_onnx.py')!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("20 indices of 16")
    there = model.reconstruct(pixels)[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(np.asarray(Image.open(tmp_path / "out.png")) - there).max() < 1


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@pytest.mark.skipif(not WEB, reason="VQKIT_NODE_MODULES names no folder with onnxruntime-web (npm install)")
def test_node_with_onnxruntime_web(graphs: tuple[Path, Any], tmp_path: Path) -> None:
    folder, model = graphs
    pixels = _picture()
    (tmp_path / "node_modules").symlink_to(WEB)
    shutil.copy(EXAMPLES / "node_onnx.mjs", tmp_path)
    words = ["node", str(tmp_path / "node_onnx.mjs"), str(folder), "7", "9"]
    done = subprocess.run(words, input=pixels.tobytes(), capture_output=True, check=True)
    assert json.loads(done.stderr.splitlines()[-1]) == model.encode(pixels).flatten().tolist()
    there = model.reconstruct(pixels)[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(np.frombuffer(done.stdout, np.uint8).reshape(7, 9, 3) - there).max() < 1
