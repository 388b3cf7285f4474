"""The demo on sound: sounds before and after, a sheet, a file; again in its place, and never in that of others."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

import vqkit
from vqkit.codec import Decompressor
from vqkit.errors import ConfigError
from vqkit.studies import speech_demo
from vqkit.studies.speech_demo import run_speech_demo


def test_it_leaves_sounds_a_sheet_and_a_file_and_replaces_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speech_demo, "_KBPS", (0.5, 1.0))  # two codebooks in place of six
    earlier = tmp_path / "demo" / "originals" / "earlier.wav"
    earlier.parent.mkdir(parents=True)
    for file in (earlier, tmp_path / "demo" / "sheet.png", tmp_path / "demo" / "demo.json"):
        file.write_text("{}")
    told: list[str] = []
    demo = run_speech_demo(tmp_path / "demo", steps=1, hidden_channels=8, quiet=True, say=told.append)
    assert told[0].startswith("training for 1 step on 5 mono sounds")
    assert {entry.name for entry in demo.path.iterdir()} == speech_demo._OWN  # all of it goes when it is run again
    with Image.open(demo.sheet) as sheet:
        assert sheet.width > 200
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
