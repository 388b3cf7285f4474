"""What ``vqkit encode`` imports: nothing that it does not need, however it is reached."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

import vqkit
from vqkit.cli.main import few_collections

HEAVY = [
    *(
        "sympy",
        "scipy",
        "pandas",
        "pyarrow",
        "datasets",
        "huggingface_hub",
        "matplotlib",
        "sklearn",
        "gradio",
        "fsspec",
    ),
    *(
        "soundfile",
        "soxr",
        "av",
        "xarray",
        "h5py",
        "zarr",
        "tifffile",
        "nibabel",
        "pydicom",
        "torchvision",
        "transformers",
    ),
    *("torch._dynamo", "torch._inductor", "torch.onnx"),
    *(
        "vqkit.codec",
        "vqkit.evaluation",
        "vqkit.export",
        "vqkit.generation",
        "vqkit.ids",
        "vqkit.lab",
        "vqkit.plotting",
    ),
    *("vqkit.results", "vqkit.studies.ladder", "vqkit.training.loop", "vqkit.training.config"),
]
MOST = 480
"""Modules of vqkit itself; it had 445 when this was written. More take time of every command: is each one needed?"""


def test_encode_imports_what_it_needs(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    np.save(tmp_path / "x.npy", pixels)
    vqkit.VQVAE(16, channels=1, hidden_channels=8).save_pretrained(tmp_path / "model")
    words = ["encode", str(tmp_path / "model"), str(tmp_path / "x.npy"), "--out", str(tmp_path / "t")]
    code = f"""
import json, sys
from vqkit.cli.main import main
sys.argv = ["vqkit", *{words!r}]
try:
    main()
finally:
    own = [name for name in sys.modules if name.split(".")[0] == "vqkit"]
    print(json.dumps([[name for name in {HEAVY!r} if name in sys.modules], len(own)]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy, own = json.loads(done.stdout.splitlines()[-1])
    assert heavy == []
    assert own <= MOST


def test_garbage_is_looked_for_as_before_after_a_command() -> None:
    before = gc.get_threshold()
    with few_collections():
        assert gc.get_threshold()[0] >= before[0]
    assert gc.get_threshold() == before
