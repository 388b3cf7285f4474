"""A loop of one's own around a model, by the three calls of docs/own-loop.md, is no other than that of ``train``."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import vqkit
from vqkit.errors import DataError
from vqkit.quantizers import whole_batch
from vqkit.training.optim.schedules import learning_rate_factor

pytestmark = pytest.mark.usefixtures("whole_endings")

BATCH, STEPS = 16, 8
SMALL: dict[str, Any] = {"hidden_channels": 8, "residual_channels": 4, "residual_blocks": 1, "seed": 3}


def digits() -> tuple[Any, Any]:
    data = vqkit.load_source("digits")
    return data.subset(range(400)), data.subset(range(400, 500))


def build(kind: str, data: Any) -> Any:
    if kind == "autoencoder":
        return vqkit.Autoencoder.for_source(data, 4, **SMALL)
    linear = {"linear_path": True} if kind == "linear" else {}
    return vqkit.VQVAE.for_source(data, 16, code_dim=8, downsampling=2, **linear, **SMALL)


def whole(count: float) -> int:
    return math.ceil(count / BATCH)


def own_loop(model: Any, data: Any, parts: int) -> None:
    """As the page has it; batches, schedule, optimizer and clipping as ``train`` has them."""
    batches = vqkit.Batches(data, BATCH, seed=0)

    def some(first: int, count: int) -> Iterator[Tensor]:
        return (batches.batch(step) for step in range(first, first + count))

    torch.manual_seed(0)
    model.prepare(some(0, whole(len(data))))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0.0, fused=True)
    model.train()
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * learning_rate_factor(step, step / STEPS, 0)
        optimizer.zero_grad()
        with whole_batch(model):
            for number, part in enumerate(batches.batch(step).chunk(parts)):
                if number:
                    model.another_part()
                (model(part).loss / parts).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    model.eval()
    if model.recalibration_positions:
        positions = model.count_positions(batches.batch(0)[:1])
        model.recalibrate_codebook(some(STEPS, math.ceil(model.recalibration_positions / (BATCH * positions))))
    model.finish(some(0, whole(len(data))))


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("kind", ["vqvae", "linear", "autoencoder"])
def test_it_gives_the_weights_of_train(kind: str, parts: int, tmp_path: Path) -> None:
    training, held_out = digits()
    ours, own = build(kind, training), build(kind, training)
    settings = {"steps": STEPS, "batch_size": BATCH, "warmup_steps": 0, "average_decay": 0.0, "accumulate": parts}
    silent = {"quiet": True, "tensorboard": False, "evaluations": 0}
    vqkit.train(ours, training, out=tmp_path / "run", validation=held_out, **settings, **silent)
    own_loop(own, training, parts)
    assert own.state_dict().keys() == ours.state_dict().keys()
    for name, value in ours.state_dict().items():
        torch.testing.assert_close(own.state_dict()[name], value, rtol=0, atol=0, msg=name)


def test_what_each_call_is_for() -> None:
    training, _ = digits()
    batches = [vqkit.Batches(training, 64, seed=0).batch(step) for step in range(6)]
    model: Any = build("vqvae", training)
    assert not model.has_trained
    model.prepare(batches)
    values = torch.as_tensor(training[:384]).float() / 255
    assert float(model.signal_std) == pytest.approx(float(values.std()), rel=0.05)
    assert model.quantizer.initialized
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    average = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9), use_buffers=True
    )
    for step in range(20):
        optimizer.zero_grad()
        model.train()(batches[step % 6]).loss.backward()
        optimizer.step()
        average.update_parameters(model)
    assert model.has_trained
    kept: Any = average.module.eval()

    def distance() -> float:
        with torch.no_grad():
            latents = kept.latents(batches[0])
            return float((latents - kept.quantizer.lookup(kept.quantizer.encode(latents))).square().mean())

    before = distance()
    kept.recalibrate_codebook(batches)
    assert distance() < before
    scale = kept.likelihood.log_scale.clone()
    pictures = kept.reconstruct(batches[0])
    kept.finish(batches)
    assert not torch.equal(kept.likelihood.log_scale, scale)
    assert torch.equal(kept.reconstruct(batches[0]), pictures)


def test_without_the_bracket_each_part_would_move_the_codebook() -> None:
    training, _ = digits()
    model: Any = build("vqvae", training)
    model.prepare([torch.as_tensor(training[:128])])
    other = copy.deepcopy(model)
    x = torch.as_tensor(training[:32])
    with whole_batch(model):
        for number, part in enumerate(x.chunk(2)):
            if number:
                model.another_part()
            model.train()(part).loss.backward()
    for part in x.chunk(2):
        other.train()(part).loss.backward()
    assert (int(model.quantizer.updates), int(model.steps_seen)) == (1, 1)
    assert (int(other.quantizer.updates), int(other.steps_seen)) == (2, 2)


def test_the_calls_take_batches_as_loaders_give_them() -> None:
    training, _ = digits()
    images = torch.as_tensor(training[:96])
    states = []
    for batches in (
        list(images.split(48)),
        [part.numpy() for part in images.split(48)],
        torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images, torch.arange(96)), batch_size=48),
        [{"image": part, "label": torch.zeros(48)} for part in images.split(48)],
    ):
        for kind in ("vqvae", "autoencoder"):
            model: Any = build(kind, training)
            model.prepare(batches)
            model.eval()
            model.recalibrate_codebook(batches)
            model.finish(batches)
            states.append(model.state_dict())
    for number, state in enumerate(states[2:], 2):
        for name, value in states[number % 2].items():
            assert torch.equal(state[name], value), (number, name)
    model.prepare(images)  # one batch
    with pytest.raises(DataError, match="channels=1"):
        model.finish([torch.zeros(4, 3, 8, 8)])
    for wrong in (torch.zeros(1, 3, 2, 2), torch.zeros(1, 5)):
        with pytest.raises(ValueError, match="latents have shape"):
            model.decode_latents(wrong)
    vqvae: Any = build("vqvae", training)
    with pytest.raises(ValueError, match=r"size \(17, 17\) has a grid"):
        vqvae.decode_latents(torch.zeros(1, 8, 4, 4), (17, 17))
