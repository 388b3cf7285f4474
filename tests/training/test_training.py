"""The loop: resume bit for bit, interruption, NaN, full disk, collapse, schedule, settings."""

from __future__ import annotations

import itertools
import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vqkit
from tests.training.cases import StopAfter
from vqkit.data import ArraySource, load_source
from vqkit.errors import ConfigError, DataError, ModelFolderError, TrainingInterrupted, TrainingStopped
from vqkit.models import VQVAE
from vqkit.training import TrainConfig, resume, train
from vqkit.training.checkpoints import checkpoint
from vqkit.training.diagnostics.collapse import CodebookMonitor
from vqkit.training.optim.average import WeightAverage
from vqkit.training.optim.schedules import learning_rate_factor

TINY = {"hidden_channels": 8, "residual_channels": 4, "code_dim": 4, "downsampling": 2, "residual_blocks": 1}
QUIET = {"quiet": True, "tensorboard": False}


def tiny(source: Any, **options: Any) -> VQVAE:
    torch.manual_seed(0)
    return VQVAE.for_source(source, 16, **{**TINY, **options})


def tensors(run: Any) -> dict[str, torch.Tensor]:
    return dict(run.model().state_dict())


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def digits() -> Any:
    return load_source("digits")


def test_training_learns_and_writes_a_readable_run(digits: Any, tmp_path: Path) -> None:
    model = tiny(digits)
    run = train(
        model, digits, out=tmp_path / "run", steps=120, log_every=20, evaluations=2, learning_rate=5e-3, **QUIET
    )
    assert run.finished
    assert run.evaluation is not None
    assert run.evaluation["psnr_db"] > 11.5  # the mean digit gives 8.4 dB
    kinds = [entry["kind"] for entry in run.log()]
    assert kinds.count("train") == 6
    assert kinds.count("final") == 1
    assert (tmp_path / "run" / "pictures" / "final.png").is_file()
    assert same(tensors(run), dict(model.state_dict()))  # the caller's model holds what was saved
    assert not model.training
    assert not list((tmp_path / "run").rglob("*.part"))
    settings = json.loads((tmp_path / "run" / "run.json").read_text())
    assert settings["model"]["codebook_size"] == 16


@pytest.mark.parametrize("kind", ["ema", "gradient"])
def test_resume_continues_bit_for_bit(digits: Any, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"steps": 24, "log_every": 5, "evaluations": 3, "flip": True, "crop": 6, "weight_decay": 0.01}
    whole = train(tiny(digits, quantizer=kind), "digits", out=tmp_path / "whole", **settings, **QUIET)
    with pytest.raises(TrainingInterrupted) as stopped:
        train(
            tiny(digits, quantizer=kind),
            "digits",
            out=tmp_path / "part",
            checkpoint_seconds=0,
            callbacks=[StopAfter(11)],
            **settings,
            **QUIET,
        )
    part = stopped.value.run
    assert not part.finished
    assert 11 <= part.step < 24
    rest = resume(tmp_path / "part", **QUIET)
    assert rest.finished
    assert same(tensors(whole), tensors(rest))
    for name in ("model.safetensors", "config.json"):
        assert (whole.path / "model" / name).read_bytes() == (rest.path / "model" / name).read_bytes()
    skip = {"seconds", "signals_per_second", "step_seconds", "watching_seconds"}
    logs = [[{k: v for k, v in entry.items() if k not in skip} for entry in run.log()] for run in (whole, rest)]
    assert logs[0] == logs[1]


def test_the_state_of_a_run_includes_the_random_generator(digits: Any) -> None:
    from vqkit.training.checkpoints import state

    model, shadow = tiny(digits), tiny(digits)
    optimizer = torch.optim.AdamW(model.parameters())
    torch.manual_seed(77)
    saved = state.collect(model, shadow, optimizer)
    expected = torch.rand(3)
    torch.manual_seed(78)
    state.restore(saved, model, shadow, optimizer)
    assert torch.equal(torch.rand(3), expected)


def test_ctrl_c_saves_and_a_second_one_ends_at_once(digits: Any, tmp_path: Path) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it

    def interrupt() -> None:
        time.sleep(1.0)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(TrainingInterrupted) as stopped:
        train(tiny(digits), digits, out=tmp_path / "run", minutes=5, **QUIET)
    thread.join()
    run = stopped.value.run
    assert not run.finished
    assert checkpoint.latest(tmp_path / "run" / "checkpoints")[0].step == run.step  # type: ignore[union-attr]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_damaged_checkpoint_is_passed_over(digits: Any, tmp_path: Path) -> None:
    whole = train(tiny(digits), "digits", out=tmp_path / "a", steps=20, **QUIET)
    run = train(tiny(digits), "digits", out=tmp_path / "b", steps=20, checkpoint_seconds=0, keep_checkpoints=3, **QUIET)
    newest, older = (checkpoint.found(run.path / "checkpoints")[i] for i in (-1, -2))
    data = (newest / "state.safetensors").read_bytes()
    (newest / "state.safetensors").write_bytes(data[:-3] + b"xyz")
    (older / "state.json").write_text((older / "state.json").read_text()[:-20])
    saved, problems = checkpoint.latest(run.path / "checkpoints")
    assert len(problems) == 2
    assert saved is not None
    assert saved.step == 18
    assert same(tensors(whole), tensors(resume(run.path, **QUIET)))


def test_a_start_that_was_killed_can_be_repeated_and_a_run_without_checkpoints_is_refused(
    digits: Any, tmp_path: Path
) -> None:
    (tmp_path / "run" / "checkpoints" / ".step_000000000.xyz.part").mkdir(parents=True)
    (tmp_path / "run" / ".run.json.abc.part").write_text("{")
    run = train(tiny(digits), "digits", out=tmp_path / "run", steps=4, **QUIET)
    assert not list(run.path.rglob("*.part"))
    for folder in checkpoint.found(run.path / "checkpoints"):
        (folder / "state.json").write_text("{}")
    with pytest.raises(ModelFolderError, match="none of its checkpoints"):
        resume(run.path, **QUIET)


def test_weights_that_no_seed_gives_survive_a_kill_before_the_first_steps(digits: Any, tmp_path: Path) -> None:
    def model() -> VQVAE:
        torch.manual_seed(12345)  # not the run's seed
        return VQVAE.for_source(digits, 16, **TINY)

    whole = train(model(), "digits", out=tmp_path / "a", steps=6, keep_checkpoints=9, **QUIET)
    assert [path.name for path in checkpoint.found(whole.path / "checkpoints")] == ["step_000000000", "step_000000006"]
    (whole.path / "checkpoints" / "step_000000006" / "state.json").unlink()
    expected = tensors(whole)
    assert same(expected, tensors(resume(whole.path, **QUIET)))


def test_checkpoints_of_an_abandoned_future_go_and_the_newest_stay(tmp_path: Path) -> None:
    for step in (10, 20, 30, 40):
        checkpoint.save(tmp_path, step, {"x": torch.ones(2)}, {}, 9)
    checkpoint.save(tmp_path, 25, {"x": torch.zeros(2)}, {}, 2)
    assert [path.name for path in checkpoint.found(tmp_path)] == ["step_000000020", "step_000000025"]
    assert len(list(tmp_path.iterdir())) == 2


def test_resume_refuses_other_data_and_contradictions(digits: Any, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, size=(40, 8, 8, 1), dtype=np.uint8)
    np.save(tmp_path / "data.npy", images)
    run = train(tiny(digits), tmp_path / "data.npy", out=tmp_path / "run", steps=3, **QUIET)
    np.save(tmp_path / "data.npy", images[:-1])
    with pytest.raises(DataError, match="not the data"):
        resume(run.path, **QUIET)
    with pytest.raises(ConfigError, match="one of the two"):
        resume(run.path, steps=5, minutes=1, **QUIET)


def test_a_longer_run_goes_on_evaluating(digits: Any, tmp_path: Path) -> None:
    run = train(tiny(digits), "digits", out=tmp_path / "run", steps=20, evaluations=4, **QUIET)
    longer = resume(run.path, steps=40, **QUIET)
    steps = [entry["step"] for entry in longer.log() if entry["kind"] == "validation"]
    assert any(step > 20 for step in steps)
    assert [entry["step"] for entry in longer.log() if entry["kind"] == "final"] == [40]


def test_two_processes_never_share_a_folder(digits: Any, tmp_path: Path) -> None:
    from vqkit.training.record.run import locked

    with locked(tmp_path / "run", True), pytest.raises(ConfigError, match="already training here"):
        train(tiny(digits), digits, out=tmp_path / "run", steps=2, **QUIET)


def test_nan_stops_with_step_tensor_and_checkpoint(
    digits: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny(digits)
    original = VQVAE.forward
    calls = 0

    def poisoned(self: VQVAE, x: torch.Tensor) -> Any:
        nonlocal calls
        calls += 1
        if calls == 8:
            with torch.no_grad():
                next(self.decoder.parameters())[0] = float("nan")
        return original(self, x)

    monkeypatch.setattr(VQVAE, "forward", poisoned)
    with pytest.raises(TrainingStopped, match=r"step 7: in parameter decoder.*last good checkpoint is .*step_"):
        train(model, digits, out=tmp_path / "run", steps=20, checkpoint_seconds=0, **QUIET)
    monkeypatch.undo()
    saved, _ = checkpoint.latest(tmp_path / "run" / "checkpoints")
    assert saved is not None
    assert all(torch.isfinite(t).all() for t in saved.tensors.values() if t.is_floating_point())


def test_a_full_disk_costs_a_checkpoint_not_the_run(
    digits: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, failures = checkpoint.save, []

    def sometimes_full(folder: Path, step: int, *rest: Any) -> Path:
        if step == 5:
            failures.append(step)
            raise OSError(28, "No space left on device")
        return keep(folder, step, *rest)

    monkeypatch.setattr(checkpoint, "save", sometimes_full)
    run = train(tiny(digits), digits, out=tmp_path / "run", steps=10, checkpoint_seconds=0, **QUIET)
    assert failures
    assert run.finished

    def always_full(*_: Any) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save", always_full)
    with pytest.raises(TrainingStopped, match="No space left"):
        train(tiny(digits), digits, out=tmp_path / "full", steps=3, **QUIET)


def test_run_folders_are_never_overwritten(digits: Any, tmp_path: Path) -> None:
    train(tiny(digits), digits, out=tmp_path / "run", steps=2, **QUIET)
    with pytest.raises(ConfigError, match=r"vqkit\.resume"):
        train(tiny(digits), digits, out=tmp_path / "run", steps=2, **QUIET)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "precious.txt").write_text("x")
    with pytest.raises(ConfigError, match="something that is not a run"):
        train(tiny(digits), digits, out=tmp_path / "other", steps=2, **QUIET)
    with pytest.raises(ModelFolderError, match="no run here"):
        resume(tmp_path / "nowhere", **QUIET)


def test_validation_ways(digits: Any) -> None:
    from vqkit.training.inputs.holdout import validation_split

    training, held_out = validation_split(digits, TrainConfig(steps=1, validation="last:97"))
    assert (len(training), len(held_out)) == (1700, 97)
    assert np.array_equal(held_out.read(96), digits.read(1796))
    training, held_out = validation_split(digits, TrainConfig(steps=1, validation="0.2"))
    assert len(held_out) == 359
    assert len(validation_split(digits, TrainConfig(steps=1, validation="digits"))[1]) == 1797
    for text in ("last:0", "last:1797", "1.5", "0"):
        with pytest.raises(ConfigError, match="validation"):
            validation_split(digits, TrainConfig(steps=1, validation=text))
    colour = validation_split(digits, TrainConfig(steps=1, validation="photos"))[1]  # is read as grey, as digits are
    assert (colour.channels, len(colour)) == (1, 959)
    with pytest.raises(DataError, match="does not match"):
        validation_split(load_source(np.zeros((9, 3))), TrainConfig(steps=1, validation="photos"))


def test_channels_that_do_not_fit_are_named(digits: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="channels=1"):
        train(VQVAE(16, **TINY), digits, out=tmp_path / "run", steps=1, **QUIET)


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": 0},
        {"steps": 5, "minutes": 1},
        {"minutes": float("nan")},
        {"learning_rate": 0},
        {"batch_size": 0},
        {"precision": "float8"},
        {"average_decay": 1.0},
        {"nonsense": 1},
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        TrainConfig.from_dict(settings)


def test_vectors_and_sound_train_too(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    vectors = (rng.normal(size=(200, 2)) @ rng.normal(size=(2, 6)) * 5 + 3).astype(np.float32)  # on a plane
    source = load_source(vectors)
    model = VQVAE.for_source(source, 16, code_dim=4, downsampling=1, hidden_channels=8, residual_channels=4)
    run = train(model, source, out=tmp_path / "vectors", steps=150, learning_rate=1e-2, **QUIET)
    assert run.evaluation is not None
    assert run.evaluation["nmse"] < 0.3
    sound = ArraySource(rng.uniform(-1, 1, size=(20, 1, 65)).astype(np.float32), name="noise")
    model = VQVAE.for_source(sound, 16, **{**TINY, "downsampling": 4})
    assert train(model, sound, out=tmp_path / "sound", steps=3, **QUIET).finished


def test_minutes_end_on_time_and_lower_the_rate(digits: Any, tmp_path: Path) -> None:
    start = time.monotonic()
    run = train(tiny(digits), digits, out=tmp_path / "run", minutes=0.03, log_every=1, evaluations=0, **QUIET)
    assert time.monotonic() - start < 60
    rates = [entry["learning_rate"] for entry in run.log() if entry["kind"] == "train"]
    assert rates[-1] < 0.5 * max(rates)


def test_the_average_follows_its_formula(digits: Any) -> None:
    model, shadow = tiny(digits), tiny(digits)
    average = WeightAverage(model, shadow, 0.5)
    expected = next(model.parameters()).detach().clone()
    for step in range(6):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(1.0)
        average.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * next(model.parameters()).detach()
    assert torch.allclose(next(shadow.parameters()), expected, atol=1e-6)


def test_learning_rate_rises_then_falls() -> None:
    factors = [learning_rate_factor(step, step / 100, 10) for step in range(101)]
    assert factors[0] < 0.1
    assert max(factors) == pytest.approx(factors[10], abs=0.03)
    assert factors[100] == pytest.approx(0.01)
    assert all(a >= b for a, b in itertools.pairwise(factors[11:]))


def test_the_monitor_reports_a_collapse_once_and_a_healthy_codebook_never() -> None:
    generator = torch.Generator().manual_seed(0)
    monitor = CodebookMonitor(64)
    for _ in range(5):
        monitor.add(torch.randint(64, (1000,), generator=generator))
        assert monitor.close_window() is None
    assert monitor.usage == 1.0
    warnings = []
    for _ in range(5):
        monitor.add(torch.randint(3, (1000,), generator=generator))
        warnings.append(monitor.close_window())
    assert sum(warning is not None for warning in warnings) == 1
    assert warnings[0] is None  # one bad window is no collapse yet
    assert "collapsing" in warnings[1]  # type: ignore[operator]
    other = CodebookMonitor(64)
    other.restore(monitor.state())
    assert other.state() == monitor.state()


def test_a_collapse_is_reported_while_it_happens(tmp_path: Path) -> None:
    """No restarts, and codes that start far from all latents: the log says that the codebook collapses."""
    source = load_source("digits")
    model = tiny(source, quantizer_options={"restart_below": 0})
    far = torch.full((16, 4), 1e3)
    far[0] = 0.0
    model.quantizer.set_codebook(far)  # type: ignore[operator]
    run = train(model, source, out=tmp_path / "run", steps=30, log_every=10, evaluations=0, **QUIET)
    warnings = [entry["message"] for entry in run.log() if entry["kind"] == "warning"]
    collapses = [warning for warning in warnings if "collapsing" in warning]
    assert len(collapses) == 1
    assert "restart_below" in collapses[0]
    assert len(warnings) == 1


def test_public_names_are_lazy_and_complete() -> None:
    for name in vqkit.__all__:
        assert getattr(vqkit, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        _ = vqkit.nonsense  # type: ignore[attr-defined]
