"""Every program of ``examples/at_home`` runs, with fewer steps, by public names only, in at most 60 lines."""

from __future__ import annotations

import re
import sys
import types
import warnings
from pathlib import Path

import pytest
import torch

EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "at_home").glob("*.py"))
PUBLIC = re.compile(r"^(?:from vqkit(?:\.[a-z][a-z_]*)? import [A-Za-z][\w, ]*|import vqkit)$")
NEEDS = {"with_accelerate": "accelerate", "with_lightning": "pytorch_lightning", "with_transformers": "transformers"}
"""These examples run where somebody has the package."""
SHORTER = [(r"\bsteps=\d{3}", "steps=20"), (r'"steps": \d+', '"steps": 20'), (r"\brange\(\d{3}\)", "range(20)")]
"""Steps of training and of loops."""


@pytest.mark.usefixtures("own_registries")
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_it_runs(
    example: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for package in [NEEDS[example.stem]] if example.stem in NEEDS else []:
        pytest.importorskip(package, reason=f"{package} is not installed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(example)])
    torch.manual_seed(0)
    text = example.read_text(encoding="utf-8")
    for pattern, replacement in SHORTER:
        text = re.sub(pattern, replacement, text)
    program = types.ModuleType("__main__")  # classes of an example are looked up in it
    monkeypatch.setitem(sys.modules, "__main__", program)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning) if example.stem not in NEEDS else None
        exec(compile(text, str(example), "exec"), vars(program))
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_it_is_short_and_uses_public_names(example: Path) -> None:
    text = example.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    for line in text.splitlines():
        if line.startswith(("from vqkit", "import vqkit")):
            assert PUBLIC.match(line), line
    assert not re.search(r"\b(?:model|vqkit|network|run|layer)(?:\.\w+)*\._[a-z]", text)
    assert f"python examples/at_home/{example.name}" in text or f"launch examples/at_home/{example.name}" in text
