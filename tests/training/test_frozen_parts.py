"""What a person froze stays frozen; evaluations leave every part in the mode it was in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.training.cases import StopAfter
from vqkit.data import ArraySource, evaluation_batches, load_source
from vqkit.errors import ConfigError, DataError, TrainingInterrupted
from vqkit.evaluation import evaluate
from vqkit.models import VQVAE, load_model
from vqkit.ops import evaluating
from vqkit.priors import ContextPrior, TransformerPrior
from vqkit.training import resume, train

QUIET: dict[str, Any] = {"quiet": True, "tensorboard": False, "batch_size": 8, "evaluations": 0}
TINY = {"hidden_channels": 8, "residual_channels": 4, "code_dim": 4, "downsampling": 2, "residual_blocks": 1}


@pytest.fixture(scope="module")
def source() -> ArraySource:
    generator = torch.Generator().manual_seed(0)
    found = load_source(torch.randint(0, 256, (64, 1, 8, 8), dtype=torch.uint8, generator=generator))
    assert isinstance(found, ArraySource)
    return found


def model_of(source: Any, **options: Any) -> VQVAE:
    torch.manual_seed(0)
    model = VQVAE.for_source(source, 16, **{**TINY, **options})
    model.prepare([torch.from_numpy(source.gather(range(32)))])
    return model


def state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def moved(before: dict[str, torch.Tensor], after: nn.Module) -> list[str]:
    return [name for name, value in after.state_dict().items() if not torch.equal(before[name], value)]


def test_a_frozen_encoder_is_frozen_after_an_interruption_too(
    source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_of(source)
    model.encoder.requires_grad_(False)
    encoder, decoder, scale = state(model.encoder), state(model.decoder), model.signal_mean.clone()
    with pytest.raises(TrainingInterrupted):
        train(model, source, out=tmp_path / "r", steps=8, checkpoint_seconds=0, callbacks=[StopAfter(3)], **QUIET)
    assert set(json.loads((tmp_path / "r" / "run.json").read_text())["frozen"]["parameters"]) == {
        f"encoder.{name}" for name, _ in model.encoder.named_parameters()
    }
    run = resume(tmp_path / "r", data=source, quiet=True, tensorboard=False)
    again = resume(run.path, data=source, quiet=True, tensorboard=False, steps=12)
    trained = load_model(again.path)
    assert not moved(encoder, trained.encoder)
    assert moved(decoder, trained.decoder)
    assert torch.equal(scale, trained.signal_mean)


@pytest.mark.parametrize("kind", ["ema", "gradient", "ibq", "simvq"])
@pytest.mark.parametrize("how", ["requires_grad", "evaluation", "setting"])
def test_a_frozen_codebook_neither_learns_nor_restarts_nor_settles(
    source: Any, tmp_path: Path, kind: str, how: str
) -> None:
    model = model_of(source, quantizer=kind, quantizer_options={"restart_below": 0.9, "restart_every": 1})
    settings: dict[str, Any] = {}
    if how == "requires_grad":
        model.eval()
        model.quantizer.requires_grad_(False)
    elif how == "evaluation":
        model.train()
        model.quantizer.eval()
        for parameter in model.quantizer.parameters():
            parameter.requires_grad_(False)
    else:
        settings["freeze"] = ["quantizer"]
    before, encoder = state(model.quantizer), state(model.encoder)
    run = train(model, source, out=tmp_path / "r", steps=6, **QUIET, **settings)
    assert not moved(before, model.quantizer)
    assert moved(encoder, model.encoder)
    longer = resume(run.path, data=source, quiet=True, tensorboard=False, steps=9)
    assert not moved(before, load_model(longer.path).quantizer)
    if how == "setting":  # of one training, not of the model
        assert all(parameter.requires_grad for parameter in model.parameters())
        assert not model.quantizer.frozen
        train(model, source, out=tmp_path / "s", steps=6, **QUIET)
        assert moved(before, model.quantizer)


@pytest.mark.parametrize("stacking", ["product", "residual"])
def test_all_codebooks_of_several_are_frozen(source: Any, stacking: str) -> None:
    model = model_of(source, num_codebooks=2, stacking=stacking)
    model.requires_grad_(False)
    model.encoder.requires_grad_(True)
    before = state(model.quantizer)
    model.train()
    model(torch.from_numpy(source.gather(range(16)))).loss.backward()
    assert not moved(before, model.quantizer)
    model.requires_grad_(True)
    model(torch.from_numpy(source.gather(range(16))))
    assert moved(before, model.quantizer)


def test_a_frozen_projection_keeps_its_running_means(source: Any) -> None:
    model = model_of(source, quantizer="fsq", code_dim=8).train()
    x = torch.from_numpy(source.gather(range(16)))
    before = state(model.quantizer)
    model.quantizer.requires_grad_(False)
    model(x)
    assert not moved(before, model.quantizer)
    model.quantizer.requires_grad_(True)
    model(x)
    assert moved(before, model.quantizer)


def test_a_frozen_linear_path_is_not_set_anew(source: Any, tmp_path: Path) -> None:
    model = model_of(source, linear_path=True)
    assert model.linear_path is not None
    with torch.no_grad():
        for parameter in model.linear_path.parameters():
            parameter.add_(0.1)
    model.linear_path.requires_grad_(False)
    before = state(model.linear_path)
    train(model, source, out=tmp_path / "r", steps=2, **QUIET)
    assert not moved(before, model.linear_path)


def test_a_part_in_evaluation_mode_stays_there_while_training(source: Any, tmp_path: Path) -> None:
    seen = []

    class Watched(nn.Dropout):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if torch.is_grad_enabled():
                seen.append(self.training)
            return super().forward(x)

    model = model_of(source).train()
    model.encoder.add_module("watched", Watched(0.5))
    forward = model.encoder.forward
    model.encoder.forward = lambda x: model.encoder.watched(forward(x))  # type: ignore[method-assign]
    model.encoder.watched.eval()
    from vqkit.training.optim.frozen import Frozen

    frozen = Frozen.of(model)
    assert frozen.modules == ("encoder.watched",)
    model.eval()
    frozen.train(model)
    model(torch.from_numpy(source.gather(range(8))))
    assert seen == [False]
    assert model.decoder.training


def test_nothing_to_train_and_unknown_parts_are_refused(source: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="encoder, decoder"):
        train(model_of(source), source, out=tmp_path / "a", steps=2, freeze=["codec"], **QUIET)
    model = model_of(source).requires_grad_(False)
    with pytest.raises(ConfigError, match="requires_grad_"):
        train(model, source, out=tmp_path / "b", steps=2, **QUIET)


def test_a_new_model_with_a_frozen_codebook_has_its_first_codes_from_the_data(source: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = VQVAE.for_source(source, 16, **TINY)
    random = model.codebook.clone()
    train(model, source, out=tmp_path / "r", steps=3, freeze=["quantizer"], **QUIET)
    first = train(VQVAE.for_source(source, 16, **TINY), source, out=tmp_path / "s", steps=1, **QUIET)
    assert first.finished
    assert not torch.equal(random, model.codebook)
    assert int(model.quantizer.updates) == 0


def test_evaluations_leave_every_part_in_its_mode(source: Any) -> None:
    model = model_of(source).train()
    model.quantizer.eval()
    modes = [part.training for part in model.modules()]
    evaluate(model, evaluation_batches(source, 16))
    assert [part.training for part in model.modules()] == modes
    model.recalibrate_codebook([torch.from_numpy(source.gather(range(8)))])
    assert [part.training for part in model.modules()] == modes
    with evaluating(model):
        assert not any(part.training for part in model.modules())
    assert [part.training for part in model.modules()] == modes
    with pytest.raises(DataError), evaluating(model):
        model.encode(torch.zeros(1, 7, 8, 8))
    assert [part.training for part in model.modules()] == modes


@pytest.mark.parametrize("kind", [ContextPrior, TransformerPrior])
def test_sampling_leaves_every_part_in_its_mode(kind: Any) -> None:
    prior = kind(5, [2, 2]).train()
    next(iter(prior.children())).eval()
    modes = [part.training for part in prior.modules()]
    prior.sample(2)
    if isinstance(prior, ContextPrior):
        prior.frequencies(torch.zeros(1, 2, 2, 1, dtype=torch.int64), prior.steps([2, 2])[0])
    else:
        prior.stepwise_logits(torch.zeros(1, 2, 2, dtype=torch.int64))
    assert [part.training for part in prior.modules()] == modes
