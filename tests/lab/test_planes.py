"""Planes through latent spaces, by other formulas than the code's; ladders found, trained and opened."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

import vqkit
from vqkit.errors import DataError
from vqkit.lab.acts.ladder import ladders
from vqkit.lab.acts.ladder.ladders import SMALL, Training, is_trained, ladders_in, open_ladder
from vqkit.models import Model
from vqkit.studies.play.planes import LatentPlane, source_of_samples

TINY = replace(SMALL, hidden_channels=4, residual_channels=2, steps=2, prior_steps=2, prior_layers=1, prior_channels=4)


def digits(count: int = 60) -> Tensor:
    return torch.from_numpy(vqkit.load_source("builtin:digits").gather(range(count)))


def pca() -> Model:
    model = vqkit.PCA(8, size=(8, 8), channels=1)
    model.fit(lambda: [digits()])
    return model.eval()


def vqvae() -> Model:
    torch.manual_seed(0)
    model = vqkit.VQVAE(16, channels=1, hidden_channels=4, residual_channels=2, code_dim=4, downsampling=4)
    model.prepare([digits()])
    return model.eval()


def vae() -> Model:
    torch.manual_seed(0)
    model = vqkit.VAE(3, size=(8, 8), channels=1, hidden_channels=4, residual_channels=2, downsampling=4)
    return model.eval()


def wait(training: Training) -> None:
    while training.running:
        time.sleep(0.02)


def test_the_axes_of_pca_are_its_own_components() -> None:
    model = pca()
    plane = LatentPlane(model, digits())
    own = model.encode(digits()).double()
    assert torch.allclose(plane.scores.abs(), own[:, :6].abs(), atol=1e-4)
    assert plane.pairs() == [(0, 1), (2, 3), (4, 5)]
    assert plane.explained == sorted(plane.explained, reverse=True)


@pytest.mark.parametrize("make", [pca, vae, vqvae])
def test_the_place_of_a_signal_decodes_to_its_reconstruction(make) -> None:  # type: ignore[no-untyped-def]
    model = make()
    plane = LatentPlane(model, digits())
    for pair in plane.pairs():
        point = plane.decode(*plane.place(7, pair), pair, item=7)
        assert torch.allclose(point.signal, model.reconstruct(digits()[7:8])[0], atol=1e-4)


def test_a_step_along_an_axis_of_pca_adds_its_component() -> None:
    model = pca()
    assert isinstance(model, vqkit.PCA)
    plane = LatentPlane(model, digits())
    x, y = plane.place(3, (0, 1))
    before = plane.decode(x, y, (0, 1), item=3).signal
    after = plane.decode(x + 0.01, y, (0, 1), item=3).signal
    inside = (before > 0.01) & (before < 0.99)
    change = (after - before)[inside] / 0.01
    component = model.components[0].view(1, 8, 8)[inside]
    assert torch.allclose(change.abs(), component.abs(), atol=1e-3)


def test_a_point_of_a_codebook_model_is_snapped_to_codes() -> None:
    model = vqvae()
    assert isinstance(model, vqkit.VQVAE)
    plane = LatentPlane(model, digits())
    point = plane.decode(0.0, 0.0, (0, 1))
    assert point.indices is not None
    assert point.indices.shape == (2, 2)
    assert torch.equal(point.signal, model.decode(point.indices[None], (8, 8))[0])
    far = plane.decode(1e9, -1e9, (0, 1))
    left, bottom, right, top = plane.box((0, 1))
    assert far.x == pytest.approx(right + 3 * (right - left))
    assert far.y == pytest.approx(bottom - 3 * (top - bottom))
    assert math.isfinite(plane.decode(math.nan, math.inf, (0, 1)).x)


@pytest.mark.parametrize("make", [pca, vae, vqvae])
def test_samples_come_of_the_models_own_distribution(make) -> None:  # type: ignore[no-untyped-def]
    model = make()
    plane = LatentPlane(model, digits())
    points = plane.sample(5, (0, 1), seed=4)
    same = model.sample(5, size=(8, 8), generator=torch.Generator().manual_seed(4))
    assert torch.equal(torch.stack([each.signal for each in points]), same)
    assert [each.x for each in points] != [each.x for each in plane.sample(5, (0, 1), seed=5)]


def test_what_is_sampled_from_is_said() -> None:
    assert "variances of the scores" in source_of_samples(pca())
    assert "N(0, I)" in source_of_samples(vae())
    assert "uniform codes" in source_of_samples(vqvae())


def test_one_signal_has_no_plane() -> None:
    with pytest.raises(DataError, match="2 or more"):
        LatentPlane(pca(), digits(1))


def test_a_ladder_is_trained_once_and_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VQKIT_CACHE", str(tmp_path))
    monkeypatch.setattr(ladders, "SMALL", TINY)
    place = ladders.own_place()
    training = Training(place, TINY)
    assert training.progress() == (0.0, "PCA")
    training.start()
    training.start()  # does nothing
    seen = []
    while training.running:
        seen.append(training.progress()[0])
        time.sleep(0.05)
    assert training.error is None
    assert seen == sorted(seen)
    assert training.progress() == (1.0, "done")
    assert is_trained(place)
    ladder = open_ladder(place)
    assert list(ladder.rungs) == ["pca", "ae", "vae", "vqvae"]
    assert len(ladder.signals) == 449
    assert ladder.labels is not None
    assert "learned prior" in source_of_samples(ladder.rungs["vqvae"].plane.model)
    before = (place / "pca" / "model" / "model.safetensors").stat().st_mtime_ns
    training.start()
    wait(training)
    assert (place / "pca" / "model" / "model.safetensors").stat().st_mtime_ns == before


def test_a_fault_of_the_training_is_kept(tmp_path: Path) -> None:
    (tmp_path / "pca").write_text("in the way")
    training = Training(tmp_path, TINY)
    training.start()
    wait(training)
    assert training.error is not None


def test_comparisons_are_found_by_their_reports(tmp_path: Path) -> None:
    for name, data in {"a": {"size": [8, 8], "channels": 1}, "b/c": {"size": [99], "channels": 1}}.items():
        place = tmp_path / name
        (place / "pca" / "model").mkdir(parents=True)
        (place / "pca" / "model" / "config.json").write_text("{}")
        (place / "compare.json").write_text(json.dumps({"data": data}))
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "compare.json").write_text("[")
    assert ladders_in([tmp_path]) == {"a": tmp_path / "a"}
    assert ladders_in([tmp_path / "a"]) == {"a": tmp_path / "a"}
    with pytest.raises(DataError, match="its data is not known"):
        open_ladder(tmp_path / "a")
