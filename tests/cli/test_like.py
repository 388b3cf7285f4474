"""``decode --like`` and ``decompress --like``: files of science back as they were, from the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.data.test_grids import _make
from vqkit.cli.main import app
from vqkit.data.grids.loading import open_grid

pytest.importorskip("nibabel")
pytest.importorskip("xarray")
pytest.importorskip("tifffile")
FORMS = ("netcdf", "nifti", "tiff", "zarr", "dicom", "series")
SMALL = ["--hidden-channels", "8", "-k", "8", "--steps", "2", "--no-tensorboard", "--crop", "8"]


def _run(*command: str) -> str:
    done = CliRunner().invoke(app, list(command))
    assert done.exit_code == 0, f"{done.output}\n{done.exception!r}"
    return done.output


def _values(name: str) -> np.ndarray:
    opened = open_grid(name)
    assert opened is not None
    return np.concatenate(list(opened.blocks()))


@pytest.mark.parametrize("form", FORMS)
def test_what_was_compressed_comes_back_as_a_file_like_it(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = _make(form, tmp_path, (3, 20, 24), "int16").relative_to(tmp_path)
    data, suffix = str(path), "".join(path.suffixes).partition("@")[0]
    how = data[data.index("@") :] if form == "series" else ""
    out, again = f"back{suffix}", f"again{suffix}"
    kind = ["--kind", "field"] if form == "tiff" else []
    _run("train", data, *kind, *SMALL, "--out", "run")
    _run("compress", data, *kind, "--model", "run", "--max-error", "0", "--out", "a.vqk")
    _run("decompress", "a.vqk", "--model", "run", "--out", out, "--like", data)
    np.testing.assert_array_equal(_values(out + how), _values(data))
    assert _values(out + how).dtype == _values(data).dtype
    _run("encode", "run", data, *kind, "--out", "tokens")
    _run("decode", "run", "tokens", "--out", again, "--like", data)
    assert _values(again + how).shape == _values(data).shape
    wrong = "scan.dcm" if form == "dicom" else "back.wrong"
    for place, words in (
        (out, "exists|not empty|is a file"),
        ("back.png", "like"),
        (wrong, "give such a name|ends in"),
    ):
        done = CliRunner().invoke(app, ["decompress", "a.vqk", "--model", "run", "--out", place, "--like", data])
        assert done.exit_code
        assert any(word in str(done.exception) for word in words.split("|")), done.exception
    done = CliRunner().invoke(app, ["decompress", "a.vqk", "--model", "run", "--out", "other.tif"])
    assert "images are written as .png only" in str(done.exception)
    done = CliRunner().invoke(app, ["decompress", "a.vqk", "--model", "run", "--out", "x.nc", "--like", "run"])
    assert "known are ." in str(done.exception)


@pytest.mark.parametrize("scale", [0.5, 1e-4])
def test_a_packed_file_keeps_the_error_that_is_promised(
    scale: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    xarray = pytest.importorskip("xarray")
    monkeypatch.chdir(tmp_path)
    values = np.random.default_rng(0).normal(size=(3, 20, 24)).cumsum(1).cumsum(2).clip(-3, 3).astype(np.float32)
    packing = {"t": {"dtype": "int16", "scale_factor": scale, "_FillValue": -32768}}
    data = xarray.Dataset(
        {"t": (("time", "y", "x"), values)}, coords={"time": range(3), "y": range(20), "x": range(24)}
    )
    data.to_netcdf("a.nc", engine="h5netcdf", encoding=packing)
    name = "a.nc:t@y,x"
    _run("train", name, *SMALL, "--out", "run")
    bound = 1.6 * scale  # of values in steps of the scale: the nearest step may lie beyond it
    _run("compress", name, "--model", "run", "--max-error", f"{bound}", "--out", "a.vqk")
    _run("decompress", "a.vqk", "--model", "run", "--out", "b.nc", "--like", name)
    assert np.abs(_values("b.nc:t@y,x") - _values(name)).max() <= bound * (1 + 1e-6)
    _run("compress", name, "--model", "run", "--max-error", "0", "--out", "c.vqk")
    _run("decompress", "c.vqk", "--model", "run", "--out", "c.nc", "--like", name)
    np.testing.assert_allclose(_values("c.nc:t@y,x"), _values(name), rtol=1e-6)
    assert xarray.open_dataset("c.nc")["t"].encoding["dtype"] == np.int16  # nothing moved: packed as it was
