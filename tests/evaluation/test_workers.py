"""Evaluation by several processes: the numbers of one."""

from __future__ import annotations

from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np
import pytest
import torch

from tests.crews import OneAfterAnother
from vqkit import PCA, VAE, VQVAE, evaluate
from vqkit.data import ArraySource
from vqkit.errors import ConfigError
from vqkit.evaluation import parts, workers
from vqkit.evaluation.evaluation import RunningEvaluation
from vqkit.evaluation.parts import BatchMeasures
from vqkit.models import MODELS, ResidualQuantization
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


def continuous(kind: str) -> Any:
    """A model without a codebook; with a grid of latents where it reads images of any size."""
    torch.manual_seed(0)
    small = {"channels": 1, "hidden_channels": 8, "residual_channels": 4}
    if kind == "pca":
        model: Any = PCA(4, channels=1, size=[8, 8])
        model.fit(lambda: [torch.from_numpy(images()[:])])
    elif kind == "classes":
        model = VAE(2, size=[8, 8], classes=3, **small)
    elif kind == "grid":
        model = VAE(2, latent="grid", downsampling=2, **small)
    else:
        model = MODELS[kind](2, size=[8, 8], **small)
    if kind != "pca":
        model.prepare([torch.from_numpy(images()[:])])
    return model.eval()


@pytest.mark.parametrize("kind", ["pca", "autoencoder", "vae", "classes", "grid"])
def test_latents_without_a_codebook_are_drawn_and_counted_as_by_one_process(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are counted are the first of the set, whoever encodes them."""
    monkeypatch.setattr(workers, "Crew", OneAfterAnother)
    monkeypatch.setattr(parts, "_COUNTED_ITEMS", 40)
    sizes = [np.full((1, side, 8), 9 * number, np.uint8) for number, side in enumerate([8, 8, 8, 12, 12, 8, 8, 16])]
    model, data = continuous(kind), sizes if kind == "grid" else images()
    one = numbers(model, data, batch_size=3)
    assert one["rate"]["entropy_bits"] is not None
    for count in (2, 3):
        assert numbers(model, data, batch_size=3, workers=count) == one


def test_parts_may_be_sent() -> None:
    for model in (tiny(), continuous("vae")):
        with torch.no_grad():
            part = BatchMeasures(model, True).of(torch.from_numpy(images()[:5]))
        again = ForkingPickler.loads(bytes(ForkingPickler.dumps(part.as_arrays()))).as_tensors()
        assert isinstance(part.as_arrays().error, np.ndarray)
        assert not any(isinstance(each, torch.Tensor) for each in part.as_arrays().kept)
        results = []
        for each in (part, again):
            running = RunningEvaluation(model, True)
            running.take(each)
            results.append({**running.result().as_dict(), "seconds": 0})
        assert results[0] == results[1]


def test_what_one_process_only_can_do_is_said() -> None:
    with pytest.raises(ConfigError, match=r"workers=2: batches are judged where they are made; give data"):
        evaluate(tiny(), iter([(0, torch.zeros(1, 1, 8, 8))]), workers=2)
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
