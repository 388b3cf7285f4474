"""The demo on sound: sounds before and after, a sheet, a file; again in its place, and never in that of others."""

from __future__ import annotations

from pathlib import Path

import pytest

import vqkit
from vqkit.codec import Decompressor
from vqkit.errors import ConfigError
from vqkit.studies.speech_demo import run_speech_demo


def test_it_leaves_sounds_a_sheet_and_a_file_and_replaces_itself(tmp_path: Path) -> None:
    for _ in range(2):
        demo = run_speech_demo(tmp_path / "demo", steps=2, hidden_channels=8, quiet=True)
    assert demo.sheet.is_file()
    names = sorted(file.name for file in (demo.path / "originals").iterdir())
    assert names == sorted(file.name for file in (demo.path / "reconstructions").iterdir())
    assert len(names) == 5
    assert demo.file_bytes == demo.file.stat().st_size < demo.raw_bytes / 40
    with demo.file.open("rb") as file:
        back = list(Decompressor(vqkit.load_model(demo.path / "run")).read(file))
    assert sum(signal.values.shape[1] for signal in back) == demo.raw_bytes // 2


def test_it_deletes_nothing_of_others(tmp_path: Path) -> None:
    (tmp_path / "sheet.png").write_text("precious")
    with pytest.raises(ConfigError, match="not a demo of sound"):
        run_speech_demo(tmp_path, steps=1, quiet=True)
    assert (tmp_path / "sheet.png").read_text() == "precious"
