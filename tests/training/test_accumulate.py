"""Gradient accumulation: the parts of a batch teach what the whole one would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from vqkit.data import ArraySource, load_source
from vqkit.errors import ConfigError
from vqkit.models import VAE, VQVAE
from vqkit.priors import TransformerPrior
from vqkit.training import TrainConfig, train
from vqkit.training.optim.accumulation import backward

QUIET: dict[str, Any] = {"quiet": True, "tensorboard": False, "batch_size": 16, "evaluations": 0}
TINY = {"hidden_channels": 8, "residual_channels": 4, "code_dim": 4, "downsampling": 2, "residual_blocks": 1}


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    return torch.randint(0, 256, (64, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def model_of(pixels: torch.Tensor, **options: Any) -> VQVAE:
    torch.manual_seed(0)
    model = VQVAE(16, channels=1, **{**TINY, **options}).double()
    model.prepare([pixels[:32]])
    return model.train()


@pytest.mark.parametrize(
    "options",
    [
        {"quantizer": "ema", "quantizer_options": {"restart_below": 0.9, "restart_every": 1}},
        {"quantizer": "ema", "quantizer_options": {"restart_below": 0.9, "restart_every": 1, "reservoir": 64}},
        {"quantizer": "gradient", "quantizer_options": {"restart_below": 0.9, "restart_every": 1}},
        {"quantizer": "simvq"},
        {"quantizer": "fsq", "code_dim": 8},
        {"num_codebooks": 2, "stacking": "residual"},
        {"num_codebooks": 2, "stacking": "product"},
        {"likelihood": "logistic", "likelihood_warmup": 7},
    ],
    ids=str,
)
@pytest.mark.parametrize("parts", [2, 4])
def test_parts_give_the_gradient_and_the_codebook_of_the_whole(
    pixels: torch.Tensor, options: dict[str, Any], parts: int
) -> None:
    whole, split = model_of(pixels, **options), model_of(pixels, **options)
    for start in (0, 16):  # the second time from what the first has left
        batch = pixels[start : start + 16]
        for model, count in ((whole, 1), (split, parts)):
            model.zero_grad()
            output = backward(model, model, batch, (), count)
            assert output.indices is not None
            assert output.indices.shape[0] == 16
        for (name, a), b in zip(whole.named_parameters(), split.parameters(), strict=True):
            assert torch.allclose(a.grad, b.grad, rtol=1e-6, atol=1e-9), name  # type: ignore[arg-type]
        for (name, a), b in zip(whole.named_buffers(), split.buffers(), strict=True):
            assert torch.allclose(a, b, rtol=1e-6, atol=1e-9), name
    assert int(split.steps_seen) == 2


def test_metrics_are_means_over_the_parts(pixels: torch.Tensor) -> None:
    whole = backward(model := model_of(pixels), model, pixels[:16], (), 1)
    parts = backward(model := model_of(pixels), model, pixels[:16], (), 4)
    assert torch.allclose(whole.loss, parts.loss)
    assert whole.metrics.keys() == parts.metrics.keys()
    for name, value in whole.metrics.items():
        assert torch.allclose(value, parts.metrics[name]), name
    assert torch.equal(whole.indices, parts.indices)  # type: ignore[arg-type]


def test_an_error_in_a_part_leaves_the_codebook_learning_as_before(pixels: torch.Tensor) -> None:
    model = model_of(pixels)
    with pytest.raises(RuntimeError, match="a part"):
        backward(_failing, model, pixels[:16], (), 2)
    before = model.codebook.clone()
    model(pixels[:16])
    assert not torch.equal(before, model.codebook)


def _failing(*_: Any) -> Any:
    raise RuntimeError("a part")


def test_training_in_parts_is_training(pixels: torch.Tensor, tmp_path: Path) -> None:
    source = load_source(pixels)
    runs = []
    for parts in (1, 4):
        torch.manual_seed(0)
        model = VQVAE.for_source(source, 16, **TINY)
        runs.append(train(model, source, out=tmp_path / str(parts), steps=5, log_every=1, accumulate=parts, **QUIET))
    losses = [[line["loss"] for line in run.log() if line["kind"] == "train"] for run in runs]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    vae = VAE.for_source(source, 4, **{k: v for k, v in TINY.items() if k != "code_dim"})
    run = train(vae, source, out=tmp_path / "vae", steps=3, accumulate=2, crop=8, **QUIET)
    assert int(run.model().steps_seen) == 3


def test_a_prior_with_classes_in_parts(tmp_path: Path) -> None:
    labels = torch.arange(32).remainder(3).numpy()
    grids = torch.randint(5, (32, 1, 2, 2), dtype=torch.int32, generator=torch.Generator().manual_seed(0)).numpy()
    source = ArraySource(grids, name="grids", labels=labels)
    runs = []
    for parts in (1, 2):
        torch.manual_seed(0)
        prior = TransformerPrior(5, [2, 2], classes=3, condition_dropout=0.0, dropout=0.0)
        runs.append(train(prior, source, out=tmp_path / str(parts), steps=3, log_every=1, accumulate=parts, **QUIET))
    losses = [[line["loss"] for line in run.log() if line["kind"] == "train"] for run in runs]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


def test_parts_must_be_equal() -> None:
    with pytest.raises(ConfigError, match=r"accumulate=3.*divisor of 16"):
        TrainConfig(steps=1, batch_size=16, accumulate=3)
    with pytest.raises(ConfigError, match="accumulate=0"):
        TrainConfig(steps=1, accumulate=0)
