"""Static types, as a person's own program sees them: a right program passes the checkers, each slip is found."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import get_type_hints

import pytest

from vqkit.training import TrainConfig, TrainSettings

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(__file__).with_name("typed_programs.py")
PYRIGHT = shutil.which("pyright")


def test_mypy_reads_the_programs() -> None:
    """With ``make lint``, which takes a second more for them; a run of its own takes a quarter of a minute."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]
    assert PROGRAMS.relative_to(ROOT).as_posix() in settings["files"]
    assert settings["strict"]  # an ignore that is not needed is an error
    assert PROGRAMS.read_text().count("# type: ignore[") == 6


@pytest.mark.skipif(PYRIGHT is None, reason="pyright is not installed (pip install pyright; it needs node)")
def test_pyright_passes_right_lines_and_finds_every_slip(tmp_path: Path) -> None:
    assert PYRIGHT is not None
    copy = tmp_path / PROGRAMS.name
    shutil.copy(PROGRAMS, copy)
    heed = {"extraPaths": [str(ROOT / "src")], "enableTypeIgnoreComments": False}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(heed))
    command = [PYRIGHT, "--pythonpath", sys.executable, "--project", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    found = sorted({int(number) for number in re.findall(rf"{copy.name}:(\d+).*\berror\b", done.stdout)})
    slips = [number + 1 for number, line in enumerate(copy.read_text().splitlines()) if "# type: ignore[" in line]
    assert found == slips, done.stdout


def test_the_keyword_arguments_are_the_settings_in_order_and_type() -> None:
    """``TrainSettings`` describes to type checkers what ``TrainConfig`` is."""
    assert list(get_type_hints(TrainSettings).items()) == list(get_type_hints(TrainConfig).items())
    assert not TrainSettings.__required_keys__
