"""Priors in the one loop: classes from the labels of the data, every class of prior, resumed bit for bit."""

from __future__ import annotations

import math
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from tests.training.cases import StopAfter
from vqkit.data import ArraySource, Batches, ConcatSource, load_source
from vqkit.errors import ConfigError, DataError, TrainingInterrupted
from vqkit.models import VQVAE
from vqkit.priors import ContextPrior, GatedPixelCNN, HistogramPrior, MaskedPrior, Prior, TransformerPrior
from vqkit.tokens import index_source, load_tokens, tokenize
from vqkit.training import TrainConfig, resume, train
from vqkit.training.evaluators.priors import PriorEvaluator
from vqkit.training.inputs.holdout import validation_split
from vqkit.training.recipes.prior import train_prior

QUIET: dict[str, Any] = {"quiet": True, "tensorboard": False}
SMALL: dict[str, Any] = {"hidden_channels": 8, "layers": 1}


def grids(count: int = 200, labels: bool = True, missing: int = 0) -> ArraySource:
    """Grids [2, 2] over 6 indices: all of an item's are twice its class, or one more."""
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 3, count)
    array = 2 * classes[:, None, None, None] + rng.integers(0, 2, (count, 1, 2, 2))
    shown = classes.copy()
    shown[:missing] = -1
    return ArraySource(array.astype(np.int32), labels=shown if labels else None)


def prior(kind: Any = GatedPixelCNN, **options: Any) -> Any:
    torch.manual_seed(0)
    return kind(6, [2, 2], **{**SMALL, "classes": 3, **options})


def same(a: Any, b: Any) -> bool:
    first, second = a.state_dict(), b.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    "kind", [GatedPixelCNN, TransformerPrior, MaskedPrior, ContextPrior], ids=lambda kind: kind.__name__
)
def test_a_prior_learns_the_classes_of_its_data(kind: Any, tmp_path: Path) -> None:
    source = grids(1000)
    made = prior(kind, hidden_channels=16, layers=2)
    run = train(made, source, out=tmp_path / "run", steps=200, batch_size=32, learning_rate=1e-2, **QUIET)
    assert run.evaluation is not None
    assert run.evaluation["nats_per_index"] == pytest.approx(math.log(2), abs=0.12)  # 0.97 without its class
    loaded = run.model()
    held = validation_split(source, TrainConfig())[1]
    assert held.labels is not None
    indices = torch.from_numpy(held.gather(range(len(held)))[:, 0]).long()
    with torch.no_grad():
        nats = -float(loaded.log_prob(indices, torch.from_numpy(held.labels)).double().mean()) / 4
        wrong = -float(loaded.log_prob(indices, torch.from_numpy((held.labels + 1) % 3)).double().mean()) / 4
    assert run.evaluation["nats_per_index"] == pytest.approx(nats, rel=1e-5)
    assert wrong > 1.5
    made = loaded.sample(30, torch.arange(30) % 3, generator=torch.Generator().manual_seed(0))
    assert float((made // 2 == (torch.arange(30) % 3)[:, None, None]).float().mean()) > 0.9


def test_each_step_shows_the_labels_of_its_own_items(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, seen = grids(), []
    inner = Prior.forward

    def watched(self: Prior, indices: torch.Tensor, condition: torch.Tensor | None = None) -> Any:
        assert condition is not None
        assert torch.equal(indices[:, 0, 0] // 2, condition)
        seen.append((self.training, condition))
        return inner(self, indices, condition)

    monkeypatch.setattr(Prior, "forward", watched)
    train(prior(), source, out=tmp_path / "run", steps=3, batch_size=16, evaluations=1, **QUIET)
    training, held = validation_split(source, TrainConfig())
    shown = torch.cat([condition for is_training, condition in seen if is_training])
    assert training.labels is not None
    with Batches(training, 16, seed=0) as batches:
        wanted = np.concatenate([training.labels[batches.indices(step)] for step in range(3)])
    assert shown.tolist() == wanted.tolist()
    judged = torch.cat([condition for is_training, condition in seen if not is_training])
    assert held.labels is not None
    assert judged.tolist() == held.labels.tolist()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (GatedPixelCNN, {"dropout": 0.2, "condition_dropout": 0.2}),
        (TransformerPrior, {"dropout": 0.2, "condition_dropout": 0.2}),
        (MaskedPrior, {"condition_dropout": 0.2}),
        (ContextPrior, {"condition_dropout": 0.2}),
    ],
    ids=str,
)
def test_it_resumes_bit_for_bit(
    kind: Any, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"steps": 12, "batch_size": 16, "evaluations": 2, "evaluation_items": 16}
    source = grids(missing=5)
    whole = train(prior(kind, **options), source, out=tmp_path / "whole", **settings, **QUIET)
    with pytest.raises(TrainingInterrupted) as stopped:
        train(
            prior(kind, **options),
            source,
            out=tmp_path / "part",
            checkpoint_seconds=0,
            callbacks=[StopAfter(7)],
            **settings,
            **QUIET,
        )
    part = stopped.value.run
    assert not part.finished
    assert same(whole.model(), resume(part.path, data=source, **QUIET).model())


def test_labels_that_do_not_fit_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    short: dict[str, Any] = {"out": tmp_path / "run", "steps": 2, "batch_size": 8, **QUIET}
    for model, source, message in [
        (prior(), grids(labels=False), r"classes=3: .*grids of indices.* have no labels.*classes=None"),
        (prior(classes=2), grids(), r"classes=2: the labels of array run from 0 to 2; .* classes=3"),
        (prior(), grids(missing=7), r"7 of 200 items of array have no label \(-1\).*condition_dropout=0.1"),
        (prior(classes=None, condition_dim=2), grids(), r"condition_dim=2: .* no vectors"),
    ]:
        with pytest.raises(ConfigError, match=message):
            train(model, source, **short)
    assert not (tmp_path / "run").exists()


def test_the_judge_wants_labels_too() -> None:
    judge = PriorEvaluator(grids(labels=False), 16, 8, None)
    with pytest.raises(ConfigError, match="have no labels"):
        judge.finalize(prior())
    free = prior(classes=None)
    assert judge.validate(free, 0)[0]["nats_per_index"] == pytest.approx(math.log(6), abs=1e-5)


def test_a_histogram_is_solved_in_one_pass(tmp_path: Path) -> None:
    source = grids()
    run = train(HistogramPrior(6, [2, 2], per_position=True), source, out=tmp_path / "run", **QUIET)
    assert run.finished
    training, held = (
        torch.from_numpy(each.gather(range(len(each)))[:, 0]).long() for each in validation_split(source, TrainConfig())
    )
    loaded = run.model()
    assert torch.equal(loaded.counts, HistogramPrior.of(training, 6, per_position=True).counts)
    assert run.evaluation is not None
    assert run.evaluation["nats_per_index"] == pytest.approx(-float(loaded.log_prob(held).mean()) / 4, rel=1e-9)
    assert run.evaluation["bits_per_item"] < run.evaluation["uniform_bits_per_item"] + 1


@pytest.mark.parametrize("terminal", [False, True])
def test_what_comes_before_the_first_step_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    monkeypatch.setattr("vqkit.training.record.progress._LINE_SECONDS", 0.0)
    digits = load_source("digits").subset(range(80))
    model = VQVAE(8, channels=1, code_dim=4, hidden_channels=8, residual_channels=4, downsampling=4).eval()
    shown = Console(file=StringIO(), force_terminal=terminal, width=200)
    settings = TrainConfig(steps=1, evaluations=0)
    train_prior(model, digits, tmp_path / "p", config=settings, prior_type="histogram", console=shown)
    assert "encoding" in shown.file.getvalue()
    assert terminal or "encoding: 80 of 80\n" in shown.file.getvalue()


def test_tokens_bring_their_labels(tmp_path: Path) -> None:
    torch.manual_seed(0)
    digits = load_source("digits").subset(range(100))
    network = {"hidden_channels": 8, "residual_channels": 4, "downsampling": 4, "residual_blocks": 1}
    model = VQVAE.for_source(digits, 8, code_dim=4, **network)
    model.prepare([torch.from_numpy(digits.gather(range(100)))])
    settings = TrainConfig(steps=3, batch_size=16, evaluations=0)
    run = train_prior(
        model.eval(),
        digits,
        tmp_path / "prior",
        config=settings,
        prior_type="transformer",
        options={**SMALL, "classes": 10},
        quiet=True,
    )
    loaded = run.model()
    assert isinstance(loaded, TransformerPrior)
    assert (loaded.classes, loaded.codebook_size, loaded.grid) == (10, 8, (2, 2))
    tokens = load_tokens(tmp_path / "prior" / "tokens")
    assert np.array_equal(index_source(tokens).labels, digits.labels)
    with pytest.raises(
        ConfigError, match=r"'zap' is unknown.*known: pixelcnn, transformer, masked, next_scale, context, histogram"
    ):
        train_prior(model, digits, tmp_path / "other", config=settings, prior_type="zap")


def test_vectors_are_a_condition_of_the_one_loop(tmp_path: Path) -> None:
    """Tokens that a vector tells, learned through the loop: without the vector they cost bits, with it hardly any."""
    torch.manual_seed(0)
    digits = load_source("digits").subset(range(240))
    model = VQVAE.for_source(digits, 8, code_dim=4, hidden_channels=8, residual_channels=4, downsampling=4)
    model.prepare([torch.from_numpy(digits.gather(range(240)))])
    model.eval()
    images: Any = torch.from_numpy(digits.gather(range(240)))
    vectors = torch.nn.functional.one_hot(model.encode(images), 8).flatten(1).numpy().astype(np.float64)
    made: dict[str, Any] = {
        "config": TrainConfig(steps=150, batch_size=32, learning_rate=1e-2, evaluations=1),
        "prior_type": "transformer",
        "quiet": True,
    }
    run = train_prior(model, digits, tmp_path / "p", options={**SMALL}, vectors=vectors, **made)
    assert run.model().conditions.dim == vectors.shape[1]
    free = train_prior(model, digits, tmp_path / "free", options={**SMALL}, **made)
    assert run.evaluation is not None
    assert free.evaluation is not None
    assert run.evaluation["bits_per_item"] < 0.5 * free.evaluation["bits_per_item"]
    tokens = load_tokens(tmp_path / "p" / "tokens")
    part = index_source(tokens).subset([5, 2])
    assert part.vectors is not None
    assert np.array_equal(part.vectors, vectors[[5, 2]].astype(np.float32))
    with pytest.raises(ConfigError, match="holds other vectors"):
        train_prior(model, digits, tmp_path / "p", options={**SMALL}, vectors=vectors + 1, **made)
    with pytest.raises(ConfigError, match=r"of shape \[3, 2\]; give numbers \[240, D\]"):
        train_prior(model, digits, tmp_path / "p2", options={**SMALL}, vectors=np.zeros((3, 2)), **made)


def test_vectors_of_another_length_are_refused(tmp_path: Path) -> None:
    source = grids(labels=False)
    with pytest.raises(DataError, match="vectors of shape"):
        ArraySource(source.gather([0, 1]), vectors=np.zeros((3, 2)))
    wrong = ArraySource(source.gather(range(len(source))), vectors=np.zeros((len(source), 3)))
    with pytest.raises(ConfigError, match=r"condition_dim=2: .* have vectors of 3 numbers"):
        train(prior(classes=None, condition_dim=2), wrong, out=tmp_path / "run", steps=2, batch_size=8, **QUIET)


def test_a_prior_of_photographs_learns_squares_and_holds_whole_images_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    photos = [ArraySource(rng.integers(0, 256, (1, 1, 40 + n, 48), dtype=np.uint8)) for n in range(4)]
    source = ConcatSource(photos)
    torch.manual_seed(0)
    model = VQVAE(8, code_dim=4, channels=1, hidden_channels=8, residual_channels=4, downsampling=4)
    model.prepare([torch.from_numpy(rng.integers(0, 256, (8, 1, 32, 32), dtype=np.uint8))])
    config = TrainConfig(steps=3, batch_size=8, evaluations=0, validation="last:1")
    made: dict[str, Any] = {"config": config, "prior_type": "pixelcnn", "options": {"hidden_channels": 8, "layers": 1}}
    run = train_prior(model.eval(), source, tmp_path / "p", crop=16, crops=21, quiet=True, **made)
    tokens = load_tokens(tmp_path / "p" / "tokens")
    assert tokens.grid == (4, 4)
    assert len(tokens) == 3 * 7 + 1  # three images to learn from, a square each seventh time; one of the fourth
    assert run.evaluation is not None
    assert run.evaluation["items"] == 1
    again = resume(run.path, quiet=True)
    assert again.finished
    default = train_prior(model.eval(), source, tmp_path / "q", crops=4, quiet=True, **made)
    assert default.model().grid == (10, 10)
    with pytest.raises(ConfigError, match="crop=10: give a multiple of the model's downsampling, 4"):
        train_prior(model, source, tmp_path / "r", crop=10, quiet=True, **made)
    with pytest.raises(ConfigError, match="vectors belong to whole items"):
        train_prior(model, source, tmp_path / "s", vectors=np.zeros((4, 2)), quiet=True, **made)


def test_tokens_of_more_codes_than_the_prior_knows_are_refused_before_they_are_read(tmp_path: Path) -> None:
    tokens = tokenize(
        VQVAE(16, channels=1, hidden_channels=8), load_source("builtin:digits").subset(range(4)), tmp_path / "tokens"
    )
    prior = HistogramPrior(8, tokens.grid)
    for data in (tokens, str(tmp_path / "tokens")):
        with pytest.raises(ConfigError, match=r"16 codes, the prior knows 8; make it with codebook_size=16"):
            train(prior, data, out=tmp_path / "run", quiet=True, tensorboard=False)
    assert not (tmp_path / "run").exists()
