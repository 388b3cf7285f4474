"""The demo: it runs from nothing to a picture, repeats itself, and never deletes what is not its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from vqkit.errors import ConfigError
from vqkit.studies.demo import run_demo
from vqkit.studies.settings import CompareConfig

QUICK = CompareConfig(
    codebook_size=8, code_dim=4, downsampling=2, hidden_channels=8, steps=5, prior_steps=3, prior_channels=8,
    prior_layers=1, samples=32,
)  # fmt: skip


def test_demo_runs_and_replaces_only_itself(tmp_path: Path) -> None:
    out = tmp_path / "demo-out"
    for _ in range(2):
        result = run_demo(out, config=QUICK, quiet=True)
        assert result.picture.is_file()
        assert result.report.is_file()
        assert [rung["status"] for rung in result.document["rungs"]] == ["done"] * 4


@pytest.mark.parametrize(
    "names", [["pca/main.py"], ["settings.json", "vae/main.py"], ["pictures/me.png"], ["settings.json", "notes.txt"]]
)
def test_demo_deletes_nothing_of_others(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("precious")
    with pytest.raises(ConfigError, match="not a demo"):
        run_demo(tmp_path, config=QUICK, quiet=True)
    assert all((tmp_path / name).read_text() == "precious" for name in names)
