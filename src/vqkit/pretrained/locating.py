"""From the name of a model to its folder: a path, one that comes with the package, or a download from the hub."""

from __future__ import annotations

import warnings
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from vqkit.errors import ModelFolderError
from vqkit.pretrained import foreign, hub, reference
from vqkit.pretrained.card import CARD
from vqkit.spelling import resuming

SEED_RUN = "seed-"
"""How the runs of several seeds are called in their folder, with the seed behind it."""
BESIDE = "prior"
"""Folder of a model's prior, within that of the model."""
CONFIG = "config.json"
TENSORS = "model.safetensors"


def locate(name: str | Path, revision: str | None = None) -> Path:
    """The folder that holds the model: ``name`` itself, ``name/model`` (a run), one of the package, or a download.

    Warns where a path has the name of a model that comes with vqkit: the path is taken.

    Raises:
        ModelFolderError: there is none.
    """
    own = reference.reference_folder(name) if revision is None else None
    if own is not None:
        return own
    path = Path(name)
    note = reference.shadow_note(name)
    if note is not None:
        warnings.warn(note, stacklevel=2)
    for candidate in (path, path / "model"):
        if (candidate / CONFIG).is_file() and foreign.weights_of(candidate) is not None:
            return candidate
    if path.exists():
        lacks = " and ".join(name for name in (CONFIG, TENSORS) if not (path / name).is_file())
        hint = (
            f"; this run has not finished yet: {resuming(path)}" if (path / "run.json").is_file() else seeds_hint(path)
        )
        raise ModelFolderError(
            f"{path}: a model folder holds {CONFIG} and {TENSORS}; here is no {lacks}{hint}{_or_builtin(path)}"
        )
    if not hub.asks_hub(name, revision):
        why = "it is no hub name of the form owner/name"
        if hub.is_hub_name(str(name)):
            here = f"{path.parent} is a folder here" if isinstance(name, str) else "a Path is a local one"
            why = f"the hub was not asked, since {here}: check the path (in Python, revision='main' asks the hub)"
        known = ", ".join(reference.reference_models())
        more = f"; models that come with vqkit: {known}" if known else ""
        raise ModelFolderError(f"{path}: there is no such folder, and {why}{more}")
    files = [CONFIG, TENSORS]
    wanted = [CONFIG, *foreign.WEIGHTS, CARD, *(f"{BESIDE}/{file}" for file in files)]
    return hub.download(str(name), revision, wanted)


def seeds_hint(path: Path) -> str:
    """Words on the runs in a folder of several seeds, to stand behind an error; empty where there are none."""
    found = sorted(each.parent for each in path.glob(f"{SEED_RUN}*/run.json"))
    return f"; it holds runs of several seeds: give one of them, such as {found[0]}" if found else ""


def _or_builtin(path: Path) -> str:
    """Words on the model that comes with vqkit and has the name of a path which holds none."""
    note = reference.shadow_note(path)
    return "" if note is None else f"; {note}"


def home(name: str | Path) -> Path:
    """The folder in which a model's priors lie: a run or a model folder here, one that comes with vqkit, or a download.

    What names nothing is returned as it is.
    """
    path = Path(name)
    if path.exists():
        return path
    with suppress(ModelFolderError):
        own = reference.reference_folder(str(name))
        return own or _downloaded(str(name))
    return path


@lru_cache(maxsize=64)
def _downloaded(name: str) -> Path:
    """That of a hub name, asked once: the hub answers slowly."""
    return locate(name)
