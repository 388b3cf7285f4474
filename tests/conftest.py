"""Fixtures of all tests; none reaches the network or the cache of the person who runs it (set before any import)."""

from __future__ import annotations

import atexit
import functools
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import typer.testing

from tests.browsers import chromium as chromium
from tests.hurry import hurry, restore_endings

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
_MEMORY = Path("/dev/shm")
if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > 4 << 30:  # tens of thousands of small files
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))
os.environ["VQKIT_CACHE"] = tempfile.mkdtemp(prefix="vqkit-tests-")
atexit.register(shutil.rmtree, os.environ["VQKIT_CACHE"], ignore_errors=True)

typer.main.get_command = typer.testing._get_command = functools.cache(typer.main.get_command)
"""The commands, of which Typer reads all signatures anew at each call, as a process of a user's does once."""

gc.disable()


def pytest_collection_finish() -> None:
    """Look for garbage from now on, but never again among what was collected: a million objects that stay."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _hurry() -> Iterator[None]:
    """No power fails between two tests; those of ``tests/storage`` flush in earnest."""
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        yield


@pytest.fixture
def whole_endings(_hurry: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the last step of a training as much is done as outside of tests."""
    restore_endings(monkeypatch)


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
def own_registries(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test registers is forgotten at its end; so are the commands, whose options name what is registered."""
    from vqkit.models import MODELS
    from vqkit.networks import DECODERS, ENCODERS
    from vqkit.objectives import OBJECTIVES
    from vqkit.pretrained.trainable import TRAINABLES
    from vqkit.priors import PRIORS
    from vqkit.quantizers import QUANTIZERS
    from vqkit.signals import SIGNALS
    from vqkit.training import OPTIMIZERS, SCHEDULES

    networks = (MODELS, DECODERS, ENCODERS, PRIORS, QUANTIZERS)
    for registry in (*networks, OBJECTIVES, OPTIMIZERS, TRAINABLES, SCHEDULES, SIGNALS):
        monkeypatch.setattr(registry, "_parts", dict(registry._parts))
    typer.main.get_command.cache_clear()
    yield
    typer.main.get_command.cache_clear()


_FRESH = """
import json, sys
loaded = {}
import vqkit.data
loaded["vqkit.data"] = list(sys.modules)
vqkit.data.Batches.__name__
loaded["Batches"] = list(sys.modules)
vqkit.VQVAE(16)
loaded["VQVAE"] = list(sys.modules)
import vqkit.cli.commands.train
for name in vqkit.__all__: getattr(vqkit, name)
loaded["all"] = list(sys.modules)
json.dump(loaded, sys.stdout)
"""


@pytest.fixture(scope="session")
def loaded() -> dict[str, list[str]]:
    """What a new process has loaded after ``vqkit.data``, its ``Batches``, a ``VQVAE`` and ``all`` names."""
    done = subprocess.run([sys.executable, "-c", _FRESH], capture_output=True, text=True, check=True, timeout=120)
    return dict(json.loads(done.stdout))
