"""Scores of long signals of one axis, and of what has gaps: those of the whole, and of what is there."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
import torch

import vqkit
from vqkit.data.arrays.memory import RaggedSource
from vqkit.data.long_items import LONG
from vqkit.models import Scores
from vqkit.models.scoring.scorer import score_batches
from vqkit.priors import HistogramPrior

NETS: dict[str, dict[str, Any]] = {
    "halo": {"downsampling": 4},
    "causal": {name: {"type": "seanet", "config": {"strides": [2, 4], "hidden_channels": 8}} for name in
               ("encoder", "decoder")},
    "stack": {"downsampling": 4, "num_codebooks": 2, "stacking": "residual"},
}  # fmt: skip


def wave(length: int, channels: int = 1, seed: int = 0) -> np.ndarray[Any, Any]:
    random = np.random.default_rng(seed)
    found = 0.4 * np.sin(np.arange(length) / random.uniform(3, 30, (channels, 1))) + 0.1 * random.normal(
        size=(channels, length)
    )
    return found.astype(np.float32)


def model_of(name: str, kind: str, length: int) -> vqkit.VQVAE:
    source = vqkit.load_source(wave(length)[None], kind=kind)
    sizes = {"hidden_channels": 8, "residual_channels": 4, "code_dim": 4, "seed": 0}
    model = vqkit.VQVAE.for_source(source, 16, **(sizes | NETS[name])).eval()
    indices = model.encode(source[:1])
    model.use_prior(HistogramPrior.of(indices, 16, grid=indices.shape[1:2]))
    return model


def close(a: Scores, b: Scores) -> None:
    own, other = a.columns(), b.columns()
    assert own.keys() == other.keys()
    for name, values in own.items():
        np.testing.assert_allclose(values, other[name], rtol=2e-5, err_msg=name)
    np.testing.assert_allclose(a.channel_mse, b.channel_mse, rtol=2e-5)
    if a.maps is not None:
        assert b.maps is not None
        for one, two in zip(a.maps, b.maps, strict=True):
            for each in ("error", "bits", "distance"):
                own, other = getattr(one, each), getattr(two, each)
                assert (own is None) == (other is None)
                if own is not None:
                    np.testing.assert_allclose(own, other, rtol=1e-3, atol=1e-5, err_msg=each)


@pytest.mark.parametrize(("name", "kind"), [(name, "sound@16000") for name in NETS] + [("halo", "field@NCT")])
@pytest.mark.parametrize("length", [40_003, 65_536, 70_001])
def test_a_long_signal_has_the_scores_of_the_whole(
    name: str, kind: str, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_of(name, kind, length)
    source = vqkit.load_source(wave(length, seed=1)[None], kind=kind)
    whole = model.score(source, maps=True)
    monkeypatch.setattr("vqkit.data.long_items.LONG", 10_000)
    calls = []
    original = type(model).stream
    monkeypatch.setattr(type(model), "stream", lambda *given, **more: calls.append(1) or original(*given, **more))
    close(model.score(source, maps=True), whole)
    assert calls


def test_a_long_field_of_several_units_has_its_error_in_deviations(monkeypatch: pytest.MonkeyPatch) -> None:
    series = wave(12_000, channels=2) * np.float32([[1], [100]])
    source = vqkit.load_source(series[None], kind="field@NCT")
    model = vqkit.VQVAE.for_source(source, 16, downsampling=4, hidden_channels=8, residual_channels=4).eval()
    model.signal_std.copy_(torch.tensor([[1.0], [100.0]]).view_as(model.signal_std))
    whole = model.score(source)
    monkeypatch.setattr("vqkit.data.long_items.LONG", 10_000)
    close(model.score(source), whole)
    assert next(iter(whole.measures())) == "nmse"  # what items are ranked by


def test_long_ones_are_scored_between_short_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    model, kind = model_of("halo", "sound@16000", 4000), "sound@16000"
    monkeypatch.setattr("vqkit.data.long_items.LONG", 10_000)
    sizes = np.array([[500], [500], [20_000], [500], [12_000]])
    sounds = [wave(int(length), seed=int(length)) for (length,) in sizes]
    starts = np.concatenate([[0], sizes[:-1, 0].cumsum()])
    source = RaggedSource(np.concatenate(sounds, axis=1)[0], starts, sizes, channels=1, kind=kind)
    numbers = [list(own) for own, _ in score_batches(model, source, batch_size=2)]
    assert [number for own in numbers for number in own] == [0, 1, 2, 3, 4]
    scores = model.score(source)
    for number, each in enumerate(sounds):
        alone = model.score(vqkit.load_source(each[None], kind=kind))
        np.testing.assert_allclose(scores.mse[number], alone.mse[0], rtol=1e-5)


@pytest.mark.parametrize("long", [False, True])
def test_gaps_count_in_no_error(long: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    values = wave(30_000, 2)[None]
    values[0, 0, 4000:9000] = np.nan
    source = vqkit.load_source(values, kind="field@NCT")
    model = vqkit.VQVAE.for_source(source, 16, downsampling=4, hidden_channels=8, seed=0).eval()
    if long:
        monkeypatch.setattr("vqkit.data.long_items.LONG", 10_000)
    scores = model.score(source, maps=True)
    error = (
        (model.to_float(torch.from_numpy(values)) - model.decode(model.encode(source[:1]), (30_000,)))
        .double()
        .square()
        .numpy()
    )
    np.testing.assert_allclose(scores.channel_mse[0], np.nanmean(error[0], axis=1), rtol=1e-4)
    np.testing.assert_allclose(scores.mse[0], np.nanmean(error[0]), rtol=1e-4)
    assert scores.maps is not None
    assert np.array_equal(np.isnan(scores.maps[0].error), np.isnan(values[0]))


def test_more_than_a_million_samples_need_the_memory_of_a_piece() -> None:
    model = model_of("halo", "sound@16000", LONG + 5)
    source = vqkit.load_source(np.zeros((1, 1, LONG + 5), np.float32) + wave(LONG + 5)[None], kind="sound@16000")
    tracemalloc.start()
    scores = model.score(source)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * 2**20  # of NumPy; the samples alone have 4 MiB, which were there before
    assert np.isfinite(scores.mse).all()
    assert scores.bits is not None
    assert scores.bits[0] > 0
