"""Minutes are minutes whatever watches them, and Ctrl-C and SIGTERM are obeyed wherever a run is."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from vqkit.cli.main import app
from vqkit.data import ArraySource, load_source
from vqkit.errors import TrainingInterrupted
from vqkit.evaluation import evaluation
from vqkit.models import PCA, VQVAE, load_model
from vqkit.priors import HistogramPrior
from vqkit.training import budget, resume, train
from vqkit.training.budget import Budget
from vqkit.training.checkpoints import checkpoint
from vqkit.training.evaluators.priors import PriorEvaluator
from vqkit.training.evaluators.watch import Watch, spread_order
from vqkit.training.interrupt import StoppedError, StopRequest, stop_on_signal

QUIET: dict[str, Any] = {"quiet": True, "tensorboard": False, "batch_size": 8}
TINY = {"hidden_channels": 8, "residual_channels": 4, "code_dim": 4, "downsampling": 2, "residual_blocks": 1}
TIMES = {"seconds", "signals_per_second", "step_seconds", "watching_seconds", "rate"}
PROMPT = 3.0


@pytest.fixture(scope="module")
def source() -> Any:
    return load_source(torch.randint(0, 256, (300, 1, 8, 8), generator=torch.Generator().manual_seed(0)).byte())


@pytest.fixture(autouse=True)
def handlers() -> Any:
    before = [signal.signal(signal.SIGINT, signal.default_int_handler), signal.getsignal(signal.SIGTERM)]
    yield
    signal.signal(signal.SIGINT, before[0])
    signal.signal(signal.SIGTERM, before[1])


def model_of(source: Any) -> VQVAE:
    torch.manual_seed(0)
    return VQVAE.for_source(source, 16, **TINY)


def lines(run: Any) -> list[dict[str, Any]]:
    return [{name: value for name, value in line.items() if name not in TIMES} for line in run.log()]


def slowly(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let the judging of an item take so long."""
    add = evaluation.RunningEvaluation.add

    def slow(self: Any, batch: torch.Tensor) -> None:
        time.sleep(seconds * len(batch))
        add(self, batch)

    monkeypatch.setattr(evaluation.RunningEvaluation, "add", slow)


def once(number: signal.Signals, seconds: float = 30.0) -> Callable[..., None]:
    """Sends a signal to this process the first time, and takes long."""
    calls = []

    def call(*_: Any, **__: Any) -> None:
        calls.append(time.monotonic())
        if len(calls) == 1:
            os.kill(os.getpid(), number)
            time.sleep(seconds)

    return call


def before(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, first: Callable[..., None]) -> None:
    """Let ``first`` run before a method."""
    method = getattr(owner, name)

    def both(*arguments: Any, **named: Any) -> Any:
        first()
        return method(*arguments, **named)

    monkeypatch.setattr(owner, name, both)


def test_most_of_the_minutes_are_steps_and_the_end_is_on_time(
    source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "_LEAST_ENDING", 0.1)
    slowly(monkeypatch, 0.02)  # all 30 held-out items: 0.6 s, ten times over and once more: more than all the time
    start = time.monotonic()
    run = train(model_of(source), source, out=tmp_path / "r", minutes=0.075, log_every=5, **QUIET)
    passed = time.monotonic() - start
    trained = [line for line in run.log() if line["kind"] == "train"][-1]
    assert passed < 4.5 + 1.5  # the first codebook is before the first step
    assert trained["step_seconds"] >= 0.85 * 4.5
    assert trained["watching_seconds"] <= 0.1 * 4.5
    validations = [line for line in run.log() if line["kind"] == "validation"]
    assert validations
    assert all(1 <= line["items"] <= line["of"] == 30 for line in validations)
    assert run.evaluation is not None
    assert 1 <= run.evaluation["items"] < run.evaluation["of"] == 30
    assert run.log()[-1]["of"] == 30


def test_a_run_of_steps_judges_what_it_is_told_to(source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slowly(monkeypatch, 0.005)
    run = train(model_of(source), source, out=tmp_path / "r", steps=4, evaluations=2, evaluation_items=20, **QUIET)
    judged = [(line["kind"], line["items"], line["of"]) for line in run.log() if "items" in line]
    assert judged == [("validation", 20, 30), ("final", 30, 30)]


def test_the_budget_of_minutes() -> None:
    clock = Budget(10.0)
    assert clock.training_seconds == pytest.approx(570)
    assert clock.left_to_watch(100.0) == pytest.approx(5.0)
    assert clock.left_to_end(571.0) == pytest.approx(29.0)
    assert clock.left_to_end(999.0) == pytest.approx(5.0)
    clock.restore({"step_seconds": 3.0, "watching_seconds": 4.0})
    assert clock.left_to_watch(100.0) == pytest.approx(1.0)
    assert clock.between_checkpoints(60.0) == 60.0
    with clock.saving():
        time.sleep(0.05)
    assert clock.between_checkpoints(0.0) > 1.0  # fifty times as long as it takes to write one
    assert (Budget(None).left_to_watch(1.0), Budget(None).left_to_end(1.0)) == (None, None)
    assert Budget(None).between_checkpoints(0.0) == 0.0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_evaluation_along_the_way_is_broken_off_and_made_again(
    source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    settings = {"steps": 12, "evaluations": 3, "log_every": 3}
    whole = train(model_of(source), source, out=tmp_path / "whole", **settings, **QUIET)
    before(monkeypatch, evaluation.RunningEvaluation, "result", once(number))
    start = time.monotonic()
    with pytest.raises(TrainingInterrupted) as stopped:
        train(model_of(source), source, out=tmp_path / "part", **settings, **QUIET)
    assert time.monotonic() - start < PROMPT
    assert (stopped.value.run.finished, stopped.value.run.step) == (False, 4)
    rest = resume(tmp_path / "part", data=source, quiet=True, tensorboard=False)
    assert [line for line in lines(rest) if line["kind"] != "final"] == [
        line for line in lines(whole) if line["kind"] != "final"
    ]
    assert all(torch.equal(a, b) for a, b in zip(whole.model().parameters(), rest.model().parameters(), strict=True))


def test_the_last_evaluation_is_cut_short_with_what_it_has_and_the_model_is_kept(
    source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vqkit.training.evaluators import selection

    monkeypatch.setattr(selection, "_EVALUATED_AT_ONCE", 64 * 8)
    calls = []
    add = evaluation.RunningEvaluation.add

    def third(self: Any, batch: torch.Tensor) -> None:
        calls.append(len(batch))
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(30)
        add(self, batch)

    monkeypatch.setattr(evaluation.RunningEvaluation, "add", third)
    start = time.monotonic()
    with pytest.raises(TrainingInterrupted) as stopped:
        train(model_of(source), source, out=tmp_path / "r", steps=3, evaluations=0, **QUIET)
    assert time.monotonic() - start < PROMPT
    run = stopped.value.run
    assert run.finished
    assert (run.evaluation["items"], run.evaluation["of"]) == (16, 30)
    assert run.log()[-1]["kind"] == "final"
    assert load_model(run.path).codebook_size == 16


@pytest.mark.parametrize("where", ["recalibrate_codebook", "finish"])
def test_what_comes_after_the_last_step_is_broken_off_and_made_again(
    source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    whole = train(model_of(source), source, out=tmp_path / "whole", steps=3, evaluations=0, **QUIET)
    before(monkeypatch, VQVAE, where, once(signal.SIGINT))
    start = time.monotonic()
    with pytest.raises(TrainingInterrupted) as stopped:
        train(model_of(source), source, out=tmp_path / "part", steps=3, evaluations=0, **QUIET)
    assert time.monotonic() - start < PROMPT
    assert not stopped.value.run.finished
    rest = resume(tmp_path / "part", data=source, quiet=True, tensorboard=False)
    expected = whole.model().state_dict()
    assert all(torch.equal(expected[name], value) for name, value in rest.model().state_dict().items())


def test_a_long_first_step_is_broken_off(source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = time.monotonic()
    model = model_of(source)
    before(monkeypatch, VQVAE, "forward", once(signal.SIGTERM))
    with pytest.raises(TrainingInterrupted) as stopped:
        train(model, source, out=tmp_path / "r", steps=3, evaluations=0, **QUIET)
    assert time.monotonic() - start < PROMPT
    assert stopped.value.run.step == 0
    assert resume(tmp_path / "r", data=source, quiet=True, tensorboard=False).finished


def test_a_step_is_finished_and_saved(source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def second() -> None:
        calls.append(1)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    before(monkeypatch, VQVAE, "forward", second)
    with pytest.raises(TrainingInterrupted) as stopped:
        train(model_of(source), source, out=tmp_path / "r", steps=9, evaluations=0, **QUIET)
    saved, _ = checkpoint.latest(tmp_path / "r" / "checkpoints")
    assert saved is not None
    assert stopped.value.run.step == saved.step == 2


def test_equations_are_broken_off(source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before(monkeypatch, PCA, "fit", once(signal.SIGTERM))
    start = time.monotonic()
    with pytest.raises(TrainingInterrupted):
        train(PCA.for_source(source, 3), source, out=tmp_path / "r", **QUIET)
    assert time.monotonic() - start < PROMPT
    assert resume(tmp_path / "r", data=source, quiet=True, tensorboard=False).finished


def test_a_loop_of_trainings_ends(source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before(monkeypatch, VQVAE, "forward", once(signal.SIGINT, 0.0))
    begun = []

    def trainings() -> None:
        for number in range(3):
            begun.append(number)
            train(model_of(source), source, out=tmp_path / str(number), steps=3, evaluations=0, **QUIET)

    with pytest.raises(KeyboardInterrupt):
        trainings()
    assert begun == [0]


def test_the_command_line_ends_with_status_130(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before(monkeypatch, VQVAE, "forward", once(signal.SIGTERM, 0.0))
    options = ["--codebook-size", "16", "--hidden-channels", "8", "--code-dim", "4", "--residual-channels", "4"]
    options += ["--steps", "3", "--threads", "1"]
    out = ["--out", str(tmp_path / "r"), "--no-tensorboard"]
    done = CliRunner().invoke(app, ["train", "digits", *options, *out])
    assert done.exit_code == 130
    monkeypatch.undo()
    assert CliRunner().invoke(app, ["train", "--resume", str(tmp_path / "r"), "--threads", "1"]).exit_code == 0


def test_signals_within_and_without_at_once() -> None:
    with stop_on_signal() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.asked  # remembered
        with pytest.raises(StoppedError), stop.at_once():
            raise AssertionError
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    with stop_on_signal(alone=False) as several, several.at_once():
        os.kill(os.getpid(), signal.SIGTERM)  # processes that train together agree on when to end
    assert several.asked


@pytest.mark.parametrize("count", [1, 2, 5, 64, 100])
def test_every_beginning_of_the_order_is_spread(count: int) -> None:
    order = spread_order(count)
    assert sorted(order) == list(range(count))
    for few in (2, 4, 8, 16):
        if few <= count:
            gaps = np.diff([-1, *sorted(order[:few]), count])
            assert gaps.max() <= 2 * count / few + 1


def test_a_watch_with_little_time_takes_the_same_items_in_small_batches() -> None:
    grids = ArraySource(np.arange(60, dtype=np.int32).reshape(60, 1, 1), name="numbers")
    seen: list[int] = []

    def one(numbers: Any, batch: torch.Tensor) -> int:
        assert batch.flatten().tolist() == list(numbers)
        seen.extend(numbers)
        time.sleep(0.01 * len(numbers))
        return len(numbers)

    sizes = Watch(0.15).each(grids, 16, one)
    assert sizes[:2] == [1, 2]
    assert 3 <= sum(sizes) < 30
    assert seen == list(spread_order(60)[: len(seen)])
    assert sum(Watch(5.0).each(grids, 16, lambda numbers, _: len(numbers), most=20)) == 20
    assert Watch(0.0).each(grids, 16, lambda numbers, _: len(numbers)) == [1]
    assert Watch().each(grids, 16, lambda numbers, _: len(numbers)) == [16, 16, 16, 12]


def test_what_was_judged_before_a_signal_counts_where_it_may() -> None:
    grids = ArraySource(np.zeros((60, 1, 1), dtype=np.int32), name="numbers")
    for keeps in (True, False):
        stop = StopRequest()

        def one(numbers: Any, _: torch.Tensor, stop: StopRequest = stop) -> int:
            stop.asked = True
            return len(numbers)

        watch = Watch(stop=stop, keeps=keeps)
        if keeps:
            assert watch.each(grids, 16, one) == [16]
        else:
            with pytest.raises(StoppedError):
                watch.each(grids, 16, one)


def test_a_long_evaluation_says_how_long_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    from vqkit.training.evaluators import watch

    monkeypatch.setattr(watch, "_TELL_AFTER", 0.01)
    monkeypatch.setattr(watch, "_LONG", 0.02)
    grids = ArraySource(np.zeros((60, 1, 1), dtype=np.int32), name="numbers")
    said: list[str] = []
    watch.Watch(say=said.append).each(grids, 10, lambda *_: time.sleep(0.02))
    assert len(said) == 1
    assert "60 items" in said[0]
    assert "Ctrl-C" in said[0]


def test_evaluations_in_little_time_are_of_the_same_items_first() -> None:
    grids = ArraySource((np.arange(100, dtype=np.int32) % 4).reshape(50, 1, 2), name="numbers")
    judge = PriorEvaluator(grids, 8, 40, None)
    prior = HistogramPrior(4, [2])
    seen: list[list[int]] = []

    def noted(watch: Watch) -> Watch:
        batches = watch._batches

        def noting(*arguments: Any) -> Any:
            seen.append([])
            for numbers, batch in batches(*arguments):
                seen[-1] += list(numbers)
                yield numbers, batch

        watch._batches = noting  # type: ignore[method-assign]
        return watch

    found = [judge.validate(prior, 1, noted(Watch(seconds))) for seconds in (0.0, 9.0)]
    found.append(judge.finalize(prior, noted(Watch(9.0))))
    assert [(each[0]["items"], each[0]["of"]) for each in found if each] == [(1, 50), (40, 50), (50, 50)]
    assert seen[0] == seen[1][:1]
    assert seen[1] == seen[2][:40]
