"""A lab with priors, a folder of runs and a ladder: served once, small; trained for longer where pictures are taken."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

import vqkit
from tests.lab.cases import image_model, sound_model
from vqkit.lab import OpenModel, Workshop
from vqkit.lab.acts.ladder import ladders
from vqkit.priors import MaskedPrior

SMALL: dict[str, Any] = {"hidden_channels": 16, "layers": 1, "heads": 2}
TINY = replace(
    ladders.SMALL, hidden_channels=4, residual_channels=2, steps=2, prior_steps=2, prior_layers=1, prior_channels=4
)


@dataclass(frozen=True)
class Played:
    """A lab that is served.

    Attributes:
        address: of the page.
        runs: the folder of runs that it looks into.
        priors: of its models.
        trained: whether the models have learned something.
    """

    address: str
    runs: Path
    priors: dict[str, MaskedPrior]
    trained: bool


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """The lab, its models small and untrained.

    For the pictures of the docs VQKIT_LAB_DIGITS names a run of digits with a masked prior, and VQKIT_LAB_CACHE a cache
    folder in which the lab's own ladder was trained (``benchmarks/lab_ladder.py`` trains it).
    """
    from vqkit.lab.opening import served_lab

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("played")
    (folder / "runs").mkdir()
    digits, voices = _digits(), sound_model()
    priors = {"voices": MaskedPrior(16, (32,), num_codebooks=3, **SMALL).eval()}
    voices.use_prior(priors["voices"])
    models = [OpenModel("voices", None, voices), OpenModel("no prior", None, image_model())]
    real = os.environ.get("VQKIT_LAB_DIGITS")
    if real:
        opened = [OpenModel("digits", real, vqkit.load_model(real))]
    else:
        priors["digits"] = MaskedPrior(16, (4, 4), classes=10, condition_dropout=0.1, steps=6, **SMALL).eval()
        digits.use_prior(priors["digits"])
        opened = [OpenModel("digits", None, digits)]
    with pytest.MonkeyPatch.context() as patch:
        if not real:
            patch.setenv("VQKIT_CACHE", str(folder / "cache"))
            patch.setattr(ladders, "SMALL", TINY)
        elif "VQKIT_LAB_CACHE" in os.environ:
            patch.setenv("VQKIT_CACHE", os.environ["VQKIT_LAB_CACHE"])
        patch.chdir(folder)
        with served_lab(Workshop([*opened, *models], [folder / "runs"])) as address:
            yield Played(address, folder / "runs", priors, bool(real))


def _digits() -> vqkit.VQVAE:
    model = vqkit.VQVAE(16, channels=1, hidden_channels=8, residual_channels=4, code_dim=4, downsampling=2)
    model.prepare([torch.from_numpy(vqkit.load_source("builtin:digits").gather(range(64)))])
    return model.eval()


def log(run: Path, *lines: dict[str, Any], rest: str = "") -> None:
    """Append lines to the log of a run, and perhaps a half-written one."""
    run.mkdir(exist_ok=True)
    with (run / "log.jsonl").open("a") as file:
        file.writelines(json.dumps(each) + "\n" for each in lines)
        file.write(rest)


def settings(run: Path, steps: int) -> None:
    """Write what a training writes into its folder first."""
    run.mkdir(exist_ok=True)
    model = {"model_type": "vqvae", "codebook_size": 64}
    document = {"data": "builtin:digits", "fingerprint": "0", "model": model, "training": {"steps": steps}}
    (run / "run.json").write_text(json.dumps(document))
