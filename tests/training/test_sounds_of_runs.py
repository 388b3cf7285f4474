"""Sounds of a run: callbacks are given them, TensorBoard plays them."""

from __future__ import annotations

import wave
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vqkit

RATE = 8000


class Heard(vqkit.Callback):
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.kept: list[tuple[int, str, Any, int]] = []

    def on_sound(self, step: int, name: str, samples: Any, rate: int) -> None:
        self.kept.append((step, name, samples, rate))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Heard, Any]:
    sounds = np.random.default_rng(0).uniform(-0.5, 0.5, (24, 2, 640)).astype(np.float32)
    data = vqkit.load_source(sounds, kind=f"sound@{RATE}")
    model = vqkit.VQVAE.for_source(data, 8, hidden_channels=4, residual_channels=4, code_dim=4, downsampling=4)
    heard, out = Heard(), tmp_path_factory.mktemp("run") / "run"
    settings = {"steps": 4, "batch_size": 4, "evaluations": 2, "callbacks": [heard], "quiet": True}
    return vqkit.train(model, data, out=out, **settings), heard, data


def test_the_first_originals_and_reconstructions_are_told(run: tuple[Any, Heard, Any]) -> None:
    finished, heard, _ = run
    last = [each for each in heard.kept if each[0] == 4]
    assert [name for _, name, _, _ in last[:4]] == ["original/0", "reconstruction/0", "original/1", "reconstruction/1"]
    held_out = vqkit.load_source(np.stack([last[0][2]]), kind=f"sound@{RATE}")
    again = finished.model().reconstruct(held_out)[0].numpy()
    assert np.allclose(last[1][2], again, atol=1e-6)
    assert {rate for _, _, _, rate in heard.kept} == {RATE}
    assert {step for step, _, _, _ in heard.kept} == {2, 4}


def test_tensorboard_plays_them(run: tuple[Any, Heard, Any]) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    finished, heard, _ = run
    found = events.EventAccumulator(str(Path(finished.path) / "tensorboard"), {events.AUDIO: 0}).Reload()
    assert "sounds/original/0" in found.Tags()["audio"]
    with wave.open(BytesIO(found.Audio("sounds/original/0")[-1].encoded_audio_string)) as played:
        assert played.getframerate() == RATE
        samples = np.frombuffer(played.readframes(640), "<i2") / 32767
    assert np.allclose(samples, heard.kept[0][2].mean(axis=0), atol=1e-4)
