"""Commands that no model is named to: the one that comes with the package is taken, and said."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.cli.cases import refused
from tests.pretrained.standins import write_standins
from vqkit.cli.choosing import kind_of
from vqkit.pretrained import reference
from vqkit.signals import signal_kind


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(reference, "WEIGHTS", tmp_path / "weights")
    write_standins(tmp_path / "weights")
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (20, 24, 3), dtype=np.uint8)).save("cat.png")
    sound = (0.1 * rng.standard_normal((1, 4000))).astype(np.float32)
    signal_kind("sound@16000").write(sound, Path("voice.wav"), durable=False)
    return place


def test_a_photo_becomes_a_file_and_comes_back(vq: Any, here: Path) -> None:
    done = vq("compress", "cat.png", "-o", "cat.vqk")
    assert done.status == 0, done.err
    assert "model: photo" in done.err
    assert "--model" not in done.out
    shown = vq("inspect", "cat.vqk")
    assert "(photo, which comes with vqkit)" in shown.out
    Path("other").mkdir()
    done = vq("decompress", "cat.vqk", "-o", "other/cat.png")
    assert done.status == 0, done.err
    assert Image.open("other/cat.png").size == (24, 20)
    refused(vq("decompress", "cat.vqk"), "cat.png is there already")
    Path("cat.png").rename("old.png")
    assert vq("decompress", "cat.vqk").status == 0
    assert Path("cat.png").read_bytes() == Path("other/cat.png").read_bytes()


def test_a_voice_becomes_a_file_and_comes_back(vq: Any, here: Path) -> None:
    done = vq("compress", "voice.wav", "-o", "voice.vqk", "--codebooks", "2")
    assert done.status == 0, done.err
    assert "model: speech" in done.err
    assert "kbps" in vq("inspect", "voice.vqk").out
    assert vq("decompress", "voice.vqk", "-o", "back.wav").status == 0
    refused(vq("decompress", "voice.vqk"), "voice.wav is there already")
    Path("voice.wav").rename("old.wav")
    assert "1 signal: voice.wav" in vq("decompress", "voice.vqk").out
    assert Path("voice.wav").read_bytes() == Path("back.wav").read_bytes()


def test_encode_reconstruct_and_eval_take_data_alone(vq: Any, here: Path) -> None:
    done = vq("encode", "cat.png")
    assert done.status == 0, done.err
    assert "model: photo" in done.err
    assert Path("cat-tokens/tokens.json").is_file()
    assert "decode photo cat-tokens" in done.out
    assert vq("encode", "cat.png").status == 0
    assert Path("cat-tokens-2/tokens.json").is_file()
    assert vq("reconstruct", "cat.png", "-o", "sheet.png").status == 0
    done = vq("eval", "voice.wav")
    assert done.status == 0, done.err
    assert vq("decode", "photo", "cat-tokens", "-o", "back").status == 0


def test_what_no_model_fits_is_refused_and_lists_them(vq: Any, here: Path) -> None:
    np.save("rows.npy", np.zeros((4, 3), np.float32))
    refused(vq("compress", "rows.npy", "-o", "a.vqk"), "photo (of image), speech (of sound)")
    refused(vq("compress", "cat.png", "voice.wav", "-o", "a.vqk"), "image and sound")
    refused(vq("encode", "photo"), "name the DATA too")
    refused(vq("reconstruct", "photo"), "name the DATA")
    shutil.move("../weights/photo", "../photo")
    done = vq("compress", "cat.png", "-m", "../photo", "-o", "a.vqk")
    assert done.status == 0, done.err
    assert "model:" not in done.err
    refused(vq("decompress", "a.vqk", "-o", "b.png"), "none of those that come")


def test_a_folder_called_photo_is_said_and_not_taken_for_the_model(vq: Any, here: Path) -> None:
    shutil.copytree("../weights/speech", "photo")
    done = vq("compress", "cat.png", "-o", "a.vqk")
    assert done.status == 0, done.err
    done = vq("info", "photo")
    assert "sound@16000" in done.out
    assert "builtin:photo" in done.err
    assert "of 2 axes" in vq("info", "builtin:photo").out
    done = vq("compress", "voice.wav", "-m", "photo", "-o", "b.vqk")
    assert "builtin:photo" in done.err
    assert "UserWarning" not in done.err


def test_models_are_listed(vq: Any, here: Path) -> None:
    done = vq("models")
    assert done.status == 0
    for word in ("photo: photographs", "20 dB", "speech: speech", "1 to 4 kbps", "CC0", "bytes", "README.md"):
        assert word in done.out
    shutil.rmtree("../weights")
    assert "no models came" in vq("models").out


def test_kinds_are_told_by_names_folders_and_words(here: Path) -> None:
    Path("talks/a").mkdir(parents=True)
    shutil.copy("voice.wav", "talks/a")
    assert kind_of("talks") == "sound"
    assert kind_of("*.png") == "image"
    assert kind_of("sound:rows.npy") == "sound"
    assert kind_of("digits") == kind_of("builtin:photos") == "image"
    assert kind_of("builtin:speech") == "sound"
    assert kind_of("rows.npy") is None


def test_of_two_names_the_first_is_said_to_be_no_model(vq: Any, here: Path) -> None:
    Path("cats").mkdir()
    shutil.copy("cat.png", "cats")
    for command in (["encode"], ["encode", "--out", "tokens"], ["eval"], ["reconstruct", "--out", "sheet.png"]):
        refused(vq(*command, "cat.png", "cat.vqk"), "cat.png is no model", "name cat.png alone")
    refused(vq("encode", "cats", "cat.vqk"), "cats is no model")
    refused(vq("encode", "photo", "cat.png"), "--out is missing")
