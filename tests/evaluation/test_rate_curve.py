"""The curve of one model of several rates: each point is what judging that rate alone gives."""

from __future__ import annotations

import numpy as np
import pytest

import vqkit
from vqkit.evaluation import evaluate, measure_rates
from vqkit.evaluation.rate_curve import _spread
from vqkit.models import rate_lines


def test_each_rate_is_judged_as_if_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    digits = vqkit.load_source("builtin:digits").subset(range(40))
    model = vqkit.VQVAE.for_source(digits, 16, quantizer="wavelet", downsampling=2, hidden_channels=8, seed=0)
    model.prepare([model.read_signals(digits.gather(range(40)))])
    whole = evaluate(model, digits)
    found = measure_rates(model, digits, whole)
    assert [rate.codebooks for rate in found] == [1, 4, 16]
    assert [rate.psnr_db for rate in found] == [
        evaluate(model, digits, codebooks=count).psnr_db for count in (1, 4, 16)
    ]
    assert [rate.entropy for rate in found] == [rate.entropy for rate in whole.rates]
    assert "PSNR dB" in rate_lines(found)[0]
    assert "PSNR dB" not in rate_lines(whole.rates)[0]


def test_models_of_one_rate_and_of_no_range_stay_as_they_are() -> None:
    digits = vqkit.load_source("builtin:digits").subset(range(20))
    found = evaluate(vqkit.PCA.for_source(digits, 4), digits)
    assert measure_rates(vqkit.PCA.for_source(digits, 4), digits, found) == ()


def test_of_many_rates_a_few_are_measured() -> None:
    assert _spread(range(3), 7) == [0, 1, 2]  # type: ignore[arg-type]
    assert _spread(range(31), 7) == [0, 5, 10, 15, 20, 25, 30]  # type: ignore[arg-type]


def test_padding_costs_bits_and_is_no_pixel() -> None:
    data = vqkit.load_source(np.random.default_rng(0).integers(0, 256, (3, 10, 9, 1), np.uint8))
    model = vqkit.VQVAE.for_source(data, 16, downsampling=4, hidden_channels=8, residual_blocks=0)
    (rate,) = vqkit.evaluate(model, data).rates
    assert rate.nominal == pytest.approx(3 * 3 * 4 / 90)  # 3 x 3 positions of 4 bits, 90 pixels
    even = vqkit.load_source(np.zeros((3, 8, 12, 1), np.uint8))
    assert vqkit.evaluate(model, even).rates[0].nominal == pytest.approx(4 / 16)
