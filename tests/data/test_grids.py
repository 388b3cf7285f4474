"""Files of science: what is read, by an oracle of each library, and round trips of what is written like them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vqkit
from tests.results.cases import check
from vqkit.data.grids.base import GRID_FORMATS
from vqkit.data.grids.loading import in_grid, open_grid, write_like
from vqkit.data.identity import tree_stamp
from vqkit.errors import DataError

nibabel = pytest.importorskip("nibabel")
xarray = pytest.importorskip("xarray")
tifffile = pytest.importorskip("tifffile")
pytest.importorskip("h5netcdf")

SHAPES = st.tuples(*[st.integers(1, 5)] * 3)
FLOATS = ("float32", "float64")
TYPES = st.sampled_from(["uint8", "int16", *FLOATS])


def _values(shape: tuple[int, ...], dtype: str, *, gaps: bool) -> np.ndarray:
    values = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
    if gaps and dtype in FLOATS:
        values[:, 0] = np.nan
    return values


def _make(form: str, folder: Path, shape: tuple[int, ...], dtype: str, *, gaps: bool = False) -> Path:
    """A file of a format, written by its own library, of values ``[shape]``."""
    return MAKERS[form](folder, _values(shape, dtype, gaps=gaps))


def _dataset(values: np.ndarray) -> xarray.Dataset:
    return xarray.Dataset({"u": (("t", "y", "x"), values)}, {"y": np.arange(values.shape[1])})


def _netcdf(folder: Path, values: np.ndarray) -> Path:
    _dataset(values).to_netcdf(folder / "a.nc", engine="h5netcdf")
    return folder / "a.nc"


def _zarr(folder: Path, values: np.ndarray) -> Path:
    pytest.importorskip("zarr")
    _dataset(values).to_zarr(folder / "a.zarr", consolidated=False)
    return folder / "a.zarr"


def _nifti(folder: Path, values: np.ndarray) -> Path:
    nibabel.save(nibabel.Nifti1Image(values, np.diag([2.0, 3, 4, 1])), folder / "a.nii.gz")
    return folder / "a.nii.gz"


def _tiff(folder: Path, values: np.ndarray) -> Path:
    tifffile.imwrite(folder / "a.tif", values, photometric="minisblack", planarconfig="separate")
    return folder / "a.tif"


def _dicom(folder: Path, values: np.ndarray) -> Path:
    """A series whose files are in another order than its slices, of 16 bits, scaled, of Hounsfield units."""
    pydicom = pytest.importorskip("pydicom")
    from pydicom.uid import ExplicitVRLittleEndian

    folder = folder / "scan"
    folder.mkdir()
    for place, plane in enumerate(values):
        head = pydicom.Dataset()
        head.file_meta = pydicom.dataset.FileMetaDataset()
        head.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        head.file_meta.MediaStorageSOPClassUID = head.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        head.file_meta.MediaStorageSOPInstanceUID = head.SOPInstanceUID = f"1.2.3.{place}"
        head.SeriesInstanceUID, head.Modality, head.RescaleType = "1.2.3", "CT", "HU"
        head.Rows, head.Columns = plane.shape
        head.SamplesPerPixel, head.PhotometricInterpretation = 1, "MONOCHROME2"
        head.BitsAllocated = head.BitsStored = 16
        head.HighBit, head.PixelRepresentation = 15, 1
        head.ImagePositionPatient, head.ImageOrientationPatient = [0, 0, 2.5 * place], [1, 0, 0, 0, 1, 0]
        whole = plane.dtype.kind != "f"
        head.RescaleIntercept, head.RescaleSlope = (-10, 2) if whole else ("0.5", "0.25")
        stored = (plane.astype(np.float64) - float(head.RescaleIntercept)) / float(head.RescaleSlope)
        head.PixelData = np.rint(stored).astype(np.int16).tobytes()
        head.save_as(folder / f"{len(values) - place:03d}.dcm", enforce_file_format=True)
    return folder


def _series(folder: Path, values: np.ndarray) -> Path:
    """Windows of as many rows as the last axis has, of columns."""
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {f"c{channel}": values[:, channel].ravel() for channel in range(values.shape[1])}
    parquet.write_table(pyarrow.table(columns), folder / "a.parquet")
    return folder / f"a.parquet@window={values.shape[2]}"


MAKERS = {"netcdf": _netcdf, "zarr": _zarr, "nifti": _nifti, "tiff": _tiff, "dicom": _dicom, "series": _series}


def _expected(form: str, values: np.ndarray) -> np.ndarray:
    """The items ``[N, C, *grid]`` of what a maker wrote, in their type."""
    if form == "tiff":
        return values[None] if values.ndim == 3 else values[None, None]
    if form == "nifti":
        return values.T[None, None]
    if form == "dicom":
        whole = values.dtype.kind != "f"
        stored = np.rint((values.astype(np.float64) + 10) / 2) * 2 - 10
        scaled = stored if whole else np.rint((values.astype(np.float64) - 0.5) / 0.25) * 0.25 + 0.5
        return scaled.astype(np.int32 if whole else np.float32)[None, None]
    if form == "series":
        return values if values.dtype.kind == "f" else values.astype(np.int32)
    return values[:, None]


def test_every_format_is_made_here() -> None:
    assert set(GRID_FORMATS) <= set(MAKERS), "a new format of grids gets a maker, and so the laws below"


@pytest.mark.parametrize("form", MAKERS)
@given(shape=SHAPES, dtype=TYPES, gaps=st.booleans())
@settings(max_examples=8, deadline=None)
def test_what_its_library_wrote_is_read(
    form: str, shape: tuple[int, ...], dtype: str, gaps: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shape = (2, *shape[1:]) if form in ("tiff", "dicom") else shape
    gaps = gaps and form not in ("nifti", "dicom")  # nothing stands for a gap there
    path = _make(form, tmp_path_factory.mktemp("grids"), shape, dtype, gaps=gaps)
    opened = open_grid(str(path))
    assert opened is not None
    values = np.concatenate(list(opened.blocks()))
    expected = _expected(form, _values(shape, dtype, gaps=gaps))
    assert (values.dtype, values.shape) == (expected.dtype, expected.shape)
    np.testing.assert_array_equal(values, expected)
    assert opened.axes == expected.ndim - 2
    assert opened.item_names is None or len(set(opened.item_names)) == len(expected)
    again = open_grid(str(path))
    assert again is not None
    np.testing.assert_array_equal(np.concatenate(list(again.blocks())), values)
    if form != "tiff":
        source = vqkit.load_source(path)
        np.testing.assert_array_equal(source.gather(range(len(source))), expected)
        assert (source.item_name(0) is None) == (opened.item_names is None)


@pytest.mark.parametrize("form", MAKERS)
@given(shape=SHAPES, dtype=TYPES, gaps=st.booleans())
@settings(max_examples=6, deadline=None)
def test_what_is_written_like_a_file_reads_as_it(
    form: str, shape: tuple[int, ...], dtype: str, gaps: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shape = (2, *shape[1:]) if form in ("tiff", "dicom") else shape
    path = _make(form, tmp_path_factory.mktemp("grids"), shape, dtype, gaps=gaps and form in ("netcdf", "zarr"))
    opened = open_grid(str(path))
    assert opened is not None
    values = np.concatenate(list(opened.blocks()))
    out = path.with_name(f"back{''.join(path.suffixes)}".partition("@")[0])
    write_like(str(path), values.astype(np.float64), out)
    again = open_grid(f"{out}{'@'.join(['', *str(path).split('@')[1:]])}")
    assert again is not None
    back = np.concatenate(list(again.blocks()))
    assert back.dtype == values.dtype
    np.testing.assert_array_equal(back, values)
    assert again.item_names == opened.item_names
    assert list(out.parent.glob(".*")) == []  # nothing half-written


def test_series_are_windows_of_one_group(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    file = tmp_path / "a.csv"
    file.write_text("x,who\n" + "".join(f"{n}.5,{'ab'[n > 5]}\n" for n in range(12)))
    source = vqkit.load_source(f"{file}:x@window=4,hop=2,group=who")
    assert len(source) == 4
    assert [source.read(n)[0, 0] for n in range(4)] == [0.5, 2.5, 6.5, 8.5]
    assert source.item_name(2) == "who=b,row=00000000"


def test_axes_and_variables_that_are_not_there_are_named(tmp_path: Path) -> None:
    path = _make("netcdf", tmp_path, (2, 3, 4), "float32")
    source = vqkit.load_source(f"{path}:u@y,x")
    assert (len(source), source.size, source.item_name(1)) == (2, (3, 4), "t=1")
    with pytest.raises(DataError, match=r"no variable 'q'.*u\(t, y, x\)"):
        vqkit.load_source(f"{path}:q")
    assert in_grid("nowhere.nc:u") is None


def test_columns_of_whole_numbers_have_a_type_that_holds_them(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")

    def read(rows: list[str], name: str = "a.csv") -> np.ndarray:
        file = tmp_path / name
        file.write_text("x,y\n" + "".join(f"{row}\n" for row in rows))
        opened = open_grid(f"{file}@window=2")
        assert opened is not None
        return np.concatenate(list(opened.blocks()))

    assert read(["1,2", "3,4"]).dtype == np.int32
    assert read(["1,2", "3,4000000000"]).dtype == np.uint32
    wide = read(["1,-4000000000", "3,9007199254740992"])
    assert wide.dtype == np.float64
    assert wide[0, 1].tolist() == [-4000000000.0, 9007199254740992.0]
    gaps = read(["1,2", ",4"])
    assert gaps.dtype == np.float32
    np.testing.assert_array_equal(gaps[0], [[1, np.nan], [2, 4]])
    with pytest.raises(DataError, match=r"9007199254740993 in columns.*2\^53.*leave such columns"):
        read(["1,2", "3,9007199254740993"])
    many = ["1,2"] * 300_000 + ["1.5,", "7,2.5"]  # beyond the block that the types are guessed from
    late = read(many)
    assert late.dtype == np.float64
    np.testing.assert_array_equal(late[-1], [[1.5, 7], [np.nan, 2.5]])
    with pytest.raises(DataError, match="cannot be read"):
        read(["1,2"] * 300_000 + ["1.5,", "seven,2.5"])


@pytest.mark.parametrize("name", ["series.zarr", "scan"])
def test_a_changed_file_in_a_folder_is_other_data(name: str, tmp_path: Path) -> None:
    inside = tmp_path / name / "u" / "0.0"
    inside.parent.mkdir(parents=True)
    inside.write_bytes(b"before")
    before = tree_stamp(tmp_path / name)
    assert before == tree_stamp(tmp_path / name)
    inside.write_bytes(b"behind")
    assert before != tree_stamp(tmp_path / name)


def test_channels_are_called_as_the_file_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vq: Callable[..., Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    values = np.random.default_rng(0).normal(size=(4, 16, 16)).astype(np.float32)
    winds = {name: (("t", "y", "x"), values, {"units": "m s-1"} if name == "u" else {}) for name in "uv"}
    xarray.Dataset(winds).to_netcdf("a.nc", engine="h5netcdf")
    source = vqkit.load_source("a.nc")
    assert source.channel_labels == source.subset([1]).channel_labels == ("u [m s-1]", "v")
    model = vqkit.VQVAE.for_source(source, 8, hidden_channels=8, downsampling=4, seed=0)
    model.save_pretrained("model")
    outcome = vq("eval", "model", "a.nc", "--json", "eval.json")
    assert "u [m s-1]" in outcome.out, outcome.err  # brackets are no markup
    found = json.loads(Path("eval.json").read_text())
    assert [each["name"] for each in found["channels"]] == ["u [m s-1]", "v"]
    check("evaluation", found)
