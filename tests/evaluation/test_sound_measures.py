"""Measures of sound against outside implementations and definitions, and their laws."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import vqkit
from tests.reference.sound import filters, magnitudes
from vqkit.cli.output.terminal import evaluation_table
from vqkit.errors import ConfigError, MissingExtraError
from vqkit.evaluation.sound import (
    delay_samples,
    judge_sounds,
    mel_distance,
    pesq,
    si_sdr_db,
    snr_db,
    spectral,
    stft_distance,
    stoi,
    summarize,
    visqol,
)

RATE = 16000


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def speech_like(seconds: float = 1.5, channels: int = 1) -> Tensor:
    """Harmonics of a gliding pitch under syllables, ``[1, channels, time]``, in [-1, 1]."""
    times = torch.arange(int(seconds * RATE), dtype=torch.float64) / RATE
    pitch = 120 + 30 * torch.sin(2 * math.pi * 1.5 * times)
    phase = 2 * math.pi * pitch.cumsum(0) / RATE
    voice = torch.stack([torch.sin(k * phase) / k for k in range(1, 25)]).sum(dim=0)
    syllables = (0.5 - 0.5 * torch.cos(2 * math.pi * 4 * times)) ** 2
    return (0.2 * voice * syllables).expand(1, channels, -1).clone()


def delayed(x: Tensor, delay: int) -> Tensor:
    """What comes ``delay`` samples later, with other noise in the gap."""
    y = 0.3 * noise(*x.shape, seed=9)
    time = x.shape[2]
    y[..., max(0, delay) : time + min(0, delay)] = x[..., max(0, -delay) : time - max(0, delay)]
    return y


# --- waveforms


@pytest.mark.parametrize("first", [True, False])
def test_a_delay_leaves_something_of_the_sound(first: bool) -> None:
    x = torch.zeros(1, 1, 4000, dtype=torch.float64)
    x[..., -60:] = noise(60)
    x = x.flip(2) if first else x
    for y in (0.9 * x, 0.9 * x + 1e-4 * noise(1, 1, 4000, seed=1)):
        assert delay_samples(x, y, 320).tolist() == [0]
        assert abs(snr_db(x, y, 320).item() - 20) < 0.1
    assert delay_samples(x, torch.zeros_like(x), 320).tolist() == [0]


def test_ratios_are_those_of_torchmetrics() -> None:
    audio = pytest.importorskip("torchmetrics.functional.audio")
    x = noise(5, 1, 400)
    y = 0.7 * x + noise(5, 1, 400, seed=1) * torch.logspace(-3, 1, 5).double()[:, None, None]
    expected = audio.scale_invariant_signal_distortion_ratio(y, x)[:, 0]
    torch.testing.assert_close(si_sdr_db(x, y), expected)
    torch.testing.assert_close(snr_db(x, y), audio.signal_noise_ratio(y, x)[:, 0])


def test_channels_are_one_signal() -> None:
    x, y = noise(3, 4, 100), noise(3, 4, 100, seed=1)
    for ratio in (snr_db, si_sdr_db):
        torch.testing.assert_close(ratio(x, y), ratio(x.reshape(3, 1, 400), y.reshape(3, 1, 400)))


def test_the_delay_is_the_best_of_all_tried_one_by_one() -> None:
    x = noise(6, 2, 61)
    y = torch.stack([delayed(x, delay)[item] for item, delay in enumerate((-7, -1, 0, 2, 5, 11))])
    y = 0.4 * y + noise(6, 2, 61, seed=3)
    found = delay_samples(x, y, 12)
    for item in range(6):
        scores = {}
        for delay in range(-12, 13):
            a = x[item, :, max(0, -delay) : 61 - max(0, delay)].numpy()
            b = y[item, :, max(0, delay) : 61 - max(0, -delay)].numpy()
            scores[delay] = (a * b).sum() ** 2 / ((a**2).sum() * (b**2).sum())
        assert int(found[item]) == max(scores, key=lambda delay: scores[delay])
        best = max(scores.values())
        aligned = si_sdr_db(x[item : item + 1], y[item : item + 1], 12)
        assert float(aligned) == pytest.approx(10 * math.log10(best / (1 - best)))


@pytest.mark.parametrize("delay", [-20, -8, -1, 0, 1, 8, 20])
def test_a_delay_changes_nothing(delay: int) -> None:
    x = noise(1, 2, 500)
    y = x + 0.1 * noise(1, 2, 500, seed=1)
    late = delayed(y, delay)
    assert int(delay_samples(x, late, 32)) == delay
    for ratio in (snr_db, si_sdr_db):
        assert float(ratio(x, late, 32)) == pytest.approx(float(ratio(x, y)), abs=0.5)  # fewer samples count
        assert delay == 0 or float(ratio(x, late)) < 1.0


@pytest.mark.parametrize("most", [0, 16])
def test_laws_of_ratios(most: int) -> None:
    x, error = noise(2, 1, 300), noise(2, 1, 300, seed=1)
    levels = [float(si_sdr_db(x, x + level * error, most)[0]) for level in (0.01, 0.1, 1.0)]
    assert levels == sorted(levels, reverse=True)
    assert bool((snr_db(x, x, most) == math.inf).all())
    assert bool((si_sdr_db(x, 2 * x, most) == math.inf).all())
    y = x + 0.3 * error
    for scale in (3.0, 1e-4, -1.0):
        torch.testing.assert_close(si_sdr_db(x, scale * y, most), si_sdr_db(x, y, most))
        torch.testing.assert_close(snr_db(scale * x, scale * y, most), snr_db(x, y, most))
    assert bool((si_sdr_db(x, error, 16) >= si_sdr_db(x, error)).all())


@pytest.mark.parametrize("most", [0, 16])
def test_silence_and_short_sounds(most: int) -> None:
    x, silence = noise(1, 1, 100), torch.zeros(1, 1, 100)
    for ratio in (snr_db, si_sdr_db):
        assert float(ratio(silence, silence, most)) == math.inf
        assert float(ratio(silence, x, most)) == -math.inf
    assert float(snr_db(x, silence, most)) == 0.0
    for time in (1, 2, 5):
        assert float(snr_db(x[..., :time], 0.9 * x[..., :time], most)) == pytest.approx(20.0)


def test_no_delay_is_longer_than_a_quarter_of_the_sound() -> None:
    x = noise(50, 1, 20)
    assert int(delay_samples(x, noise(50, 1, 20, seed=1), 1000).abs().max()) == 5


def test_a_periodic_sound_has_the_shortest_delay() -> None:
    wave = torch.sin(torch.arange(400) * (2 * math.pi / 10)).double()[None, None]
    assert int(delay_samples(wave, wave, 50)) == 0
    assert float(snr_db(wave, wave, 50)) == math.inf


# --- spectra


@pytest.mark.parametrize("mel", [True, False])
def test_distances_by_definition(mel: bool) -> None:
    x = noise(1, 1, 2500) * 0.1
    y = x + 0.05 * noise(1, 1, 2500, seed=1)
    expected = 0.0
    for window, bands in ((2048, 150), (512, 80)):
        pair = [magnitudes(z[0, 0].numpy(), window, window // 4) for z in (x, y)]
        if mel:
            pair = [filters(RATE, window, bands, "slaney") @ spectrum for spectrum in pair]
        logs = [np.log10(np.maximum(spectrum, 1e-5) ** 2) for spectrum in pair]
        expected += np.abs(logs[0] - logs[1]).mean() + np.abs(pair[0] - pair[1]).mean()
    found = mel_distance(x, y, RATE) if mel else stft_distance(x, y)
    assert float(found) == pytest.approx(expected, rel=1e-3 if mel else 1e-10)


def test_long_sounds_are_transformed_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = noise(2, 2, 7001), noise(2, 2, 7001, seed=1)
    whole = mel_distance(x, y, RATE), stft_distance(x, y)
    monkeypatch.setattr(spectral, "_BLOCK", 2048)
    torch.testing.assert_close((mel_distance(x, y, RATE), stft_distance(x, y)), whole)


def test_laws_of_distances() -> None:
    x, error = speech_like(0.5), noise(1, 1, RATE // 2, seed=1)
    for distance in (lambda a, b: mel_distance(a, b, RATE), stft_distance):
        grown = [float(distance(x, x + level * error)) for level in (0.0, 1e-3, 1e-2, 1e-1)]
        assert grown[0] == 0.0
        assert grown == sorted(set(grown))
        assert float(distance(x, x + error)) == pytest.approx(float(distance(x + error, x)))


# --- what people hear


def test_stoi_is_that_of_pystoi_for_each_channel() -> None:
    package = pytest.importorskip("pystoi")
    x = speech_like(channels=2)
    y = x + torch.tensor([0.01, 0.1])[:, None] * noise(1, 2, x.shape[2])
    expected = np.mean([package.stoi(x[0, c].numpy(), y[0, c].numpy(), RATE) for c in range(2)])
    assert float(stoi(x, y, RATE)) == pytest.approx(expected)
    extended = np.mean([package.stoi(x[0, c].numpy(), y[0, c].numpy(), RATE, extended=True) for c in range(2)])
    assert float(stoi(x, y, RATE, extended=True)) == pytest.approx(extended)


def test_laws_of_stoi() -> None:
    pytest.importorskip("pystoi")
    x, error = speech_like(), noise(1, 1, int(1.5 * RATE), seed=1)
    scores = [float(stoi(x, x + level * error, RATE)) for level in (0.0, 0.01, 0.1, 1.0)]
    assert scores[0] == pytest.approx(1.0)
    assert scores == sorted(scores, reverse=True)
    assert float(stoi(x, 0.1 * x, RATE)) == pytest.approx(1.0)
    assert math.isnan(float(stoi(x[..., :4000], x[..., :4000], RATE)))  # too short
    assert math.isnan(float(stoi(x[..., :3], x[..., :3], RATE)))  # no frame of it
    assert math.isnan(float(stoi(0 * x, x, RATE)))


@pytest.mark.parametrize(("package", "judge"), [("pesq", pesq), ("visqol", visqol)])
def test_laws_of_opinion_scores(package: str, judge: Any) -> None:
    pytest.importorskip(package)
    x, error = speech_like(3.0), noise(1, 1, 3 * RATE, seed=1)
    scores = [float(judge(x, x + level * error, RATE)) for level in (0.0, 0.003, 0.1)]
    assert scores[0] > 4.5
    assert scores == sorted(scores, reverse=True)
    assert math.isnan(float(judge(x[..., :100], x[..., :100], RATE)))


@pytest.mark.parametrize(
    ("package", "judge", "install"),
    [("pystoi", stoi, '"vqkit[sound-measures]"'), ("pesq", pesq, "pesq"), ("visqol", visqol, "visqol-python")],
)
def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch, package: str, judge: Any, install: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=f"pip install {install}".replace("[", r"\[")):
        judge(speech_like(), speech_like(), RATE)


@pytest.mark.parametrize(("package", "judge"), [("pesq", pesq), ("visqol", visqol)])
def test_other_rates_are_refused(monkeypatch: pytest.MonkeyPatch, package: str, judge: Any) -> None:
    monkeypatch.setitem(sys.modules, package, type(sys)(package))
    with pytest.raises(ConfigError, match="samples a second, and these sounds have 22,050: resample them"):
        judge(speech_like(), speech_like(), 22050)


@pytest.mark.parametrize("measure", [snr_db, si_sdr_db, stft_distance])
def test_other_shapes_are_refused(measure: Any) -> None:
    with pytest.raises(ValueError, match=r"expected two tensors \[batch, channels, time\]"):
        measure(noise(1, 1, 8), noise(1, 1, 9))


# --- all of them


def test_the_quality_is_the_mean_over_items_with_finite_values() -> None:
    x = torch.stack([noise(1, 300), torch.zeros(1, 300), noise(1, 300, seed=2)])
    y = torch.stack([x[0] * 0.9, x[1], x[2] * 0.99])
    batches = [judge_sounds(x[part], y[part], RATE, perceptual=False) for part in (slice(0, 2), slice(2, 3))]
    quality = summarize(batches)
    assert quality.snr_db == pytest.approx((20 + 40) / 2)
    assert quality.duration == pytest.approx(900 / RATE)
    assert quality.mel_distance == pytest.approx(float(mel_distance(x, y, RATE).mean()))
    assert quality.stoi is None
    assert quality.delay == 0
    assert summarize([judge_sounds(x, x, None)]).snr_db is None


def test_sounds_are_evaluated_by_them() -> None:
    sounds = vqkit.load_source(torch.cat([speech_like(), -speech_like()]).float().numpy(), kind="sound")
    model = vqkit.VQVAE.for_source(sounds, 16, hidden_channels=8, seed=0)
    evaluation = vqkit.evaluate(model, sounds)
    x = torch.tensor(np.stack([sounds.read(item) for item in range(2)]))
    with torch.no_grad():
        expected = si_sdr_db(x, model.eval().reconstruct(x), 320).mean()
    assert evaluation.sound is not None
    assert evaluation.sound.si_sdr_db == pytest.approx(float(expected), rel=1e-4)
    values = evaluation.as_dict()
    assert values["si_sdr_db"] == evaluation.sound.si_sdr_db
    assert "sound" not in values
    images = vqkit.load_source("builtin:digits").subset(range(8))
    assert vqkit.evaluate(vqkit.VQVAE.for_source(images, 16, hidden_channels=8), images).sound is None


def test_a_known_rate_gives_mel_stoi_tokens_and_kbps(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pystoi")
    sounds = vqkit.load_source(speech_like().float().numpy(), kind="sound")
    model = vqkit.VQVAE.for_source(sounds, 16, hidden_channels=8, seed=0)
    monkeypatch.setattr(model.kind, "rate", RATE, raising=False)
    values = vqkit.evaluate(model, sounds).as_dict()
    assert values["duration"] == 1.5
    assert values["stoi"] is not None
    cells = [list(column.cells) for column in evaluation_table(values).columns]
    told = dict(zip(*cells, strict=True))
    assert told["tokens"] == "4,000.0 a second"  # a fourth of the samples
    assert "16,000 bits an item" not in told["nominal"]
    assert "24,000.0 bits an item = 16.00 kbps" in told["nominal"]
    assert "mel" in told["distances"]
    along = vqkit.evaluate(model, sounds, bits=False).as_dict()
    assert along["stoi"] is None
    assert along["mel_distance"] == values["mel_distance"]
