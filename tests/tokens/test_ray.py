"""The engine of Ray gives the bytes of one process."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.tokens.cases import contents
from tests.tokens.test_tokens import tiny as coloured
from tests.tokens.test_workers import OPTIONS, Elsewhere, data, tiny
from vqkit import HistogramPrior, tokenize
from vqkit.errors import MissingExtraError, WorkerError
from vqkit.optional import EXTRAS
from vqkit.pretrained.identity import model_digest
from vqkit.tokens import ENGINES
from vqkit.tokens.engines import ray_actors
from vqkit.tokens.engines.ray_actors import packed_model, unpacked_model


@pytest.fixture
def cluster() -> Iterator[None]:
    """Ray on this machine."""
    ray = pytest.importorskip("ray", reason="Ray is an extra that is not installed here (vqkit[ray])")
    try:
        ray.init(num_cpus=2, log_to_driver=False, configure_logging=False, include_dashboard=False)
    except Exception as error:  # noqa: BLE001, whatever Ray says
        pytest.skip(f"Ray does not start here: {error}")
    yield
    ray.shutdown()


@pytest.mark.slow  # what any engine does is tried in test_workers.py, what is packed for Ray's below
def test_two_actors(tmp_path: Path, cluster: None) -> None:
    one = tokenize(tiny(), data(), tmp_path / "one", **OPTIONS)
    with pytest.raises(OSError, match="No space left") as told:
        tokenize(coloured(), Elsewhere(40), tmp_path / "full", kind="full", engine="ray", workers=2, **OPTIONS)
    assert told.value.errno == errno.ENOSPC
    several = tokenize(tiny(), data(), tmp_path / "several", engine="ray", workers=2, **OPTIONS)
    assert contents(several.path) == contents(one.path)


def test_a_ray_that_does_not_start_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Ray:
        """Such as on a machine with too much else to do."""

        def is_initialized(self) -> bool:
            return False

        def init(self, **options: object) -> None:
            raise Exception("The current node timed out\nduring startup.")

    monkeypatch.setattr(ray_actors, "require", lambda *words: Ray())
    with pytest.raises(WorkerError, match=r"does not start here \(The current node timed out during startup\.\)"):
        tokenize(tiny(), data(), tmp_path / "t", engine="ray", workers=2, **OPTIONS)


def test_without_ray_the_command_that_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert (EXTRAS["ray"], "ray" in ENGINES) == ("ray", True)
    with pytest.raises(MissingExtraError, match=r'pip install "vqkit\[ray\]"'):
        tokenize(tiny(), data(), tmp_path / "t", engine="ray")
    assert not (tmp_path / "t").exists()


def test_a_model_goes_with_its_prior() -> None:
    """The folder of a model with a prior has one in it."""
    model = tiny()
    model.use_prior(HistogramPrior(16, (4, 4)))
    files = packed_model(model)
    assert {"config.json", "prior/config.json"} <= set(files)
    back = unpacked_model(files, model_digest(model), torch.device("cpu"))
    assert isinstance(back.prior, HistogramPrior)
