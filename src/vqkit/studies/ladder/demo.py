"""The demo: the ladder on the built-in clothes and photographs, pictures and reports, with nothing to download."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vqkit.storage import outputs
from vqkit.storage.reading import read_json
from vqkit.studies.alone import alone
from vqkit.studies.ladder.settings import RUNGS, CompareConfig
from vqkit.studies.ladder.study import Comparison, compare

CLOTHES = CompareConfig(
    codebook_size=32,
    code_dim=16,
    downsampling=4,
    hidden_channels=32,
    steps=400,
    prior_steps=500,
    prior_channels=48,
    prior_layers=4,
    prior_batch_size=32,
    prior_learning_rate=4e-3,
    batch_size=32,
    learning_rate=2e-3,
    beta=4.0,
    validation=0.1,
    samples=300,
    classifier_steps=150,
    bound_samples=8,
)
PHOTOS = CompareConfig(
    codebook_size=256,
    code_dim=32,
    downsampling=8,
    hidden_channels=48,
    steps=120,
    prior_steps=60,
    prior_channels=32,
    prior_layers=4,
    prior_batch_size=32,
    batch_size=8,
    learning_rate=1e-3,
    flip=True,
    validation=0.07,
    samples=48,
    bound_samples=8,
    features="random",
)
"""Both are sized for one CPU core and less than three minutes together. The photographs' prior is a token one: they are
there for what comes back from a few bytes; what the clothes are there for is what each rung makes up."""
_COMMAND = "vqkit demo"

_PHOTOS = "photos"
_OWN = {*RUNGS, _PHOTOS, "pictures", "settings.json", "compare.json", "report.html", "classifier.safetensors"} | {
    f"{key}.json" for key in RUNGS
}


_PICTURE = re.compile(rf"(reconstructions|originals|four_rungs|({'|'.join(RUNGS)})_\w+)\.png")


@dataclass(frozen=True)
class Demo:
    """Two comparisons: of the clothes in the demo's folder, and of the photographs in ``photos/`` there."""

    clothes: Comparison
    photos: Comparison


@alone
def run_demo(
    out: Path,
    *,
    clothes: CompareConfig = CLOTHES,
    photos: CompareConfig = PHOTOS,
    say: Callable[[str], None] | None = None,
    quiet: bool = False,
) -> Demo:
    """Compare PCA, autoencoder, VAE and VQ-VAE on the built-in clothes and photographs, anew each time.

    Args:
        out: folder; an earlier demo there is replaced when the new one is done, and stays where that fails.
        clothes: settings of their comparison.
        photos: settings of theirs.
        say: told what is going on.
        quiet: show no progress of the trainings.

    Raises:
        ConfigError: ``out`` holds something that is not an earlier demo.
    """
    aside, configs = _aside(out), (clothes, photos)
    check_demo_folder(out, configs)
    if out.is_dir() and any(out.iterdir()):
        out.rename(aside)
    try:
        demo = Demo(
            compare("builtin:fashion", out, config=clothes, command=_COMMAND, say=say, quiet=quiet),
            compare("builtin:photos", out / _PHOTOS, config=photos, command=_COMMAND, say=say, quiet=quiet),
        )
    except BaseException:
        if aside.is_dir():
            shutil.rmtree(out, ignore_errors=True)
            aside.rename(out)
        raise
    shutil.rmtree(aside, ignore_errors=True)
    return demo


def check_demo_folder(out: Path, configs: Sequence[CompareConfig] = (CLOTHES, PHOTOS)) -> None:
    """Put back what a killed demo had set aside, and look whether a demo may be written here.

    Args:
        out: folder of the demo.
        configs: settings of its comparisons.

    Raises:
        ConfigError: it holds something that is not an earlier demo.
    """
    _recover(out, _aside(out), configs)
    outputs.check_contents(out, "a demo", lambda _: _is_demo(out, configs))


def _aside(out: Path) -> Path:
    return out.absolute().with_name(f".{out.absolute().name}.old.part")


def _recover(out: Path, aside: Path, configs: Sequence[CompareConfig]) -> None:
    """Put an earlier demo back that a killed one had set aside, unless the new one was finished."""
    if not aside.is_dir() or not _is_demo(aside, configs):
        return
    if all((folder / "report.html").is_file() for folder in (out, out / _PHOTOS)):
        shutil.rmtree(aside)
    elif not out.exists() or _is_demo(out, configs):
        shutil.rmtree(out, ignore_errors=True)
        aside.rename(out)


def _is_demo(folder: Path, configs: Sequence[CompareConfig]) -> bool:
    """Return True if a folder holds nothing but a demo, complete or not, so that it may be replaced."""
    entries = [entry for entry in folder.iterdir() if not outputs.is_temporary(entry)]
    if not {entry.name for entry in entries} <= _OWN or not all(_is_own(entry, configs) for entry in entries):
        return False
    made_by = _read(folder / "compare.json").get("command")
    settings = _read(folder / "settings.json").get("settings")
    return made_by == _COMMAND or settings in [config.as_dict() for config in configs]


def _is_own(entry: Path, configs: Sequence[CompareConfig]) -> bool:
    """Return True if an entry of the folder holds nothing but what the demo writes there."""
    if entry.name == _PHOTOS:
        return entry.is_dir() and (not any(entry.iterdir()) or _is_demo(entry, configs))
    if entry.name == "pictures":
        return entry.is_dir() and all(_PICTURE.fullmatch(picture.name) for picture in entry.iterdir())
    if entry.name in RUNGS:
        own = {"run", "prior", "model", "shown.safetensors", "play.json", "error.txt"}
        return entry.is_dir() and {part.name for part in entry.iterdir()} <= own
    return entry.is_file()


def _read(file: Path) -> dict[str, Any]:
    try:
        document = read_json(file)
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
