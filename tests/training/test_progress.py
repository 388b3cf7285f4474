"""What a person sees of a run: the live panel, plain lines, TensorBoard, low precision, tokens without a folder."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

import vqkit
from vqkit.data import load_source
from vqkit.models import VQVAE
from vqkit.training import train

TINY: dict[str, Any] = {"hidden_channels": 8, "residual_channels": 4, "code_dim": 4, "downsampling": 2}


def tiny() -> VQVAE:
    torch.manual_seed(0)
    return VQVAE(16, channels=1, **TINY)


def test_the_live_panel_shows_losses_psnr_usage_speed_and_time_left(tmp_path: Path) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120)
    train(
        tiny(),
        "digits",
        out=tmp_path / "run",
        steps=30,
        log_every=10,
        evaluations=2,
        console=console,
        tensorboard=False,
    )
    shown = screen.getvalue()
    for word in (
        "PSNR",
        "usage",
        "perplexity",
        "signals/s",
        "reconstruction loss",
        "commitment loss",
        "left",
        "done at",
    ):
        assert word in shown, word


def test_without_a_terminal_there_are_plain_lines(tmp_path: Path) -> None:
    screen = io.StringIO()
    train(
        tiny(), "digits", out=tmp_path / "run", steps=10, log_every=5, console=Console(file=screen), tensorboard=False
    )
    assert "PSNR" in screen.getvalue()
    assert "\x1b" not in screen.getvalue()


def test_tensorboard_has_scalars_and_reconstructions(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed (pip install 'vqkit[tensorboard]')")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = train(tiny(), "digits", out=tmp_path / "run", steps=20, log_every=5, evaluations=2, quiet=True)
    events = EventAccumulator(str(run.path / "tensorboard"))
    events.Reload()
    tags = events.Tags()
    assert {"train/psnr_db", "train/usage", "validation/psnr_db", "final/psnr_db"} <= set(tags["scalars"])
    assert tags["images"] == ["reconstructions"]


def test_bfloat16_autocast_trains(tmp_path: Path) -> None:
    """The networks compute in bfloat16 in training steps, and nowhere where it was not asked for; kept is float32."""
    for precision in ("bfloat16", "float32"):
        seen: set[torch.dtype] = set()
        model = tiny()
        for part in (model.encoder, model.decoder):
            part.register_forward_hook(lambda module, _, out, seen=seen: seen.add(out.dtype))
        out = tmp_path / precision
        run = train(model, "digits", out=out, steps=4, precision=precision, quiet=True, tensorboard=False)
        assert run.evaluation is not None
        assert all(t.dtype != torch.bfloat16 for t in run.model().state_dict().values())
        assert (torch.bfloat16 in seen) == (precision == "bfloat16")


def test_tokens_without_a_folder_are_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model, data = tiny(), load_source("digits")
    first = vqkit.tokenize(model, data)
    monkeypatch.setattr(VQVAE, "encode", None)  # a second computation would fail
    again = vqkit.tokenize(model, data)
    assert again.path == first.path
    assert len(again) == 1797
