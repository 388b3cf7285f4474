"""``vqkit add``, ``extract``, ``verify`` and ``inspect --list`` as a user meets them."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import vqkit
from tests.cli.cases import SMALL, photos, refused


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A model, and a folder of four images."""
    folder = photos(tmp_path / "data")
    vqkit.VQVAE.for_source(vqkit.load_source(folder), 16, **SMALL, seed=0).save_pretrained(tmp_path / "model")
    return folder


@pytest.fixture
def winds(tmp_path: Path) -> Any:
    """A model of fields, and three fields, each in a file."""
    values = np.random.default_rng(0).normal(size=(3, 2, 20, 18)).cumsum(2).cumsum(3).astype(np.float32)
    for number, each in enumerate(values):
        np.save(tmp_path / f"w{number}.npy", each[None])
    source = vqkit.load_source(values, kind="field@NCHW")
    vqkit.VQVAE.for_source(source, 16, **SMALL, seed=0).save_pretrained(tmp_path / "model")
    return values


def test_images_come_and_go(images: Path, vq: Any) -> None:
    first = vq("add", "a.vqk", "data/0.png", "data/1.png", "--model", "model")
    assert first.status == 0
    size = Path("a.vqk").stat().st_size
    assert f"2 signals added: a.vqk, {size:,} bytes" in first.out
    grown = vq("add", "a.vqk", "data", "--model", "model")
    assert grown.status == 0
    assert f"+{Path('a.vqk').stat().st_size - size:,} bytes" in grown.out
    assert "2 signals added" in grown.out
    assert "2 signals of the same name and content" in grown.err
    assert vq("decompress", "a.vqk", "--model", "model", "--out", "all").status == 0
    assert vq("extract", "a.vqk", "3.png", "0", "--model", "model", "--out", "some").status == 0
    assert sorted(path.name for path in Path("some").iterdir()) == ["0.png", "3.png"]
    for name in ("0.png", "3.png"):
        assert (np.asarray(Image.open(f"some/{name}")) == np.asarray(Image.open(f"all/{name}"))).all()
    listed = vq("inspect", "a.vqk", "--list", "--json", "i.json")
    assert [line.split()[-1] for line in listed.out.splitlines()[-4:]] == ["0.png", "1.png", "2.png", "3.png"]
    document = json.loads(Path("i.json").read_text())
    assert "bounds" not in document
    assert [each["name"] for each in document["items"]] == ["0.png", "1.png", "2.png", "3.png"]
    assert "promised" not in vq("verify", "a.vqk", "--model", "model").out


def test_fields_keep_the_bound_of_their_file(winds: Any, vq: Any) -> None:
    assert vq("add", "a.vqk", "w0.npy", "w1.npy", "--model", "model", "--max-error", "0.25").status == 0
    later = vq("add", "a.vqk", "w2.npy", "--model", "model")
    assert "every value to within 0.25, as in the file" in later.out
    assert "promised: every value (float32) to within 0.25" in vq("verify", "a.vqk", "--model", "model").out
    listed = vq("inspect", "a.vqk", "--list", "--json", "i.json").out
    assert "values:   every value (float32) to within 0.25" in listed
    assert listed.count("bits  within 0.25") == 3
    assert json.loads(Path("i.json").read_text())["bounds"]["most"] == [0.25, 0.25]
    assert vq("extract", "a.vqk", "0", "1", "2", "--model", "model", "--out", "out").status == 0
    for file, values in zip(sorted(Path("out").iterdir()), winds, strict=True):
        assert np.abs(np.load(file).astype(np.float64) - values).max() <= 0.25


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--max-error", "0.5"], ["0.25 or less"]),
        (["--max-error", "1%"], ["0.25 or less"]),
        (["--max-error", "1,2,3"], ["3 bounds for 2 channels"]),
        (["--max-error", "wide"], ["0.1%"]),
        (["--max-error", "0.1", "--lossless"], ["--lossless"]),
    ],
)
def test_bounds_that_are_refused(more: list[str], words: list[str], winds: Any, vq: Any) -> None:
    assert vq("add", "a.vqk", "w0.npy", "w1.npy", "--model", "model", "--max-error", "0.25").status == 0
    before = Path("a.vqk").read_bytes()
    refused(vq("add", "a.vqk", "w2.npy", "--model", "model", *more), *words)
    assert Path("a.vqk").read_bytes() == before


def test_a_bound_is_not_for_images(images: Path, vq: Any) -> None:
    refused(vq("add", "a.vqk", "data", "--model", "model", "--max-error", "0.1"), "for fields")
    assert not Path("a.vqk").exists()


@pytest.mark.parametrize("new", [True, False])
def test_what_stops_an_addition_leaves_the_file(
    new: bool, images: Path, vq: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not new:
        assert vq("add", "a.vqk", "data/0.png", "--model", "model").status == 0
    before = None if new else Path("a.vqk").read_bytes()
    for error, words in ((OSError(28, "No space left on device", "a.vqk"), "disk is full"), (KeyboardInterrupt(), "")):

        def fail(*_: Any, error: BaseException = error) -> None:
            raise error

        with monkeypatch.context() as patch:
            patch.setattr("vqkit.storage.growing.GrowingFile.sync", fail)
            stopped = vq("add", "a.vqk", "data", "--model", "model")
        assert stopped.status in (1, 2, 128 + signal.SIGINT)
        assert words in stopped.err
        assert "Traceback" not in stopped.err
        assert (Path("a.vqk").read_bytes() if Path("a.vqk").exists() else None) == before
    assert vq("add", "a.vqk", "data", "--model", "model").status == 0
    assert [path.name for path in Path().iterdir() if path.name.startswith(".")] == []


def test_a_second_writer_is_told_of_the_first(images: Path, vq: Any) -> None:
    from vqkit.storage.lock import file_lock

    with file_lock(Path("a.vqk"), "adding"):
        refused(vq("add", "a.vqk", "data", "--model", "model"), "a.vqk")
    assert vq("add", "a.vqk", "data", "--model", "model").status == 0


@pytest.mark.parametrize("content", [b"", b"nothing", b"\x8fVQK\r\n\x1a\n\x00\x02"])
def test_what_is_no_archive_is_left(content: bytes, images: Path, vq: Any) -> None:
    Path("a.vqk").write_bytes(content)
    outcome = vq("add", "a.vqk", "data", "--model", "model")
    refused(outcome)
    assert Path("a.vqk").read_bytes() == content
