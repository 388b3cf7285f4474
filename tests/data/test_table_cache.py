"""The memory-mapped copy of a table is made anew when the table's files change, however they change."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from vqkit.data import ArrowSource, load_source
from vqkit.data.tables.loading import load_table
from vqkit.data.tables.table import Columns, ImageTable


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VQKIT_CACHE", str(tmp_path / "cache"))


def grey(value: int) -> np.ndarray[Any, Any]:
    return np.full((8, 8), value, np.uint8)


def bmp(value: int) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(grey(value)).save(sink, "BMP")
    return sink.getvalue()


def test_a_file_of_the_same_size_and_time_is_another(tmp_path: Path) -> None:
    file = tmp_path / "x.parquet"
    for value in (10, 20):
        table = pa.table({"image": pa.array([bmp(value)] * 3, pa.binary())})
        pq.write_table(table, file, compression="none", use_dictionary=False)
        os.utime(file, ns=(1, 1))
        size = file.stat().st_size
        source = load_source(file, memory_limit=0)
        assert isinstance(source, ArrowSource)
        assert (source.read(0) == value).all()
    assert size == file.stat().st_size
    stamps = [each.stat().st_mtime_ns for each in (tmp_path / "cache" / "tables").iterdir()]
    load_source(file, memory_limit=0)
    assert [each.stat().st_mtime_ns for each in (tmp_path / "cache" / "tables").iterdir()] == stamps
    assert len(stamps) == 2


def test_files_that_a_table_names_only_by_path_count_too(tmp_path: Path) -> None:
    file = tmp_path / "a.bmp"
    column = [{"bytes": None, "path": str(file)}] * 2
    table = ImageTable(
        name="paths",
        rows=2,
        columns=Columns("image", None, None, []),
        found="image",
        batches=lambda _: iter([("paths", 0, pa.table({"image": column}))]),
        identity="the same",
        follow_paths=True,
    )
    for value in (10, 20):
        file.write_bytes(bmp(value))
        assert (load_table(table, limit=0, channels=None).read(1) == value).all()
