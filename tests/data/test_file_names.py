"""Names of files that hold any bytes: read, trained on, logged, printed, encoded and compressed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from vqkit.cli.main import app
from vqkit.coding.names import check_name, storable_name
from vqkit.data.load import load_source
from vqkit.data.skipped import Skipped
from vqkit.errors import ConfigError, DataError, shown
from vqkit.storage import atomic

TINY = ["--codebook-size=16", "--hidden-channels=8", "--code-dim=8", "--residual-channels=4", "--batch-size=4"]
TINY += ["--steps=2", "--threads=1"]
ODD = [b"caf\xe9", b"[red] [x", b"two\nlines", b" blank ", b"-dash", b"%s{0}", "ümlaut".encode(), b"\x1b[31m"]
NAMES = [b"plain", *ODD]


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A folder of an odd name, with files of odd names, each in two classes of odd names; two files are no images."""
    folder = tmp_path / os.fsdecode(b"d\xe9 [bold]")
    for label in (b"a\xff\n", b"[b]"):
        (folder / os.fsdecode(label)).mkdir(parents=True)
        for number, name in enumerate(NAMES):
            pixels = np.full((8, 8), 25 * number, np.uint8)
            Image.fromarray(pixels).save(folder / os.fsdecode(label) / os.fsdecode(name + b".png"))
        (folder / os.fsdecode(label) / os.fsdecode(b"bad\xe9\n.png")).write_bytes(b"no image")
    return folder


def vq(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


def test_what_is_shown_is_one_printable_line() -> None:
    assert shown("plain ümlaut [x]") == "plain ümlaut [x]"
    assert shown(os.fsdecode(b"a\nb\xe9\x1b\x00")) == r"a\nb\xe9\x1b\x00"
    assert str(DataError("one\ntwo\udce9")) == r"one\ntwo\xe9"
    assert Skipped("a\nb", "c\rd") == Skipped(r"a\nb", r"c\rd")


def test_json_keeps_any_name(tmp_path: Path) -> None:
    value = {"name": os.fsdecode(b"caf\xe9 \n [x]"), "other": "ümlaut \\udce9"}
    atomic.write_json(tmp_path / "a.json", value)
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == value


@pytest.mark.parametrize("limit", [None, 0])
def test_a_folder_is_read_and_what_is_skipped_can_be_printed(odd: Path, limit: int | None) -> None:
    source = load_source(odd, memory_limit=limit)
    assert (len(source), source.class_names) == (18, sorted([os.fsdecode(b"a\xff\n"), "[b]"]))
    assert [each.name for each in source.skipped] == [r"[b]/bad\xe9\n.png", r"a\xff\n/bad\xe9\n.png"]
    assert "\n".join(source.skip_report()).encode("utf-8").count(b"\n") == 1


def test_commands_read_write_and_print_them(odd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = os.fsdecode(b"run\xe9 [red]")
    told = vq("info", odd)
    assert told.exit_code == 0
    assert r"skipped [b]/bad\xe9\n.png: not an image" in told.output
    assert r"classes: [b], a\xff\n" in told.output
    trained = vq("train", odd, *TINY, "--out", run)
    assert trained.exit_code == 0
    assert r"skipped a\xff\n/bad\xe9\n.png" in trained.output
    config = json.loads(Path(run, "run.json").read_text(encoding="utf-8"))
    assert config["data"] == str(odd)
    for words in (
        ("train", "--resume", run, "--steps", 3, "--no-tensorboard"),
        ("encode", run, odd, "--out", os.fsdecode(b"tokens\xe9")),
        ("info", run),
        ("info", os.fsdecode(b"tokens\xe9")),
    ):
        done = vq(*words, *([] if words[0] == "info" else ["--threads", 1]))
        assert done.exit_code == 0, done.output
    manifest = json.loads(Path(os.fsdecode(b"tokens\xe9"), "tokens.json").read_text(encoding="utf-8"))
    assert manifest["class_names"] == sorted([os.fsdecode(b"a\xff\n"), "[b]"])

    for file in (*odd.rglob("*bad*"), *odd.rglob("* blank *")):
        file.unlink()
    packed = vq("compress", odd, "-m", run, "-o", "a.vqk", "--threads", 1)
    assert packed.exit_code == 0, packed.output
    assert r"a\xff\n/caf\xe9.png: kept as a%FF%0A/caf%E9.png" in packed.output
    assert vq("decompress", "a.vqk", "-m", run, "-o", "back", "--threads", 1).exit_code == 0
    assert len(list(Path("back").rglob("*.png"))) == 16
    assert Path("back", "a%FF%0A", "two%0Alines.png").is_file()


def test_all_names_that_a_file_cannot_hold_are_named_at_once(
    odd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "plain"
    data.mkdir()
    for name in ("a.png", "1:2.png", "3:4.png", "nul.png"):
        Image.new("L", (8, 8)).save(data / name)
    assert vq("train", data, *TINY, "--out", "run").exit_code == 0
    with pytest.raises(ConfigError, match=r"3 names do not work: .*'1:2\.png'.*'3:4\.png'.*'nul\.png'"):
        vq("compress", data, "-m", "run", "-o", "a.vqk", "--threads", 1)
    for name in ("1:2.png", "3:4.png", "nul.png"):
        (data / name).unlink()
    (data / "b\n.png").write_bytes((data / "a.png").read_bytes())
    (data / "b%0A.png").write_bytes((data / "a.png").read_bytes())
    with pytest.raises(ConfigError, match=r"two files would both be b%0A\.png"):
        vq("compress", data, "-m", "run", "-o", "a.vqk", "--threads", 1)


def test_storable_names() -> None:
    for name in (b"a/b.png", "ü/ä.png".encode(), b"a b%20.png"):
        assert storable_name(name.decode()) == name.decode()
    for raw in NAMES:
        name = storable_name(os.fsdecode(raw + b".png"))
        assert check_name(name) == name
    assert storable_name(os.fsdecode(b"x\xe9\n\x7f/y\xc2\x85")) == "x%E9%0A%7F/y%C2%85"


def test_tables_of_odd_names_and_rows_of_odd_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VQKIT_CACHE", str(tmp_path / os.fsdecode(b"cache\xe9")))
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    rows = [{"bytes": (tmp_path / "a.png").read_bytes(), "path": "x\ny.png"}] * 3 + [
        {"bytes": b"no", "path": "z\n.png"}
    ]
    pq.write_table(pa.table({"image": rows}), tmp_path / "t.parquet")
    odd = tmp_path / os.fsdecode(b"t\xe9.parquet")
    (tmp_path / "t.parquet").rename(odd)
    for limit in (None, 0):
        source = load_source(odd, memory_limit=limit)
        assert len(source) == 3
        assert [each.name for each in source.skipped] == [r"t\xe9.parquet row 3 (z\n.png)"]
