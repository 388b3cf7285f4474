"""Recordings of the world, where they are at hand (``VQKIT_TEST_DATA``, or ``shared/data`` beside the repository)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import vqkit
from vqkit.signals import Sound

DATA = Path(os.environ.get("VQKIT_TEST_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
pytestmark = pytest.mark.skipif(
    not (DATA / "fsdd").is_dir(), reason="no real recordings here (VQKIT_TEST_DATA names their folder)"
)
SETS = {
    "speech_16k": (165, 1, 16_000, 1390.59),
    "speech_48k": (32, 1, 48_000, 101.93),
    "music_44k": (23, 1, 44_100, 105.91),
    "orchestra_44k": (1, 2, 44_100, 45.84),
    "environment_44k": (30, 1, 44_100, 152.33),
    "fsdd/wav": (24, 1, 8_000, 10.70),
    "fsdd/train": (2_700, 1, 8_000, 1183.05),
}


@pytest.mark.parametrize("name", SETS)
def test_all_of_it_is_read(name: str) -> None:
    items, channels, rate, seconds = SETS[name]
    source = vqkit.load_source(DATA / name, memory_limit="500MB")
    assert (len(source), source.channels, source.kind, source.skipped) == (items, channels, Sound(rate), [])
    assert float(source.item_sizes().sum()) / rate == pytest.approx(seconds, abs=0.01)


def test_labels_and_another_rate() -> None:
    source = vqkit.load_source(DATA / "environment_44k", kind="sound@16k", labels="labels.json")
    assert source.class_names is not None
    assert (len(source.class_names), source.kind) == (10, Sound(16_000))
    assert vqkit.load_source(DATA / "fsdd/train", labels="speaker").class_names == [
        "george", "jackson", "lucas", "nicolas", "theo", "yweweler",
    ]  # fmt: skip
