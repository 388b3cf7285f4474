"""The demo: a VQ-VAE on the built-in photographs, from training to tokens and back, with one picture at the end."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vqkit import atomic
from vqkit.codec import tokenize
from vqkit.data import load_source, split
from vqkit.errors import ConfigError
from vqkit.models import VQVAE
from vqkit.pictures import before_after_sheet
from vqkit.training import train
from vqkit.training.judge import reconstructions

_SEED = 0
_SHOWN = 16


@dataclass(frozen=True)
class DemoResult:
    """What the demo made: paths, and the numbers of its evaluation."""

    picture: Path
    tokens: Path
    token_items: int
    token_bytes: int
    evaluation: dict[str, Any]


def run_demo(out: Path, seconds: float, *, quiet: bool = False) -> DemoResult:
    """Train on crops of the built-in photographs for some seconds, judge on crops held out, write tokens and a sheet.

    Raises:
        ConfigError: ``out`` holds something that is not an earlier demo.
    """
    _make_room(out)
    photos = load_source("photos")
    torch.manual_seed(_SEED)
    model = VQVAE.for_source(photos, 512, downsampling=4, hidden_channels=64, residual_channels=32, code_dim=32)
    run = train(
        model,
        photos,
        out=out / "demo",
        minutes=seconds / 60,
        batch_size=16,
        crop=32,
        flip=True,
        seed=_SEED,
        quiet=quiet,
    )
    if run.evaluation is None:
        raise KeyboardInterrupt
    held_out = split(photos, 0.1, _SEED)[1]
    tokens = tokenize(model, photos, out / "tokens")
    before, after = reconstructions(model, held_out, min(_SHOWN, len(held_out)))
    evaluation = run.evaluation
    bits = evaluation["rate"]["nominal_bits"] / evaluation["items"]
    original = evaluation["rate"]["original_bytes"] * 8 / evaluation["items"]
    sheet = before_after_sheet(
        [("original", before), ("reconstruction", after)],
        title=f"held-out crops: {original:,.0f} bits -> {bits:,.0f} bits ({original / bits:.0f}x), "
        f"PSNR {evaluation['psnr_db']:.1f} dB",
        cell=96,
        columns=8,
    )
    picture = out / "demo.png"
    atomic.write_file(picture, lambda temporary: sheet.save(temporary, format="PNG"))
    return DemoResult(picture, out / "tokens", len(tokens), tokens.bytes_on_disk(), evaluation)


def _make_room(out: Path) -> None:
    """Remove an earlier demo's own files, and nothing else."""
    if out.is_file():
        raise ConfigError(f"{out} is a file; choose another --out")
    if not out.exists() or not any(out.iterdir()):
        return
    own = {"demo", "tokens", "demo.png"}
    names = {entry.name for entry in out.iterdir()}
    if not names <= own or not ((out / "demo" / "run.json").is_file() or names <= {"demo"}):
        raise ConfigError(f"{out} holds something that is not a demo; choose another --out")
    if (out / "demo").is_dir() and not (out / "demo" / "run.json").is_file() and any((out / "demo").iterdir()):
        raise ConfigError(f"{out / 'demo'} holds something that is not a demo; choose another --out")
    for name in names & {"demo", "tokens"}:
        shutil.rmtree(out / name)
    (out / "demo.png").unlink(missing_ok=True)
