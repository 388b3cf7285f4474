"""Golden losses: a training gives the losses that it gave before, in float64 to 9 digits, in float32 to 4.

On the machine that wrote a file they are equal to the last bit, and so are the saved weights: with
``VQKIT_EXACT_GOLDENS=1`` (the committed file) or ``VQKIT_EXACT_GOLDENS=FILE`` (of ``tests.training.golden_losses``)
nothing less will do. A case is new or changed on purpose only: then write the file again, and say so in CHANGELOG.md.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.training.golden_losses import CASES, DTYPES, STEPS, train

pytestmark = pytest.mark.usefixtures("whole_endings")

KEPT = Path(__file__).parents[1] / "golden" / "losses.json"
EXACT = os.environ.get("VQKIT_EXACT_GOLDENS", "0")
TOLERANCES = {"float64": 1e-9, "float32": 1e-4}
"""Relative. Measured between AVX-512, AVX2, SSE and 2 threads: at most 2e-14 and 7e-6."""


FLOAT32 = ("rung/", "likelihood/", "loop/", "prior/context", "prior/pixels", "quantizer/ema", "quantizer/residual")
"""Cases of these are also run in float32 by default; all are where the goldens have to be exact."""
CASES_HERE = [
    (case, dtype)
    for case in CASES
    for dtype in DTYPES
    if dtype == "float64" or EXACT != "0" or case.startswith(FLOAT32)
]


@cache
def goldens() -> dict[str, Any]:
    kept: dict[str, Any] = json.loads((KEPT if EXACT in ("0", "1") else Path(EXACT)).read_text())
    return kept


@pytest.mark.parametrize(("case", "dtype"), CASES_HERE)
def test_a_training_gives_the_golden_losses(case: str, dtype: str) -> None:
    expected = goldens()[dtype][case]
    result = train(case, dtype)
    if EXACT != "0":
        assert result == expected
        return
    assert result.keys() == expected.keys()
    for name in [key for key in expected if key != "weights"]:
        assert result[name] == pytest.approx(expected[name], rel=TOLERANCES[dtype], abs=0), name


def test_every_registered_part_has_its_golden_losses() -> None:
    repair = f"python -m tests.training.golden_losses --write {KEPT.relative_to(Path(__file__).parents[2])}"
    for dtype in DTYPES:
        assert goldens()[dtype].keys() == CASES.keys(), repair
        steps = {case: len(golden["loss"]) for case, golden in goldens()[dtype].items() if "loss" in golden}
        assert set(steps.values()) == {STEPS}
        assert CASES.keys() - steps.keys() == {"rung/pca", "prior/histogram"}
