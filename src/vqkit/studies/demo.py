"""The demo: the ladder on the built-in digits, from training to one picture and a report, with nothing to download."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from vqkit.data import load_source
from vqkit.errors import ConfigError
from vqkit.studies.alone import alone
from vqkit.studies.compare import Comparison, compare
from vqkit.studies.settings import RUNGS, CompareConfig

CONFIG = CompareConfig(
    codebook_size=32,
    code_dim=16,
    downsampling=2,
    hidden_channels=64,
    steps=1200,
    prior_steps=1200,
    prior_layers=4,
    prior_dropout=0.2,
    prior_batch_size=32,
    prior_learning_rate=4e-3,
    batch_size=64,
    validation=0.25,
    samples=449,
)
"""Sized for two CPU cores and less than three minutes."""

_OWN = {*RUNGS, "pictures", "settings.json", "compare.json", "report.html", "classifier.safetensors"} | {
    f"{key}.json" for key in RUNGS
}


@alone
def run_demo(
    out: Path,
    *,
    config: CompareConfig = CONFIG,
    say: Callable[[str], None] | None = None,
    quiet: bool = False,
) -> Comparison:
    """Compare PCA, autoencoder, VAE and VQ-VAE on the built-in digits, anew each time.

    Args:
        out: folder; an earlier demo there is replaced.
        config: of the comparison.
        say: told what is going on.
        quiet: show no progress of the trainings.

    Raises:
        ConfigError: ``out`` holds something that is not an earlier demo.
    """
    _make_room(out)
    return compare(load_source("digits"), out, config=config, command="vqkit demo", say=say, quiet=quiet)


def _make_room(out: Path) -> None:
    """Remove an earlier demo's own files, and nothing else."""
    if out.is_file():
        raise ConfigError(f"{out} is a file; choose another --out")
    if not out.exists() or not any(out.iterdir()):
        return
    names = {entry.name for entry in out.iterdir() if not entry.name.endswith(".part")}
    foreign = [name for name in names & set(RUNGS) if not _is_rung(out / name)]
    if not names <= _OWN or "settings.json" not in names or foreign:
        raise ConfigError(f"{out} holds something that is not a demo; choose another --out")
    for entry in out.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _is_rung(folder: Path) -> bool:
    """Whether a folder holds what a rung writes, and nothing else."""
    own = {"run", "prior", "model", "shown.safetensors", "error.txt"}
    return folder.is_dir() and {entry.name for entry in folder.iterdir()} <= own
