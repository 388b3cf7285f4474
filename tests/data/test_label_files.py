"""Labels in a JSON or CSV file beside the signals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import vqkit
from tests.data.sounds.files import tones, write
from vqkit.cli.main import app
from vqkit.data import labels_assumed
from vqkit.errors import ConfigError, DataError

ANIMALS = {"one/a.wav": "dog", "one/b.wav": "cat", "two/c.wav": "dog"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate(ANIMALS):
        write(tmp_path / "data" / name, tones(0.1, 8_000, seed=number), 8_000)
    return tmp_path / "data"


def csv(values: dict[str, Any], head: str = "file,label", comma: str = ",") -> str:
    return "\n".join([head.replace(",", comma), *(f"{name}{comma}{value}" for name, value in values.items())])


RECORDS = [{"path": name, "kind": {"animal": value}, "legs": 4} for name, value in ANIMALS.items()]
FILES = [
    ("labels.json", json.dumps(ANIMALS), ""),
    ("labels.json", json.dumps({name.removesuffix(".wav"): value for name, value in ANIMALS.items()}), ""),
    ("labels.json", json.dumps({name[4:]: {"animal": value, "age": 3} for name, value in ANIMALS.items()}), ":animal"),
    ("labels.json", json.dumps(RECORDS), ":kind.animal"),
    ("labels.jsonl", "\n".join(json.dumps(record) for record in RECORDS), ":kind.animal"),
    ("labels.csv", csv(ANIMALS), ""),
    ("labels.CSV", "\ufeff" + csv({name[4:5]: value for name, value in ANIMALS.items()}, "id,animal"), ""),
    ("labels.tsv", csv({name: f"{value}\t7" for name, value in ANIMALS.items()}, "file,animal,age", "\t"), ":animal"),
]


@pytest.mark.parametrize(("name", "text", "key"), FILES)
@pytest.mark.parametrize("place", ["data", "."])
def test_labels_are_found_by_name(folder: Path, name: str, text: str, key: str, place: str) -> None:
    (folder.parent / place / name).write_text(text, encoding="utf-8")
    source = vqkit.load_source(folder, labels=f"{name}{key}")
    assert source.class_names == ["cat", "dog"]
    assert source.labels is not None
    assert source.labels.tolist() == [1, 0, 1]
    assert source.spec == f"{folder.resolve()}:{(folder.parent / place / name).resolve()}{key}"
    again = vqkit.load_source(source.spec)
    assert (again.spec, again.class_names) == (source.spec, source.class_names)
    assert np.array_equal(again.labels, source.labels)
    assert vqkit.load_source(f"sound@16k:{folder}:{name}{key}").class_names == ["cat", "dog"]
    assert vqkit.load_source(folder).class_names == ["one", "two"]


def test_some_have_none(folder: Path) -> None:
    (folder / "labels.json").write_text(json.dumps({"a.wav": 3, "c.wav": 5, "other.wav": 1}))
    source = vqkit.load_source(folder, labels="labels.json")
    assert source.labels is not None
    assert (source.labels.tolist(), source.class_names) == ([3, -1, 5], None)
    assert source.notes == ["1 of 3 items have no label in labels.json"]


def test_of_two_items_of_one_name_each_needs_its_path(folder: Path) -> None:
    write(folder / "two/a.wav", tones(0.1, 8_000, seed=9), 8_000)
    (folder / "labels.csv").write_text(csv({"a.wav": "dog", "b.wav": "cat", "two/a.wav": "cow"}))
    source = vqkit.load_source(folder, labels="labels.csv")
    assert source.labels is not None
    assert [source.item_name(index) for index in range(4)] == ["one/a.wav", "one/b.wav", "two/a.wav", "two/c.wav"]
    assert source.labels.tolist() == [-1, 0, 1, -1]


@pytest.mark.parametrize(
    ("text", "labels", "said"),
    [
        ({"x.wav": "dog"}, "labels.json", r"names none of the items.*'one/a\.wav'.*'x\.wav'"),
        ({"a": {"animal": "dog", "age": 3}}, "labels.json", r"has animal, age: name one.*labels\.json:age"),
        ({"a": {"animal": "dog"}}, "labels.json:color", r"has no 'color'; it has animal"),
        ({"a": "dog"}, "labels.json:color", r"one label for each name; leave out 'color'"),
        ({"a": {"animal": {"kind": "dog"}}}, "labels.json:animal", r"holds dicts.*labels\.json:kind"),
        ({"a": ["dog", "cat"]}, "labels.json", "holds lists"),
        ({"a": 0.5}, "labels.json", r"0\.5, which are no classes"),
        ([{"animal": "dog"}], "labels.json", "needs the name of a file"),
        ({}, "labels.json", "holds no labels"),
        ("{", "labels.json", "cannot be read"),
        ({}, "none.json", r"none\.json: No such file"),
    ],
)
def test_what_is_wrong_is_said(folder: Path, text: Any, labels: str, said: str) -> None:
    (folder / "labels.json").write_text(text if isinstance(text, str) else json.dumps(text))
    with pytest.raises(DataError, match=said):
        vqkit.load_source(folder, labels=labels)


def test_labels_of_other_data(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"labels of type ndarray.*ArraySource\(array, labels=labels\)"):
        vqkit.load_source(np.zeros((4, 3, 8, 8), np.uint8), labels=np.arange(4))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="labels='speaker'"):
        vqkit.load_source(folder, labels="speaker")
    with pytest.raises(ConfigError, match="labels='speaker'"):
        vqkit.load_source(np.zeros((3, 8, 8)), labels="speaker")
    Image.new("L", (8, 8), 7).save(folder / "a.png")
    Image.new("L", (8, 8), 9).save(folder / "b.png")
    (folder / "labels.csv").write_text(csv({"a": 1, "b.png": 0}))
    with labels_assumed("labels.csv"):
        pictures = vqkit.load_source(folder)
        assert vqkit.load_source("builtin:digits").labels is not None
    assert pictures.labels is not None
    assert pictures.labels.tolist() == [1, 0]


def test_from_the_command_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "labels.json").write_text(json.dumps(ANIMALS))
    monkeypatch.chdir(folder.parent)
    words = ["train", "data", "--labels", "labels.json", "--kind", "sound@4000", "--out", "run", "--steps", "2"]
    small = ["--validation", "last:1", "--hidden-channels", "8", "--no-tensorboard", "--batch-size", "2", "-k", "16"]
    done = CliRunner().invoke(app, [*words, *small])
    assert done.exit_code == 0, done.output
    recorded = json.loads((folder.parent / "run" / "run.json").read_text())
    assert recorded["data"] == f"sound@4000:{folder.resolve()}:{(folder / 'labels.json').resolve()}"
    done = CliRunner().invoke(app, ["eval", "run", "data"])
    assert done.exit_code == 0, done.output
    assert "at 4 kHz" in done.output
    refused = CliRunner().invoke(app, ["eval", "run", "data", "--kind", "sound@8000"])
    assert isinstance(refused.exception, DataError)
    assert "at 8 kHz" in str(refused.exception)
    assert "the model reads mono sounds at 4 kHz" in str(refused.exception)
    assert "sound@4000" in str(refused.exception)
