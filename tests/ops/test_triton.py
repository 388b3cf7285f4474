"""The GPU's kernels in Triton's interpreter, against the float64 search."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")
def test_the_fused_kernels_are_exact_in_the_interpreter() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.ops.triton_worker"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all equal" in done.stdout


def test_triton_is_not_imported_before_it_is_needed(loaded: dict[str, list[str]]) -> None:
    assert "torch" in loaded["VQVAE"]
    assert "triton" not in loaded["VQVAE"]
