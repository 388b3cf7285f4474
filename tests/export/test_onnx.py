"""Graphs in ONNX Runtime: the indices of the model, also in the programs of ``examples/export`` (Python, Node)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import vqkit
from tests.models.cases import SMALL, signals
from vqkit.export import Export, export_model

pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
EXAMPLES = Path(__file__).parents[2] / "examples" / "export"
WEB = os.environ.get("VQKIT_NODE_MODULES", "")
"""A folder ``node_modules`` with onnxruntime-web."""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Export, vqkit.VQVAE]]:
    """The graphs of a model with a quantizer, which are written once, and the model."""
    known: dict[str, tuple[Export, vqkit.VQVAE]] = {}

    def graphs(quantizer: str) -> tuple[Export, vqkit.VQVAE]:
        if quantizer not in known:
            torch.manual_seed(0)
            model = vqkit.VQVAE(64, channels=3, quantizer=quantizer, downsampling=2, **SMALL)
            model.prepare([signals(8, 3, 2, size=(8, 8))])
            data = signals(6, 3, 2, size=(7, 9)).numpy()
            known[quantizer] = (
                export_model(model.eval(), tmp_path_factory.mktemp("export") / "graphs", data=data),
                model,
            )
        return known[quantizer]

    return graphs


@pytest.mark.parametrize(
    "quantizer", ["fsq", *(pytest.param(name, marks=pytest.mark.slow) for name in ("lfq", "simvq", "gradient"))]
)
def test_onnx_runtime_computes_the_same_indices(quantizer: str, exported: Any) -> None:
    found, _ = exported(quantizer)
    assert found.differences.indices == 6 * 4 * 5
    assert found.differences.others == 0
    assert found.differences.signal_error is not None
    assert found.differences.signal_error < 1e-5
    said = json.loads((found.folder / "export.json").read_text())
    assert said["graphs"]["encoder"]["inputs"] == {"signals": ["batch", 3, "height", "width"]}
    assert said["graphs"]["decoder"]["inputs"] == {"indices": ["batch", "rows", "columns"]}
    import onnx

    kept = {each.key: each.value for each in onnx.load(found.folder / "encoder.onnx").metadata_props}
    assert kept["model_digest"] == said["model"]["digest"]


def _picture() -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)


def test_python_with_onnxruntime_alone(exported: Any, tmp_path: Path) -> None:
    found, model = exported("fsq")
    folder = found.folder
    pixels = _picture()
    Image.fromarray(pixels).save(tmp_path / "in.png")
    words = [str(folder), str(tmp_path / "in.png"), str(tmp_path / "out.png")]
    code = "import runpy, sys; sys.modules['torch'] = sys.modules['vqkit'] = None; "
    code += f"sys.argv[1:] = {words!r}; runpy.run_path({str(EXAMPLES / 'python_onnx.py')!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("20 indices of 64")
    there = model.reconstruct(pixels)[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(np.asarray(Image.open(tmp_path / "out.png")) - there).max() < 1


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@pytest.mark.skipif(not WEB, reason="VQKIT_NODE_MODULES names no folder with onnxruntime-web (npm install)")
def test_node_with_onnxruntime_web(exported: Any, tmp_path: Path) -> None:
    found, model = exported("fsq")
    folder = found.folder
    pixels = _picture()
    (tmp_path / "node_modules").symlink_to(WEB)
    shutil.copy(EXAMPLES / "node_onnx.mjs", tmp_path)
    words = ["node", str(tmp_path / "node_onnx.mjs"), str(folder), "7", "9"]
    done = subprocess.run(words, input=pixels.tobytes(), capture_output=True, check=True)
    assert json.loads(done.stderr.splitlines()[-1]) == model.encode(pixels).flatten().tolist()
    there = model.reconstruct(pixels)[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(np.frombuffer(done.stdout, np.uint8).reshape(7, 9, 3) - there).max() < 1
