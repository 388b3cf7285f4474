"""Models that come with the package: names, folders, digests, cards; and the real ones where they are there."""

from __future__ import annotations

import shutil
import socket
import zlib
from pathlib import Path

import pytest

import vqkit
from tests.pretrained.standins import write_standins
from vqkit.codec import known_priors
from vqkit.errors import ModelFolderError
from vqkit.pretrained import reference
from vqkit.pretrained.folder import content_hash, locate
from vqkit.pretrained.reference import by_digest, for_kind, reference_models

REAL = reference_models()
MOST_BYTES = 4_000_000


@pytest.fixture
def standins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(reference, "WEIGHTS", tmp_path / "weights")
    write_standins(tmp_path / "weights")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "weights"


def test_a_name_loads_the_model_with_its_prior(standins: Path) -> None:
    for name in ("photo", "builtin:photo"):
        model = vqkit.load_model(name)
        assert isinstance(model, vqkit.VQVAE)
        assert isinstance(model.prior, vqkit.ContextPrior)
        assert list(known_priors(name)) == ["context"]
    assert locate("speech") == standins / "speech"
    assert by_digest(bytes.fromhex(content_hash(model))[:16]) == reference_models()["photo"]
    assert by_digest(bytes(16)) is None
    assert for_kind("sound@48000") == reference_models()["speech"]
    assert for_kind("vector") is None


def test_a_path_of_the_same_name_comes_first_and_that_is_said(standins: Path, tmp_path: Path) -> None:
    shutil.copytree(standins / "speech", "photo")
    with pytest.warns(UserWarning, match="builtin:photo"):
        assert vqkit.load_model("photo").axes == 1
    assert vqkit.load_model("builtin:photo").axes == 2
    shutil.rmtree("photo")
    Path("photo").mkdir()
    with pytest.warns(UserWarning, match="builtin:photo"), pytest.raises(ModelFolderError, match="builtin:photo"):
        vqkit.load_model("photo")


def test_unknown_names_list_what_there_is(standins: Path) -> None:
    with pytest.raises(ModelFolderError, match="photo, speech"):
        vqkit.load_model("builtin:fotos")
    with pytest.raises(ModelFolderError, match="photo, speech"):
        vqkit.load_model("fotos")


def test_a_copy_without_weights_has_no_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "WEIGHTS", tmp_path / "none")
    assert reference_models() == {}
    with pytest.raises(ModelFolderError, match="none"):
        vqkit.load_model("builtin:photo")


@pytest.mark.skipif(not REAL, reason="this copy has no reference models: benchmarks/reference_models.py makes them")
def test_the_real_ones_are_small_whole_and_say_whose_data_they_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", lambda *_, **__: pytest.fail("asked the network"))
    files = [each for each in reference.WEIGHTS.rglob("*") if each.is_file()]
    assert sum(len(zlib.compress(each.read_bytes(), 9)) for each in files) < MOST_BYTES, "as a wheel holds them"
    for name, known in REAL.items():
        model = vqkit.load_model(f"builtin:{name}")
        assert content_hash(model) == known.digest
        assert isinstance(model, vqkit.VQVAE)
        assert isinstance(model.prior, vqkit.ContextPrior)
        assert {"title", "kind", "license", "rates", "measured", "command", "seed", "held_out"} <= set(known.about)
        assert known.about["measured"]
        card = (known.path / "README.md").read_text(encoding="utf-8")
        for part in ("license:", "## Data", "## Held-out measures", "## Limits", "reference_models.py"):
            assert part in card
        assert "/work" not in card
    assert (REAL["photo"].path / "SOURCE.csv").read_text(encoding="utf-8").startswith("file,")
