"""Vectors in every file that they are read from: the same numbers, in memory and mapped, and named rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import vqkit
from vqkit.errors import DataError

pa = pytest.importorskip("pyarrow", reason="tables need pyarrow")
import pyarrow.csv  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
from safetensors.numpy import save_file  # noqa: E402

X = np.random.default_rng(0).normal(size=(300, 5)).astype(np.float32)
NAMES = [f"w{number}" for number in range(300)]
COLUMNS = pa.table({"word": NAMES, **{f"x{number}": X[:, number] for number in range(5)}})
LISTS = pa.table({"word": NAMES, "vector": pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), 5)})
UNEVEN = pa.table({"id": list(range(300)), "vector": pa.array(list(X), pa.list_(pa.float32()))})


def _ipc(table: object, new: Callable[..., object], path: Path) -> None:
    with new(path, table.schema) as writer:  # type: ignore[attr-defined]
        writer.write_table(table, max_chunksize=70)


WRITERS: dict[str, Callable[[Path], object]] = {
    "f16.npy": lambda path: np.save(path, X.astype(np.float16)),
    "f64.npy": lambda path: np.save(path, X.astype(np.float64)),
    "f16.safetensors": lambda path: save_file({"a": X.astype(np.float16)}, path),
    "f32.safetensors": lambda path: save_file({"vectors": X, "other": X[:, :2].copy()}, path),
    "f64.safetensors": lambda path: save_file({"a": X.astype(np.float64)}, path),
    "columns.csv": lambda path: pyarrow.csv.write_csv(COLUMNS, path),
    "columns.tsv": lambda path: pyarrow.csv.write_csv(COLUMNS, path, pyarrow.csv.WriteOptions(delimiter="\t")),
    "columns.parquet": lambda path: pq.write_table(COLUMNS, path, row_group_size=70),
    "lists.parquet": lambda path: pq.write_table(LISTS, path, row_group_size=70),
    "uneven.parquet": lambda path: pq.write_table(UNEVEN, path, row_group_size=70),
    "file.arrow": lambda path: _ipc(LISTS, pa.ipc.new_file, path),
    "stream.arrow": lambda path: _ipc(COLUMNS, pa.ipc.new_stream, path),
}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VQKIT_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("limit", [None, 1000])
@pytest.mark.parametrize("name", WRITERS)
def test_the_same_vectors(name: str, limit: int | None, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name)
    source = vqkit.load_source(tmp_path / name, memory_limit=limit)
    assert (len(source), source.channels, source.axes, source.dtype) == (300, 5, 0, np.float32)
    assert source.in_memory is (limit is None)
    assert np.allclose(source.gather(range(300)), X, atol=1e-2 if "f16" in name else 0)
    if "safetensors" not in name and "npy" not in name:
        assert source.item_name(7) == ("7" if name.startswith("uneven") else "w7")
        assert source.subset([7, 9]).item_name(1) == ("9" if name.startswith("uneven") else "w9")


def test_columns_by_name(tmp_path: Path) -> None:
    pyarrow.csv.write_csv(COLUMNS, tmp_path / "v.csv")
    pq.write_table(COLUMNS, tmp_path / "v.parquet")
    for name in ("v.csv:x3,x1", "v.parquet:x3,x1"):
        source = vqkit.load_source(f"{tmp_path}/{name}")
        assert np.array_equal(source.gather(range(300)), X[:, [3, 1]])
        assert np.array_equal(vqkit.load_source(source.spec).gather(range(300)), X[:, [3, 1]])
    save_file({"a": X, "b": X + 1}, tmp_path / "v.safetensors")
    assert np.array_equal(vqkit.load_source(f"{tmp_path}/v.safetensors:b").gather(range(300)), X + 1)
    with pytest.raises(DataError, match=r"name one, .*v\.safetensors:a"):
        vqkit.load_source(tmp_path / "v.safetensors")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("word,x,y\na,1.5,2\nb,,3\n", "missing value"),
        ("word,text\na,b\n", "no column of lists or of floats"),
        ("a,b\n1,2\n", r"name the columns: .*v\.csv:a,b"),
        ("x,y\n1.5\n", "cannot be read as CSV"),
        ("x,y\n", "no column|no rows"),
        ("", "cannot be read as CSV"),
        ("x,y\n1.5,nan\n", "column 'y' has no number"),
        ("x,y\n1.5,inf\n", "NaN or Inf"),
    ],
)
def test_damaged_tables(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "v.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        vqkit.load_source(tmp_path / "v.csv")


def test_whole_numbers_among_floats_of_a_text_are_numbers(tmp_path: Path) -> None:
    (tmp_path / "v.csv").write_text("id,x,y\n4,0,1.5\n5,0.5,2\n")
    source = vqkit.load_source(tmp_path / "v.csv")
    assert source.gather([0, 1]).tolist() == [[0, 1.5], [0.5, 2]]
    assert source.item_name(0) == "4"


def test_damaged_files(tmp_path: Path) -> None:
    for name in ("file.arrow", "f32.safetensors", "columns.parquet"):
        WRITERS[name](tmp_path / name)
        whole = (tmp_path / name).read_bytes()
        for cut in (0, 5, 40, len(whole) // 2):
            (tmp_path / name).write_bytes(whole[:cut])
            with pytest.raises(DataError):
                vqkit.load_source(tmp_path / name)
    for wrong in ("v.csv:nope", "v.csv:word"):
        pyarrow.csv.write_csv(COLUMNS, tmp_path / "v.csv")
        with pytest.raises(DataError, match=r"no column 'nope'|columns of numbers"):
            vqkit.load_source(f"{tmp_path}/{wrong}")


@pytest.mark.parametrize("limit", [None, 100])
def test_rows_of_another_length_are_refused_wherever_they_begin(tmp_path: Path, limit: int | None) -> None:
    tables = [pa.table({"word": ["a", "b"], "v": [[0.0] * dim] * 2}) for dim in (2, 4)]
    with pa.ipc.new_file(tmp_path / "a.arrow", tables[0].schema) as writer:
        for table in tables:
            writer.write_table(table)
    with pytest.raises(DataError, match=r"row 2 and on: vectors of 4 numbers, and those before have 2"):
        vqkit.load_source(tmp_path / "a.arrow", memory_limit=limit)


@pytest.mark.parametrize("table", [COLUMNS, LISTS, UNEVEN])
def test_several_parquet_files_are_as_one(tmp_path: Path, table: object) -> None:
    for part, rows in enumerate((slice(0, 200), slice(200, 300))):
        own = table.take(list(range(300)[rows]))  # type: ignore[attr-defined]
        pq.write_table(own.select(own.schema.names[:: 1 - 2 * part]), tmp_path / f"{part}.parquet")  # of any order
    pq.write_table(COLUMNS.select(["x0"]), tmp_path / "other.pq")
    for spec in (tmp_path, tmp_path / "*.parquet"):
        source = vqkit.load_source(spec)
        assert np.array_equal(source.gather(range(300)), X)
        assert source.item_name(299) == ("299" if table is UNEVEN else "w299")


def test_files_that_lack_a_column_are_refused(tmp_path: Path) -> None:
    pq.write_table(COLUMNS, tmp_path / "0.parquet")
    pq.write_table(COLUMNS.select(["word", "x0"]), tmp_path / "1.parquet")
    with pytest.raises(DataError, match=r"1.parquet has no column 'x1'"):
        vqkit.load_source(tmp_path)


def test_rows_are_named_all_or_none(tmp_path: Path) -> None:
    pq.write_table(pa.table({"word": ["a", None, "c"], "x": [1.0, 2.0, 3.0]}), tmp_path / "a.parquet")
    source = vqkit.load_source(tmp_path / "a.parquet")
    assert [source.item_name(row) for row in range(3)] == [None] * 3
    assert source.notes[0] == "rows are not named: column 'word' has no value in row 1"


def test_the_first_row_without_a_number_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1.0, 2.0, None]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"word": ["a", "b"], "v": [[1.0, 2.0], [3.0, None]]}), tmp_path / "b.parquet")
    for name, row in (("a", 2), ("b", 1)):
        with pytest.raises(DataError, match=f"row 0 and on: .*the first {row} rows on"):
            vqkit.load_source(tmp_path / f"{name}.parquet")
