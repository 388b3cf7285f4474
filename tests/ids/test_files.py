"""Files of ids byte by byte, and damaged ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from vqkit.errors import ConfigError, DataError
from vqkit.ids import SemanticIds, load_ids, save_ids
from vqkit.ids.names import read_names

DIGITS = np.array([[12, 3, 0], [12, 3, 1], [200, 0, 0]])
NAMES = ["tea", 'q"ö', "ink"]


def small(names: list[str] | None = None, *, last_digit: bool = True) -> SemanticIds:
    return SemanticIds(DIGITS if last_digit else DIGITS[:, :2], 256, last_digit=last_digit, names=names)


def test_index_json_is_what_json_dump_writes(tmp_path: Path) -> None:
    save_ids(small(), tmp_path / "plain")
    text = (tmp_path / "plain" / "index.json").read_bytes()
    assert text == (
        b'{"0": ["<a_12>", "<b_3>", "<c_0>"], "1": ["<a_12>", "<b_3>", "<c_1>"], "2": ["<a_200>", "<b_0>", "<c_0>"]}'
    )
    save_ids(small(NAMES), tmp_path / "named")
    text = (tmp_path / "named" / "index.json").read_bytes()
    assert text == json.dumps({name: small(NAMES).tokens_of(name) for name in NAMES}).encode()


def test_index_json_is_the_same_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vqkit.ids.files._ROWS", 2)
    save_ids(small(NAMES), tmp_path)
    text = (tmp_path / "index.json").read_bytes()
    assert text == json.dumps({name: small(NAMES).tokens_of(name) for name in NAMES}).encode()


def test_arrays_and_names_are_plain(tmp_path: Path) -> None:
    save_ids(small(NAMES), tmp_path)
    array = np.load(tmp_path / "ids.npy", allow_pickle=False)
    assert array.dtype == np.uint8
    np.testing.assert_array_equal(array, DIGITS)
    assert json.loads((tmp_path / "names.json").read_text()) == NAMES
    about = json.loads((tmp_path / "ids.json").read_text())
    assert (about["items"], about["codebook_size"], about["num_codebooks"], about["last_digit"]) == (3, 256, 2, 2)


def test_parquet_holds_items_ids_and_tokens(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    save_ids(small(NAMES), tmp_path, parquet=True)
    rows = parquet.read_table(tmp_path / "ids.parquet").to_pylist()
    assert rows[1] == {"item": 1, "name": 'q"ö', "id": [12, 3, 1], "tokens": "<a_12><b_3><c_1>"}
    assert len(rows) == 3


def test_collisions_are_listed_in_a_file(tmp_path: Path) -> None:
    save_ids(small(NAMES, last_digit=False), tmp_path)
    assert json.loads((tmp_path / "collisions.json").read_text()) == [{"id": [12, 3], "items": NAMES[:2]}]
    assert json.loads((tmp_path / "ids.json").read_text())["colliding_items"] == 2


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("")
    with pytest.raises(ConfigError, match="already holds something"):
        save_ids(small(), tmp_path)
    (tmp_path / "ids").mkdir()
    (tmp_path / "ids" / ".index.json.0123abcd.part").write_text("{")  # of a process that was killed
    save_ids(small(), tmp_path / "ids")
    assert sorted(path.name for path in (tmp_path / "ids").glob("[!.]*")) == ["ids.json", "ids.npy", "index.json"]
    assert not list((tmp_path / "ids").glob("*.part"))
    with pytest.raises(ConfigError, match=r"already holds something \('ids.json'\).*new or empty folder for ids"):
        save_ids(small(), tmp_path / "ids")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("ids.json", b"{"),
        ("ids.json", b"[]"),
        ("ids.json", b'{"ids_format": 2}'),
        ("ids.json", b'{"ids_format": 1, "items": 9, "codebook_size": 256, "num_codebooks": 3}'),
        ("ids.json", b'{"ids_format": 1, "items": 3, "codebook_size": 4, "num_codebooks": 3, "last_digit": null}'),
        ("ids.json", b'{"ids_format": 1, "items": -3, "codebook_size": 256, "num_codebooks": 3}'),
        ("ids.npy", b""),
        ("ids.npy", b"\x93NUMPY\x01\x00"),
        ("names.json", b'["a", "a", "b"]'),
        ("names.json", b'["a", "b"]'),
        ("names.json", b'{"a": 1}'),
        ("names.json", None),
    ],
)
def test_damaged_folders_are_named(tmp_path: Path, file: str, content: bytes | None) -> None:
    save_ids(small(NAMES), tmp_path)
    (tmp_path / file).unlink()
    if content is not None:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(DataError, match="make them again"):
        load_ids(tmp_path)


def test_no_ids_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no ids here"):
        load_ids(tmp_path / "nothing")


def test_names_of_files(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("tea\nink\n", encoding="utf-8")
    (tmp_path / "a.json").write_text('["tea", 7]')
    np.save(tmp_path / "a.npy", np.array([3, 5]))
    np.save(tmp_path / "b.npy", np.array([3.5, 5]))
    (tmp_path / "b.json").write_text('{"tea": 7}')
    (tmp_path / "a.csv").write_text("tea")
    assert read_names(tmp_path / "a.txt", 2) == ["tea", "ink"]
    (tmp_path / "w.txt").write_bytes("\ufeffNext\x85 line\r\n\r\na\u2028b".encode())  # as an editor of Windows writes
    assert read_names(tmp_path / "w.txt", 3) == ["Next\x85 line", "", "a\u2028b"]
    assert read_names(tmp_path / "a.json", 2) == ["tea", "7"]
    assert read_names(tmp_path / "a.npy", 2) == ["3", "5"]
    for wrong in ("b.npy", "b.json", "a.csv", "none.txt"):
        with pytest.raises(DataError, match="no names of items"):
            read_names(tmp_path / wrong, 2)
