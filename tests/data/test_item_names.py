"""Items keep the names that they have in a folder or a table, whatever is made of the source."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from vqkit.data import ArraySource, CenterCrops, ConcatSource, RandomCrops, Source, load_source


def png(shade: int, side: int = 8) -> bytes:
    file = io.BytesIO()
    Image.new("L", (side, side), shade).save(file, "PNG")
    return file.getvalue()


def picture_folder(root: Path, *, several_sizes: bool = False) -> Path:
    for number, name in enumerate(("b/2.png", "a/1.png", "a/3.png", "b/4.png")):
        (root / name).parent.mkdir(exist_ok=True, parents=True)
        (root / name).write_bytes(png(number, 8 + number * several_sizes))
    return root


NAMES = ["a/1.png", "a/3.png", "b/2.png", "b/4.png"]


def names(source: Source) -> list[str | None]:
    return [source.item_name(index) for index in range(len(source))]


@pytest.mark.parametrize("limit", [None, 0])
@pytest.mark.parametrize("several_sizes", [False, True])
def test_a_folder_names_its_items_by_path_in_memory_and_on_demand(
    tmp_path: Path, limit: int | None, several_sizes: bool
) -> None:
    source = load_source(picture_folder(tmp_path, several_sizes=several_sizes), memory_limit=limit)
    assert names(source) == NAMES
    assert names(source.subset([3, 1])) == ["b/4.png", "a/3.png"]
    assert names(source.subset([3, 1]).subset([1])) == ["a/3.png"]
    assert names(source.with_channels(3)) == NAMES
    assert source.item_name(-1) == "b/4.png"
    with pytest.raises(IndexError):
        source.item_name(4)


@pytest.mark.parametrize("limit", [None, 0])
def test_a_table_names_its_rows(tmp_path: Path, limit: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VQKIT_CACHE", str(tmp_path / "cache"))
    rows = [{"bytes": png(1), "path": "one.png"}, {"bytes": b"no image", "path": "bad.png"}, {"bytes": png(2)}]
    pq.write_table(pa.table({"image": rows}), tmp_path / "t.parquet")
    source = load_source(tmp_path / "t.parquet", memory_limit=limit)
    assert names(source) == ["t.parquet row 0 (one.png)", "t.parquet row 2"]


def test_what_is_made_of_others_forwards_the_names(tmp_path: Path) -> None:
    source = load_source(picture_folder(tmp_path))
    assert names(CenterCrops(source, 4).subset([2])) == ["b/2.png"]
    assert names(RandomCrops(source, 4, 6).subset([5, 0])) == ["a/3.png", "a/1.png"]
    both = ConcatSource([source.subset([0]), ArraySource(np.zeros((1, 1, 8, 8), np.uint8)), source.subset([3])])
    assert names(both) == ["a/1.png", None, "b/4.png"]
    assert names(both.subset([2, 1])) == ["b/4.png", None]
