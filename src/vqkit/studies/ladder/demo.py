"""The demo: the ladder on the built-in digits, from training to one picture and a report, with nothing to download."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vqkit.data import load_source
from vqkit.storage import outputs
from vqkit.storage.reading import read_json
from vqkit.studies.alone import alone
from vqkit.studies.ladder.settings import RUNGS, CompareConfig
from vqkit.studies.ladder.study import Comparison, compare

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
_COMMAND = "vqkit demo"

_OWN = {*RUNGS, "pictures", "settings.json", "compare.json", "report.html", "classifier.safetensors"} | {
    f"{key}.json" for key in RUNGS
}


_PICTURE = re.compile(rf"(reconstructions|originals|four_rungs|({'|'.join(RUNGS)})_\w+)\.png")


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
        out: folder; an earlier demo there is replaced when the new one is done, and stays where that fails.
        config: of the comparison.
        say: told what is going on.
        quiet: show no progress of the trainings.

    Raises:
        ConfigError: ``out`` holds something that is not an earlier demo.
    """
    aside = out.absolute().with_name(f".{out.absolute().name}.old.part")
    _recover(out, aside, config)
    outputs.check_contents(out, "a demo", lambda _: _is_demo(out, config))
    if out.is_dir() and any(out.iterdir()):
        out.rename(aside)
    try:
        found = compare(load_source("builtin:digits"), out, config=config, command=_COMMAND, say=say, quiet=quiet)
    except BaseException:
        if aside.is_dir():
            shutil.rmtree(out, ignore_errors=True)
            aside.rename(out)
        raise
    shutil.rmtree(aside, ignore_errors=True)
    return found


def _recover(out: Path, aside: Path, config: CompareConfig) -> None:
    """Put an earlier demo back that a killed one had set aside, unless the new one was finished."""
    if not aside.is_dir() or not _is_demo(aside, config):
        return
    if (out / "report.html").is_file():
        shutil.rmtree(aside)
    elif not out.exists() or _is_demo(out, config):
        shutil.rmtree(out, ignore_errors=True)
        aside.rename(out)


def _is_demo(folder: Path, config: CompareConfig) -> bool:
    """Whether a folder holds a demo, whole or begun, and nothing else: no comparison, which may have taken hours."""
    entries = [entry for entry in folder.iterdir() if not outputs.is_temporary(entry)]
    if not {entry.name for entry in entries} <= _OWN or not all(map(_is_own, entries)):
        return False
    made_by = _read(folder / "compare.json").get("command")
    return made_by == _COMMAND or _read(folder / "settings.json").get("settings") == config.as_dict()


def _is_own(entry: Path) -> bool:
    """Whether an entry of the folder holds what a comparison writes there, and nothing else."""
    if entry.name == "pictures":
        return entry.is_dir() and all(_PICTURE.fullmatch(each.name) for each in entry.iterdir())
    if entry.name in RUNGS:
        own = {"run", "prior", "model", "shown.safetensors", "error.txt"}
        return entry.is_dir() and {each.name for each in entry.iterdir()} <= own
    return entry.is_file()


def _read(file: Path) -> dict[str, Any]:
    try:
        found = read_json(file)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
