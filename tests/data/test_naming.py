"""What a text names: a path that exists comes first; what a run records is read from any folder."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

from vqkit.cli.main import app
from vqkit.data import load_source
from vqkit.data.load import open_table
from vqkit.data.naming import recorded_name
from vqkit.errors import DataError, VqkitError
from vqkit.training import TrainConfig, train
from vqkit.training.inputs.holdout import validation_split
from vqkit.training.record.run import read_config

TINY = ["-k", "16", "--hidden-channels", "8", "--code-dim", "8", "--batch-size", "8", "--threads", "1"]


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def png(shade: int = 0, mode: str = "L") -> bytes:
    file = io.BytesIO()
    Image.new("L", (8, 8), shade).convert(mode).save(file, "PNG")
    return file.getvalue()


def pictures(folder: str, count: int = 8) -> str:
    for number in range(count):
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / f"{number}.png").write_bytes(png(number))
    return folder


def vq(*words: Any) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    if isinstance(result.exception, VqkitError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return str(result.output)


@pytest.mark.parametrize("name", ["photos", "digits"])
def test_a_folder_of_a_built_in_name_comes_first_and_is_said(name: str) -> None:
    built_in = load_source(name)
    assert (built_in.name, len(built_in), built_in.spec) == (
        name,
        {"photos": 959, "digits": 1797}[name],
        f"builtin:{name}",
    )
    pictures(name)
    source = load_source(name)
    assert len(source) == 8
    assert source.spec == str(Path(name).resolve())
    assert any(f"builtin:{name}" in note for note in source.notes)
    assert len(load_source(f"builtin:{name}")) == len(built_in)
    assert not load_source(f"./{name}").notes
    assert len(load_source(Path(name).resolve())) == 8
    assert len(validation_split(built_in.with_channels(1), TrainConfig(steps=1, validation=name))[1]) == 8


def test_a_folder_of_a_built_in_name_may_hold_tables_or_nothing() -> None:
    Path("photos").mkdir()
    with pytest.raises(DataError, match=r"builtin:photos"):
        load_source("photos")
    pq.write_table(pa.table({"image": pa.array([png(), png(1)])}), "photos/t.parquet")
    assert open_table("photos") is not None
    assert len(load_source("photos")) == 2
    with pytest.raises(DataError, match=r"builtin:digits, builtin:fashion, builtin:photos, builtin:speech"):
        load_source("builtin:letters")


def test_an_old_run_of_the_built_in_data_means_that_still() -> None:
    Path("r").mkdir()
    settings = {
        "data": "digits",
        "fingerprint": "0",
        "model": {"model_type": "vqvae"},
        "training": {"validation": "photos"},
    }
    Path("r/run.json").write_text(json.dumps(settings))
    pictures("digits")
    found = read_config(Path("r"))
    assert (found["data"], found["training"]["validation"]) == ("builtin:digits", "builtin:photos")


def test_recorded_names_mean_the_same_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marked = tmp_path / "in [1] it"
    marked.mkdir()
    monkeypatch.chdir(marked)
    pictures("p")
    np.save("a.npy", np.zeros((3, 8, 8), np.uint8))
    np.savez("z.npz", tr=np.zeros((5, 8, 8), np.uint8), te=np.zeros((9, 8, 8), np.uint8))
    pq.write_table(pa.table({"image": pa.array([png(), png(1)])}), "t1.parquet")
    names = [".", "p", "p/", "./p/../p", "p/0.png", "a.npy", "z.npz:te", "t*.parquet", "../in [[]1[]] it/t?.parquet"]
    recorded = [recorded_name(name) for name in names]
    lengths = [len(load_source(name)) for name in names]
    assert lengths == [2, 8, 8, 8, 1, 3, 9, 2, 2]
    monkeypatch.chdir("/")
    assert [len(load_source(name)) for name in recorded] == lengths
    assert [recorded_name(name) for name in recorded] == recorded
    for name in ("hub:owner/name@test", "builtin:digits", "nowhere/x.npy", "owner/name", "", "a\0b"):
        assert recorded_name(name) == name
    assert recorded_name("digits") == "builtin:digits"


def test_a_run_and_its_prior_are_looked_at_from_another_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    np.save("data.npy", rng.integers(0, 256, (40, 8, 8), dtype=np.uint8))
    np.savez("z.npz", tr=np.zeros((9, 8, 8), np.uint8), te=rng.integers(0, 256, (12, 8, 8), dtype=np.uint8))
    vq("train", "data.npy", "--validation", "z.npz:te", *TINY, "--steps", 2, "--out", "r")
    here = Path.cwd()
    settings = read_config(Path("r"))
    assert settings["data"] == str(here / "data.npy")
    assert settings["training"]["validation"] == str(here / "z.npz:te")
    monkeypatch.chdir("/")
    said = vq("eval", here / "r", "--threads", 1)
    assert "12 grey images" in said
    vq("prior", here / "r", "--steps", 2, "--hidden-channels", 8, "--layers", 1, "--threads", 1)
    assert json.loads((here / "r/prior/rates.json").read_text())["learned_bits"] > 0
    assert read_config(here / "r/prior/run")["training"]["validation"] == "last:12"
    few = ["--steps", 1, "--hidden-channels", 8, "--threads", 1]
    assert "total" in vq("lossless", here / "r", *few)
    vq("train", "--resume", here / "r", "--steps", 3, "--threads", 1)
    (here / "z.npz").rename(here / "moved.npz")
    with pytest.raises(DataError, match="does not exist"):
        vq("eval", here / "r", "--threads", 1)


def test_a_run_of_one_array_of_an_archive_is_looked_at_from_another_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    np.savez("z.npz", tr=rng.integers(0, 256, (40, 8, 8), dtype=np.uint8), te=np.zeros((9, 8, 8), np.uint8))
    vq("train", "z.npz:tr", *TINY, "--steps", 2)
    run = next(Path("runs").iterdir()).resolve()
    assert run.name == "vqvae-z-001"
    monkeypatch.chdir("/")
    assert "4 grey images" in vq("eval", run, "--threads", 1)


def test_python_records_what_the_source_was_loaded_from(monkeypatch: pytest.MonkeyPatch) -> None:
    from vqkit.models import VQVAE

    pictures("p")
    source = load_source("p")
    model = VQVAE(8, hidden_channels=8, code_dim=4, residual_channels=4, channels=1)
    run = train(model, source, out="r", steps=1, batch_size=2, device="cpu", quiet=True, validation=0.25)
    assert read_config(run.path)["data"] == os.path.realpath("p")
    assert source.subset([0, 1]).spec is None


def test_a_path_is_a_name_too_and_the_demo_keeps_its_clothes(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures("digits")
    assert TrainConfig.from_dict({"steps": 1, "validation": Path("digits")}).validation == os.path.realpath("digits")
    seen: list[Any] = []
    monkeypatch.setattr("vqkit.studies.ladder.demo.compare", lambda data, *_, **__: seen.append(data))
    from vqkit.studies.ladder.demo import run_demo

    run_demo(Path("out"))
    assert seen == ["builtin:fashion", "builtin:photos"]
