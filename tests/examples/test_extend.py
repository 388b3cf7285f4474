"""Every example of a part of one's own runs as it stands, by public names only, in at most 80 lines."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "extend").glob("*.py"))
PUBLIC = re.compile(r"^(?:from|import) vqkit(\.\w+)?(?: import .*)?$")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_it_runs(
    example: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(example)])
    runpy.run_path(str(example), run_name="__main__")
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_it_is_short_and_uses_public_names(example: Path) -> None:
    lines = example.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 80
    for line in lines:
        if line.startswith(("from vqkit", "import vqkit")):
            found = PUBLIC.match(line)
            assert found, line
            assert "_" not in (found[1] or "")[:2], line
