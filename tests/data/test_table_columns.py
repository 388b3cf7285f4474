"""Columns of tables in all the types that people have: labels, images, names twice, files that differ."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from vqkit.data import ArraySource, Source, load_source
from vqkit.data.naming import recorded_name
from vqkit.errors import DataError
from vqkit.training.record.run import fingerprint, is_same_data


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VQKIT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "d").mkdir()


def png(shade: int = 0, side: int = 8) -> bytes:
    file = io.BytesIO()
    Image.new("L", (side, side), shade).save(file, "PNG")
    return file.getvalue()


def images(count: int = 4) -> Any:
    return pa.array([png(number) for number in range(count)])


def load(folder: Path, *tables: Any, limit: int | None = None) -> Source:
    for number, table in enumerate(tables):
        pq.write_table(table, folder / f"{number}.parquet")
    return load_source(folder, memory_limit=limit)


def classes(source: Source) -> list[str | None]:
    assert source.labels is not None
    names = source.class_names or [str(label) for label in range(100)]
    return [None if label < 0 else names[label] for label in source.labels]


NAMES = ["dog", "cat", None, "dog"]


@pytest.mark.parametrize("limit", [None, 0])
@pytest.mark.parametrize(
    ("labels", "expected", "named"),
    [
        (pa.array(NAMES), NAMES, ["cat", "dog"]),
        (pa.array(NAMES, pa.large_string()), NAMES, ["cat", "dog"]),
        (pa.array(NAMES).dictionary_encode(), NAMES, ["cat", "dog"]),
        (pa.array([True, False, None, True]), ["true", "false", None, "true"], ["false", "true"]),
        (pa.array([2.0, 0.0, float("nan"), 1.0]), ["2", "0", None, "1"], None),
        (pa.array([2, 0, None, 1], pa.float16()) if hasattr(pa, "float16") else None, ["2", "0", None, "1"], None),
        (pa.array([2, 0, -1, None], pa.int8()), ["2", "0", None, None], None),
        (pa.array([7, 0, 7, 3], pa.uint64()), ["7", "0", "7", "3"], None),
        (pa.array([5, 9, 5, 9], pa.int32()).dictionary_encode(), ["5", "9", "5", "9"], None),
        (pa.array([0, 1, 2, 2**63 + 1], pa.uint64()), ["0", "1", "2", str(2**63 + 1)], ["0", "1", "2", str(2**63 + 1)]),
        (pa.array([-5, 10**12, None, -5]), ["-5", str(10**12), None, "-5"], ["-5", str(10**12)]),
    ],
)
def test_labels_of_any_type(
    tmp_path: Path, labels: Any, expected: list[str | None], named: list[str] | None, limit: int | None
) -> None:
    source = load(tmp_path / "d", pa.table({"image": images(), "label": labels}), limit=limit)
    assert classes(source) == expected
    assert source.class_names == named
    told = " ".join(source.notes)
    assert ("have no label" in told) == (None in expected)
    if None in expected:
        assert f"{expected.count(None)} of 4 rows" in told


@pytest.mark.parametrize(
    ("labels", "word"),
    [
        (pa.array([0.25, 0.5, 0.5, 1.0]), "0.25"),
        (pa.array([[1], [2], [3], [1]]), "list"),
        (pa.nulls(4), "null"),
        (pa.array([1, 2, 3, 4], pa.timestamp("s")), "timestamp"),
        (pa.array([{"a": 1}] * 4), "struct"),
    ],
)
def test_what_is_no_class_is_named_and_not_read(tmp_path: Path, labels: Any, word: str) -> None:
    source = load(tmp_path / "d", pa.table({"image": images(), "label": labels}))
    assert source.labels is None
    assert any("'label'" in note and word in note for note in source.notes)


def test_texts_that_all_differ_are_no_classes_unless_somebody_names_them(tmp_path: Path) -> None:
    texts = pa.array([f"a picture of {number}" for number in range(120)])
    pq.write_table(pa.table({"image": images(120), "label": texts}), tmp_path / "d" / "t.parquet")
    source = load_source(tmp_path / "d")
    assert source.labels is None
    assert any("120 different texts in 120 rows" in note for note in source.notes)
    asked = load_source(f"{tmp_path}/d/t.parquet:label")
    assert len(asked.class_names or []) == 120


@pytest.mark.parametrize("limit", [None, 0])
def test_of_two_label_columns_one_is_read_both_are_named_and_the_other_can_be_had(
    tmp_path: Path, limit: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pa.table({"image": images(), "label": [0, 1, 2, 3], "labels": list("wxyz"), "kind": list("aabb")})
    source = load(tmp_path / "d", table, limit=limit)
    assert classes(source) == ["0", "1", "2", "3"]
    assert any("'label' was read, of label, labels" in note and "labels" in note for note in source.notes)
    assert classes(load_source(f"{tmp_path}/d/0.parquet:labels", memory_limit=limit)) == list("wxyz")
    assert classes(load_source(f"{tmp_path}/d/*.parquet:kind", memory_limit=limit)) == list("aabb")
    monkeypatch.chdir(tmp_path / "d")
    recorded = [recorded_name("0.parquet:kind"), recorded_name("?.parquet:kind")]
    monkeypatch.chdir("/")
    assert [classes(load_source(name)) for name in recorded] == [list("aabb")] * 2
    with pytest.raises(DataError, match=r"no column 'nothing'.*kind"):
        load_source(f"{tmp_path}/d/0.parquet:nothing")
    with pytest.raises(DataError, match="'image' holds no labels"):
        load_source(f"{tmp_path}/d/0.parquet:image")


def test_class_labels_beyond_their_names_are_said(tmp_path: Path) -> None:
    features = {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
    meta = {"huggingface": json.dumps({"info": {"features": features}})}
    table = pa.table({"image": images(), "label": pa.array([0, 1, 2**40, -7])}).replace_schema_metadata(meta)
    source = load(tmp_path / "d", table)
    assert classes(source) == ["cat", "dog", None, None]
    assert any("have no name" in note for note in source.notes)


def test_a_column_name_twice(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([images(), images()], names=["image", "image"])
    with pytest.raises(DataError, match=r"2 columns called 'image'.*rename"):
        load(tmp_path / "d", table)
    table = pa.Table.from_arrays([images(), pa.array([0] * 4), pa.array([1] * 4)], names=["image", "label", "label"])
    with pytest.raises(DataError, match="2 columns called 'label'"):
        load(tmp_path / "d", table)
    others = [images(), pa.array([3, 2, 1, 0]), pa.array([0] * 4), pa.array([1] * 4)]
    source = load(tmp_path / "d", pa.Table.from_arrays(others, names=["image", "label", "x", "x"]))
    assert classes(source) == ["3", "2", "1", "0"]


def test_files_whose_columns_differ(tmp_path: Path) -> None:
    numbers = pa.table({"image": images(), "label": pa.array([0, 1, 2, 3])})
    names = pa.table({"image": images(), "label": pa.array(list("abcd"))})
    with pytest.raises(DataError, match=r"1\.parquet: column 'label' holds names.*0\.parquet whole numbers"):
        load(tmp_path / "d", numbers, names)
    with pytest.raises(DataError, match=r"1\.parquet has labels in column 'label'"):
        load(tmp_path / "d", pa.table({"image": images()}), numbers)
    with pytest.raises(DataError, match=r"1\.parquet has no column 'label'"):
        load(tmp_path / "d", numbers, pa.table({"image": images()}))
    with pytest.raises(DataError, match=r"1\.parquet.*'image'"):
        load(tmp_path / "d", numbers, pa.table({"image": [1, 2], "img": images(2), "label": [0, 1]}))


def test_files_whose_columns_differ_in_order_and_width_only_are_one_set(tmp_path: Path) -> None:
    first = pa.table({"image": images(), "label": pa.array([0, 1, 2, 3], pa.int8())})
    second = pa.table(
        {"x": [1.0] * 2, "label": pa.array([3, 0], pa.uint32()), "image": images(2).cast(pa.large_binary())}
    )
    nothing = first.slice(0, 0)
    source = load(tmp_path / "d", nothing, first, second)
    assert classes(source) == ["0", "1", "2", "3", "3", "0"]
    text = pa.table({"image": images(2), "label": ["b", "a"]})
    (tmp_path / "e").mkdir()
    encoded = pa.table({"image": images(2), "label": pa.array(["c", "a"]).dictionary_encode()})
    assert classes(load(tmp_path / "e", text, encoded)) == ["b", "a", "c", "a"]


def test_files_that_number_the_same_classes_differently_are_read_by_name(tmp_path: Path) -> None:
    def named(names: list[str], labels: list[int]) -> Any:
        features = {"label": {"names": names, "_type": "ClassLabel"}}
        table = pa.table({"image": images(len(labels)), "label": pa.array(labels)})
        return table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})

    source = load(tmp_path / "d", named(["cat", "dog"], [0, 1, -1]), named(["dog", "eel"], [0, 1, 7]))
    assert classes(source) == ["cat", "dog", None, "dog", "eel", None]
    assert source.class_names == ["cat", "dog", "eel"]
    with pytest.raises(DataError, match="others have none"):
        load(tmp_path / "d", named(["cat"], [0]), pa.table({"image": images(1), "label": [0]}))


@pytest.mark.parametrize("limit", [None, 0])
@pytest.mark.parametrize(
    "kind",
    ["binary_view", "fixed", "list", "large_list", "signed", "fixed_list", "struct_list", "chunked", "dictionary"],
)
def test_images_as_bytes_in_any_type(tmp_path: Path, kind: str, limit: int | None) -> None:
    files = [png(number * 40) for number in range(4)]
    width = max(map(len, files))
    padded = [file.ljust(width, b"\0") for file in files]
    column = {
        "binary_view": lambda: pa.array(files).cast(pa.binary_view()),
        "fixed": lambda: pa.array(padded, pa.binary(width)),
        "list": lambda: pa.array([list(file) for file in files], pa.list_(pa.uint8())),
        "large_list": lambda: pa.array([list(file) for file in files], pa.large_list(pa.uint8())),
        "signed": lambda: pa.array([list(np.frombuffer(file, np.int8)) for file in files], pa.list_(pa.int8())),
        "fixed_list": lambda: pa.array([list(file) for file in padded], pa.list_(pa.uint8(), width)),
        "struct_list": lambda: pa.array([{"bytes": list(file), "path": 7} for file in files],
                                        pa.struct([("bytes", pa.list_(pa.uint8())), ("path", pa.int64())])),
        "chunked": lambda: pa.chunked_array([files[:1], files[1:1], files[1:]], pa.binary()),
        "dictionary": lambda: pa.array(files).dictionary_encode(),
    }[kind]()  # fmt: skip
    source = load(tmp_path / "d", pa.table({"image": column}), limit=limit)
    assert [int(source.read(index)[0, 0, 0]) for index in range(4)] == [0, 40, 80, 120]


def test_bytes_that_are_no_image_are_skipped_and_named(tmp_path: Path) -> None:
    values = [list(png(3)), [1, None, 3], None, list(png(4))]
    source = load(tmp_path / "d", pa.table({"image": pa.array(values, pa.list_(pa.uint8()))}))
    assert len(source) == 2
    assert [each.name for each in source.skipped] == ["0.parquet row 1", "0.parquet row 2"]


def test_lists_of_images_give_their_first(tmp_path: Path) -> None:
    values = [[png(1), png(2)], [png(3)], [png(5)], []]
    source = load(tmp_path / "d", pa.table({"image": pa.array(values, pa.list_(pa.binary())), "label": [0, 1, 2, 3]}))
    assert [int(source.read(index)[0, 0, 0]) for index in range(3)] == [1, 3, 5]
    assert len(source.skipped) == 1
    assert any("lists of images: the first of each row" in note for note in source.notes)


def nested(array: np.ndarray, kind: Any) -> Any:
    for _ in range(array.ndim - 1):
        kind = pa.list_(kind)
    return pa.array(array.tolist(), kind)


def test_vectors_as_lists_of_numbers(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 5)
    for column in (nested(vectors, pa.float32()), nested(vectors, pa.float64()), fixed):
        table = pa.table({"embedding": column, "label": list("abcabc")})
        source = load(tmp_path / "d", table.slice(0, 2), table.slice(2, 4))
        np.testing.assert_array_equal(source.gather(range(6)), vectors)
        assert (source.axes, classes(source)) == (0, list("abcabc"))


def test_images_as_lists_of_rows(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 6, 3), dtype=np.uint8)
    source = load(tmp_path / "d", pa.table({"image": nested(pixels, pa.uint8())}))
    np.testing.assert_array_equal(source.gather(range(3)), pixels.transpose(0, 3, 1, 2))
    grey = load(tmp_path / "d", pa.table({"pixels": nested(pixels[..., 0], pa.int64()), "label": [3, -1, 4]}))
    np.testing.assert_array_equal(grey.gather(range(3))[:, 0], pixels[..., 0])
    assert classes(grey) == ["3", None, "4"]
    extended = pa.ExtensionArray.from_storage(
        pa.fixed_shape_tensor(pa.uint8(), [2]), pa.FixedSizeListArray.from_arrays(pa.array(range(8), pa.uint8()), 2)
    )
    vectors = load(tmp_path / "d", pa.table({"x": extended, "id": [1.0] * 4}))
    np.testing.assert_array_equal(vectors.gather(range(4)), np.arange(8, dtype=np.float32).reshape(4, 2))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[1.0, 2.0], [1.0]], "different lengths"),
        ([[1.0, 2.0], None], "missing"),
        ([[1.0, None], [1.0, 2.0]], "missing"),
        ([[1.0, float("nan")], [1.0, 2.0]], "NaN"),
    ],
)
def test_lists_that_make_no_array_are_refused(tmp_path: Path, values: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(tmp_path / "d", pa.table({"x": values}))


def test_lists_beyond_the_memory_limit_are_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VQKIT_CACHE", str(tmp_path / "cache"))
    values = np.arange(100, dtype=np.float32).reshape(10, 10)
    source = load(tmp_path / "d", pa.table({"x": nested(values, pa.float32())}), limit=100)
    assert "memory-mapped" in source.describe()
    assert np.array_equal(source.gather(range(10)), values)


def test_whole_numbers_come_before_names(tmp_path: Path) -> None:
    table = pa.table({"image": images(), "label": list("wxyz"), "labels": [3, 2, 1, 0]})
    assert classes(load(tmp_path / "d", table)) == ["3", "2", "1", "0"]


def test_a_run_begun_when_names_were_not_read_still_knows_its_data(tmp_path: Path) -> None:
    named = load(tmp_path / "d", pa.table({"image": images(), "label": list("abab")}))
    before = fingerprint(ArraySource(named.gather(range(4))))
    assert fingerprint(named) != before
    assert is_same_data(named, before)
    assert is_same_data(named, fingerprint(named))
    numbers = load(tmp_path / "d", pa.table({"image": images(), "label": [0, 1, 0, 1]}))
    assert not is_same_data(numbers, before)
