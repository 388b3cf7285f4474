"""Fixtures of all tests; none reaches the network or the cache of the person who runs it (set before any import)."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["VQKIT_CACHE"] = tempfile.mkdtemp(prefix="vqkit-tests-")
atexit.register(shutil.rmtree, os.environ["VQKIT_CACHE"], ignore_errors=True)


@pytest.fixture(autouse=True)
def _no_power_failure(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits for the disk: no power fails between two tests. Those of ``tests/storage`` flush in earnest."""
    if "storage" not in request.path.parts:
        monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture
def vq(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Runs ``vqkit ...`` in an empty folder, through the same ``main`` as the installed command."""
    from tests.cli.cases import Outcome
    from vqkit.cli import main as command

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["vqkit", *map(str, arguments)])
        status: object = 0
        try:
            command.main()
        except SystemExit as stop:
            status = stop.code or 0
        captured = capsys.readouterr()
        assert isinstance(status, int)
        assert "Traceback" not in captured.err
        return Outcome(status, captured.out, captured.err)

    return run


@pytest.fixture
def file_run(tmp_path: Path) -> Path:
    """A run with a tokenizer of two codebooks and the priors that files of it are coded with."""
    from tests.codec.cases import context, histogram, tokenizer

    model = tokenizer(channels=3, num_codebooks=2, stacking="residual")
    model.save_pretrained(tmp_path / "run" / "model")
    context(model).save_pretrained(tmp_path / "run" / "context" / "run" / "model")
    histogram(model).save_pretrained(tmp_path / "run" / "context" / "histogram")
    return tmp_path / "run"


@pytest.fixture
def own_registries(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten at its end."""
    from vqkit.models import MODELS
    from vqkit.networks import DECODERS, ENCODERS
    from vqkit.objectives import OBJECTIVES
    from vqkit.pretrained.trainable import TRAINABLES
    from vqkit.priors import PRIORS
    from vqkit.quantizers import QUANTIZERS
    from vqkit.signals import SIGNALS
    from vqkit.training import SCHEDULES

    for registry in (MODELS, DECODERS, ENCODERS, OBJECTIVES, TRAINABLES, PRIORS, QUANTIZERS, SCHEDULES, SIGNALS):
        monkeypatch.setattr(registry, "_parts", dict(registry._parts))
