"""The ladder on sound: the same comparison, pictures of spectrograms, and sounds to be played."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import vqkit
from tests.results.cases import check
from vqkit.data import ArraySource
from vqkit.signals import Sound, signal_kind
from vqkit.studies.seen import as_image_source, as_images, shown

RATE = 8000


def _tones(count: int, length: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 2
    pitch = (0.05 + 0.15 * labels + 0.02 * rng.uniform(size=count))[:, None]
    return (0.4 * np.sin(2 * np.pi * pitch * np.arange(length))).astype(np.float32)[:, None], labels


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Any:
    sounds, labels = _tones(100, 1100)
    data = ArraySource(sounds, name="tones", labels=labels, kind=Sound(RATE))
    small = {"steps": 2, "hidden_channels": 4, "residual_channels": 4, "code_dim": 4, "codebook_size": 16}
    more = {"prior_channels": 8, "prior_layers": 1, "batch_size": 8, "validation": "last:40", "samples": 40}
    return vqkit.compare(data, tmp_path_factory.mktemp("c") / "compare", features="random", quiet=True, **small, **more)


def test_every_rung_is_judged_at_the_budget(study: Any) -> None:
    document = study.document
    check("compare", document)
    assert document["settings"]["downsampling"] == 64
    assert document["budget_bits"] == 18 * 4
    assert document["data"]["raw_bits"] == 16 * 1100
    for rung in document["rungs"]:
        assert rung["status"] == "done", rung["error"]
        assert rung["ssim"] is None
        assert rung["frechet_samples"] > 0
        assert rung["linear_probe_accuracy"] is not None
    vqvae = document["rungs"][-1]
    assert vqvae["latent_bits"] == 72
    assert vqvae["psnr_db"] == pytest.approx(10 * np.log10(4 / vqvae["mse"]))  # of a range of 2


def test_the_page_shows_spectrograms_and_plays_sounds(study: Any) -> None:
    text = study.report.read_text(encoding="utf-8")
    assert len(re.findall("<audio ", text)) == 2 * (1 + 2 * 4)
    with Image.open(study.picture) as picture:
        assert picture.width > 200
    assert len(list((study.path / "sounds").glob("*.wav"))) == 18


def test_signals_as_images() -> None:
    sounds, labels = _tones(6, 1000)
    source = ArraySource(sounds, name="tones", labels=labels, kind=Sound())
    images = as_image_source(source)
    assert images.kind == signal_kind("image")
    assert images.channels == 1
    assert np.array_equal(images.labels, labels)
    one = as_images(Sound(), torch.from_numpy(sounds))[1, 0]
    assert one.shape == (129, 16)
    assert abs(int(one[:, 8].argmax()) - 0.2 * 256) <= 3  # the bin of the tone
    assert one.max() <= 1
    assert [each.size for each in shown(Sound(), torch.from_numpy(sounds))] == [(1000, 129)] * 6  # type: ignore[union-attr]
    pictures = torch.rand(2, 3, 4, 4)
    assert as_images(signal_kind("image"), pictures) is pictures
