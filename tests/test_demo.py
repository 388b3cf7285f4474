"""The demo: it runs from nothing to a picture, repeats itself, and never deletes what is not its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from vqkit.errors import ConfigError
from vqkit.studies.demo import run_demo


def test_demo_runs_and_replaces_only_itself(tmp_path: Path) -> None:
    out = tmp_path / "demo-out"
    for _ in range(2):
        result = run_demo(out, 1.0, quiet=True)
        assert result.picture.is_file()
        assert result.token_items > 900
        assert result.evaluation["items"] == 96
    assert {entry.name for entry in out.iterdir()} == {"demo", "tokens", "demo.png"}


@pytest.mark.parametrize(
    "names", [["demo/main.py"], ["demo/main.py", "setup.py"], ["tokens/precious.npy"], ["notes.txt"]]
)
def test_demo_deletes_nothing_of_others(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("precious")
    with pytest.raises(ConfigError, match="not a demo"):
        run_demo(tmp_path, 1.0, quiet=True)
    assert all((tmp_path / name).read_text() == "precious" for name in names)
