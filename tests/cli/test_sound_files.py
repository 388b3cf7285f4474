"""Sounds on the command line: compressed with their names, restored as sound files, reconstructed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import vqkit
from vqkit.cli.main import app
from vqkit.errors import ConfigError, WrongModelError
from vqkit.signals import Sound

soundfile = pytest.importorskip("soundfile", reason="sound files need soundfile")
LENGTHS = {"talk/a.wav": 4321, "talk/b.flac": 800, "one.wav": 1, "silence.wav": 2000}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a stereo model at 8 kHz, a folder of sounds, and of damaged ones."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    net = {"type": "seanet", "config": {"strides": [4, 5], "hidden_channels": 4}}
    model = vqkit.VQVAE(16, axes=1, channels=2, code_dim=4, encoder=net, decoder=net, kind="sound@8000")
    model.save_pretrained("model")
    generator = np.random.default_rng(0)
    (tmp_path / "in" / "talk").mkdir(parents=True)
    for name, length in LENGTHS.items():
        samples = np.zeros((2, length)) if name == "silence.wav" else generator.uniform(-0.5, 0.5, (2, length))
        Sound(8000).write(samples.astype(np.float32), tmp_path / "in" / name)
    Sound(8000).write(np.zeros((2, 0), np.float32), tmp_path / "in" / "empty.wav")
    return tmp_path


def run(command: str) -> str:
    result = CliRunner().invoke(app, command.split())
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def refused(command: str) -> str:
    """The message of a mistake, which the program says in one line with status 2."""
    error = CliRunner().invoke(app, command.split()).exception
    assert isinstance(error, ConfigError)
    return str(error)


def lengths(folder: str) -> dict[str, tuple[int, int, int]]:
    found = {path.relative_to(folder).as_posix(): soundfile.info(path) for path in sorted(Path(folder).rglob("*.*"))}
    return {name: (about.samplerate, about.channels, about.frames) for name, about in found.items()}


def test_names_rates_and_lengths_come_back(place: Path) -> None:
    assert "skipped empty.wav: no samples in it" in run("compress in -m model -o a.vqk")
    assert "4 signals" in run("inspect a.vqk")
    run("decompress a.vqk -m model -o out")
    expected = {Path(name).with_suffix(".wav").as_posix(): (8000, 2, length) for name, length in LENGTHS.items()}
    assert lengths("out") == expected
    run("decompress a.vqk -m model -o out2 --format flac")
    assert lengths("out2") == {name.replace(".wav", ".flac"): about for name, about in expected.items()}
    for name in expected:
        flac, _ = soundfile.read(place / "out2" / name.replace(".wav", ".flac"), dtype="int16")
        wav, _ = soundfile.read(place / "out" / name, dtype="int16")
        assert np.array_equal(flac, wav)


def test_kbps_are_those_of_the_files(place: Path) -> None:
    run("compress in -m model -o a.vqk --prior none")
    plain, told = run("inspect a.vqk"), run("inspect a.vqk -m model --json i.json")
    assert "kbps" not in plain
    seconds = sum(LENGTHS.values()) / 8000
    size = Path("a.vqk").stat().st_size
    kbps = json.loads(Path("i.json").read_text())["kbps"]
    frames = sum(-(-length // 20) for length in LENGTHS.values())
    assert kbps["nominal"] == pytest.approx(4 * frames / seconds / 1000)
    assert kbps["file"] == pytest.approx(8 * size / seconds / 1000)
    assert kbps["indices"] <= kbps["nominal"] < kbps["file"]
    assert f"the file {size:,} bytes" in told
    assert f"{kbps['file']:.3f} kbps" in told
    vqkit.VQVAE(16, hidden_channels=8).save_pretrained("images")
    with pytest.raises(WrongModelError):
        CliRunner().invoke(app, ["inspect", "a.vqk", "-m", "images"], catch_exceptions=False)
    table = run("eval model in/talk --json e.json")
    (rate,) = json.loads(Path("e.json").read_text())["rates"]
    run("compress in/talk -m model -o b.vqk")
    named = sum(map(len, ("a.wav", "b.flac"))) + 2  # eval's file has no names
    expected = 8 * (Path("b.vqk").stat().st_size - named) / (5121 / 8000) / 1000
    assert rate["file"] == pytest.approx(
        expected, abs=8 * 6 / (5121 / 8000) / 1000
    )  # and some bytes of how they differ
    assert "file kbps" in table


def test_one_sound_comes_back_as_a_file(place: Path) -> None:
    run("compress in/talk/b.flac -m model -o b.vqk")
    run("decompress b.vqk -m model -o b.wav")
    run("decompress b.vqk -m model -o b.flac")
    assert soundfile.info("b.wav").frames == soundfile.info("b.flac").frames == 800
    assert "name a folder, not a .png" in refused("decompress b.vqk -m model -o b.png")
    assert ".wav or .flac" in refused("decompress b.vqk -m model -o b.mp3")
    assert "wav or flac" in refused("decompress b.vqk -m model -o c --format ogg")
    assert "OUT.vqk" in refused("compress in/talk/b.flac -m model -o b.ogg")


def test_reconstructions_are_sounds_and_a_sheet(place: Path) -> None:
    run("reconstruct model in --files made --format flac -o sheet.png")
    assert lengths("made") == {
        "one.flac": (8000, 2, 1),
        "talk/a.flac": (8000, 2, 4321),
        "talk/b.flac": (8000, 2, 800),
    }
    assert (place / "sheet.png").read_bytes().startswith(b"\x89PNG")
    from vqkit.storage.marks import is_made

    assert is_made(place / "made" / "talk", {"a.flac", "b.flac"})


@pytest.mark.parametrize(
    "command",
    ["compress in/talk -m mono -o a.vqk", "encode mono in/talk --out t --format parquet", "eval mono in/talk"],
)
def test_stereo_for_a_mono_model_is_mixed_down_with_a_word(place: Path, command: str) -> None:
    net = {"type": "seanet", "config": {"strides": [4, 5], "hidden_channels": 4}}
    model = vqkit.VQVAE(16, axes=1, channels=1, code_dim=4, encoder=net, decoder=net, kind="sound@8000")
    model.save_pretrained("mono")
    assert run(command).count("note: 2 of 2 sounds: 2 channels mixed down to 1") == 1
