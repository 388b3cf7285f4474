"""The first part of the demo: a photograph and a voice, with stand-ins for the models."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pretrained.standins import write_standins
from vqkit.errors import ConfigError
from vqkit.pretrained import reference
from vqkit.studies import first_look


def test_a_photograph_and_a_voice_are_shown_with_their_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "WEIGHTS", tmp_path / "weights")
    out = tmp_path / "demo-first"
    assert first_look.look_first(out) == []
    assert not out.exists()
    write_standins(tmp_path / "weights")
    monkeypatch.setattr(first_look, "_KBPS", 1.0)
    for _ in range(2):  # the second time what is there is replaced
        photo, voice = first_look.look_first(out)
    assert {each.name for each in out.iterdir()} == first_look._OWN
    assert photo.raw_bytes == 448 * 256 * 3
    assert photo.tokens == 2 * 112 * 64
    assert photo.file_bytes == (out / "photo.vqk").stat().st_size
    assert "JPEG" in photo.lines()[1]
    assert voice.file_bytes == (out / "voice.vqk").stat().st_size
    assert "kbps" in voice.about
    (out / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="not a first look"):
        first_look.look_first(out)
