"""Files of science: what is read, by an oracle of each library, and round trips of what is written like them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vqkit
from vqkit.data.grids.base import GRID_FORMATS
from vqkit.data.grids.loading import in_grid, open_grid, write_like
from vqkit.data.identity import tree_stamp
from vqkit.errors import DataError

nibabel = pytest.importorskip("nibabel")
xarray = pytest.importorskip("xarray")
tifffile = pytest.importorskip("tifffile")
pytest.importorskip("h5netcdf")

SHAPES = st.tuples(*[st.integers(1, 5)] * 3)
TYPES = st.sampled_from(["uint8", "int16", "float32", "float64"])


def _make(form: str, folder: Path, shape: tuple[int, ...], dtype: str) -> Path:
    values = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
    if form == "netcdf":
        path = folder / "a.nc"
        xarray.Dataset({"u": (("t", "y", "x"), values)}, {"y": np.arange(shape[1])}).to_netcdf(path, engine="h5netcdf")
    elif form == "zarr":
        path = folder / "a.zarr"
        coordinates = {"y": np.arange(shape[1])}
        xarray.Dataset({"u": (("t", "y", "x"), values)}, coordinates).to_zarr(path, consolidated=False)
    elif form == "nifti":
        path = folder / "a.nii.gz"
        nibabel.save(nibabel.Nifti1Image(values, np.diag([2.0, 3, 4, 1])), path)
    else:
        path = folder / "a.tif"
        tifffile.imwrite(path, values, photometric="minisblack", planarconfig="separate")
    return path


@pytest.mark.parametrize("form", [name for name in GRID_FORMATS if name in ("netcdf", "nifti", "tiff")])
@given(shape=SHAPES, dtype=TYPES)
@settings(max_examples=6, deadline=None)
def test_what_is_written_like_a_file_reads_as_it(
    form: str, shape: tuple[int, ...], dtype: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shape = (2, *shape[1:]) if form == "tiff" else shape
    path = _make(form, tmp_path_factory.mktemp("grids"), shape, dtype)
    opened = open_grid(str(path))
    assert opened is not None
    values = np.concatenate(list(opened.blocks()))
    out = path.with_name(f"back{''.join(path.suffixes)}")
    write_like(str(path), values.astype(np.float64), out)
    again = open_grid(str(out))
    assert again is not None
    back = np.concatenate(list(again.blocks()))
    assert back.dtype == values.dtype
    np.testing.assert_array_equal(back, values)


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
