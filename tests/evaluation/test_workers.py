"""Evaluation by several processes: the numbers of one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.crews import OneAfterAnother
from vqkit import VQVAE, Autoencoder, evaluate
from vqkit.data import ArraySource
from vqkit.errors import ConfigError
from vqkit.evaluation import workers
from vqkit.evaluation.evaluation import RunningEvaluation
from vqkit.evaluation.parts import BatchMeasures
from vqkit.models import ResidualQuantization
from vqkit.ops.linear.moments import Moments
from vqkit.priors import HistogramPrior


def images(count: int = 70) -> ArraySource:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 1, 8, 8), dtype=np.uint8)
    return ArraySource(pixels, labels=np.arange(count) % 3)


def tiny(**more: Any) -> VQVAE:
    torch.manual_seed(0)
    model = VQVAE(16, hidden_channels=8, residual_channels=4, code_dim=4, downsampling=2, channels=1, **more)
    model.prepare([torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(5))])
    return model.eval()


def numbers(model: Any, data: Any, **options: Any) -> dict[str, Any]:
    found = evaluate(model, data, **options).as_dict()
    del found["seconds"]
    return found


def test_the_numbers_are_those_of_one_process_with_a_learned_prior() -> None:
    model = tiny()
    prior = HistogramPrior(16, [4, 4])
    grids = model.encode(torch.from_numpy(images()[:]))[:, None]
    prior.fit(lambda: [grids])
    model.use_prior(prior.eval())
    one = numbers(model, images(), batch_size=8)
    assert one["rate"]["prior_bits"] > 0
    assert numbers(model, images(), batch_size=8, workers=2) == one


def test_any_number_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "Crew", OneAfterAnother)
    vectors = np.random.default_rng(1).normal(size=(90, 6)).astype(np.float32)
    quantizer = ResidualQuantization(8, num_codebooks=2, channels=6, rounds=3)
    quantizer.fit(lambda: torch.from_numpy(vectors).split(30))
    sizes = [np.zeros((1, side, 8), np.uint8) + side for side in (8, 8, 8, 12, 12, 8, 16, 16, 16, 16)]
    cases: list[tuple[Any, Any, dict[str, Any]]] = [
        (quantizer.eval(), vectors, {"codebooks": 1, "batch_size": 4}),
        (tiny(classes=3), images(), {"batch_size": 16}),
        (tiny(), images(), {"batch_size": 1}),
        (tiny(), sizes, {"batch_size": 3}),
    ]
    for model, data, options in cases:
        one = numbers(model, data, **options)
        for count in (2, 3, 5):
            assert numbers(model, data, workers=count, **options) == one


def test_parts_may_be_sent() -> None:
    with torch.no_grad():
        part = BatchMeasures(tiny(), True).of(torch.from_numpy(images()[:5]))
    again = part.as_arrays().as_tensors()
    assert isinstance(part.as_arrays().error, np.ndarray)
    results = []
    for each in (part, again):
        running = RunningEvaluation(tiny(), True)
        running.take(each)
        results.append(running.result().mse)
    assert results[0] == results[1]


def test_what_one_process_only_can_do_is_said() -> None:
    with pytest.raises(ConfigError, match=r"workers=2: batches are judged where they are made; give data"):
        evaluate(tiny(), iter([(0, torch.zeros(1, 1, 8, 8))]), workers=2)
    plain = Autoencoder(2, size=[8, 8], channels=1, hidden_channels=8, residual_channels=4)
    with pytest.raises(ConfigError, match=r"a Autoencoder is judged by one process.*workers=1"):
        evaluate(plain, images(), workers=2)
    with pytest.raises(ConfigError, match="give 1 or more"):
        evaluate(tiny(), images(), workers=0)


@pytest.mark.parametrize("offset", [0.0, 1e5])
def test_moments_of_parts_are_those_of_all(offset: float) -> None:
    values = torch.randn(6, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + offset
    merged = Moments()
    for part in values:
        own = Moments()
        own.add(part)
        merged.merge(own)
    assert merged.count == 300
    assert merged.mean == pytest.approx(float(values.mean()), rel=1e-14)
    assert merged.variance == pytest.approx(float(values.var(correction=0)), rel=1e-5)
