"""Random loudness in training: within its bounds, without clipping, and nothing else changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import vqkit
from tests.data.sounds.files import tones
from vqkit.data import Batches
from vqkit.errors import ConfigError

SOUNDS = np.stack([tones(0.5, 8_000, seed=seed) * (1.6 if seed == 0 else 0.1) for seed in range(8)])


@pytest.mark.parametrize("crop", [None, 600])
def test_gain_is_uniform_in_decibels_and_never_clips(crop: int | None) -> None:
    source = vqkit.load_source(SOUNDS, kind="sound@8000")
    plain, loud = (Batches(source, 8, crop=crop, seed=1, gain=gain) for gain in (0.0, 12.0))
    found = []
    for step in range(40):
        before, after = plain.batch(step).numpy(), loud.batch(step).numpy()
        assert np.abs(after).max() <= 1
        for item, changed in zip(before, after, strict=True):
            factor = float(np.abs(changed).max() / np.abs(item).max())
            assert np.allclose(changed, item * factor, atol=1e-6)
            if np.abs(item).max() < 10 ** (-12 / 20):  # has room for all of the gain
                found.append(20 * np.log10(factor))
    assert np.abs(found).max() <= 12.001
    assert abs(np.mean(found)) < 1.5
    assert abs(np.std(found) - 24 / np.sqrt(12)) < 1


def test_it_depends_on_the_step_alone_and_is_shared() -> None:
    source = vqkit.load_source(SOUNDS, kind="sound@8000")
    whole = Batches(source, 4, crop=300, seed=5, gain=6).batch(7)
    parts = [Batches(source, 4, crop=300, seed=5, gain=6, rank=rank, world=2).batch(7) for rank in (0, 1)]
    assert np.array_equal(whole, np.concatenate(parts))


def test_it_is_refused_where_it_means_nothing(tmp_path: Path) -> None:
    digits = vqkit.load_source("builtin:digits")
    with pytest.raises(ConfigError, match=r"gain=6 .*images"):
        Batches(digits, 4, gain=6)
    with pytest.raises(ConfigError, match="gain=-1"):
        Batches(vqkit.load_source(SOUNDS, kind="sound"), 4, gain=-1)
    model = vqkit.VQVAE.for_source(vqkit.load_source(SOUNDS, kind="sound"), codebook_size=8, hidden_channels=8)
    settings = {"steps": 2, "batch_size": 2, "quiet": True, "tensorboard": False}
    run = vqkit.train(model, vqkit.load_source(SOUNDS, kind="sound"), out=tmp_path / "run", gain=6.0, **settings)
    assert run.evaluation is not None
    assert '"gain": 6.0' in (tmp_path / "run" / "run.json").read_text()
