"""Data at addresses: the source of the same data on this machine, fetched once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import fsspec  # type: ignore[import-untyped]
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from vqkit import load_source
from vqkit.data.identity import content_fingerprint
from vqkit.data.naming import recorded_name
from vqkit.errors import DataError
from vqkit.signals import Sound
from vqkit.storage.remote import RemoteFolder

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 8), dtype=np.uint8)


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Callable[[], str]]:
    """A folder, and what copies it to an address."""
    monkeypatch.setenv("VQKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    here = tmp_path / "here"
    here.mkdir()

    def upload() -> str:
        url = f"memory://{tmp_path.name}/far"
        fsspec.filesystem("memory").put(str(here), f"/{tmp_path.name}/far", recursive=True)
        return url

    return here, upload


def pictures(folder: Path, names: list[str]) -> None:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(PIXELS[number]).save(folder / name)


def test_a_folder_of_images_with_classes(far: tuple[Path, Callable[[], str]]) -> None:
    here, upload = far
    pictures(here, ["cat/0.png", "cat/1.png", "dog/2.png"])
    (here / "notes.txt").write_text("not fetched")
    url = upload()
    found, own = load_source(url), load_source(here)
    assert (found.name, found.spec, found.class_names) == (url, url, ["cat", "dog"])
    assert content_fingerprint(found) == content_fingerprint(own)
    assert [found.item_name(n) for n in range(3)] == [own.item_name(n) for n in range(3)]
    assert recorded_name(url) == url
    assert not list(Path("cache").rglob("notes.txt"))
    named = load_source(f"image:{url}")
    assert named.spec == f"image:{url}"


def test_single_files_and_what_is_in_them(far: tuple[Path, Callable[[], str]]) -> None:
    here, upload = far
    np.save(here / "x.npy", PIXELS)
    np.savez(here / "x.npz", images=PIXELS, others=PIXELS[:2])
    table = {"image": [_png(each) for each in PIXELS], "kind": list("aabbab")}
    pq.write_table(pa.table(table), here / "t-0.parquet")
    pq.write_table(pa.table(table), here / "t-1.parquet")
    (here / "v.csv").write_text("x,y,z\n1,2,3\n4,5,6\n")
    Sound(8000).write(np.sin(np.arange(80, dtype=np.float32))[None] / 2, here / "a.wav")
    url = upload()
    for name in ("x.npy", "x.npz:others", "t-0.parquet", "t-0.parquet:kind", "t-*.parquet", "v.csv:x,z", "a.wav"):
        found, own = load_source(f"{url}/{name}"), load_source(f"{here}/{name}")
        assert content_fingerprint(found) == content_fingerprint(own), name
        assert found.class_names == own.class_names
        assert found.spec == f"{url}/{name}"
    assert len(load_source(f"{url}/t-{{0..1}}.parquet")) == 12


def _png(pixels: np.ndarray) -> bytes:
    import io

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def test_only_what_has_changed_is_fetched_again(
    far: tuple[Path, Callable[[], str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, upload = far
    pictures(here, ["0.png", "1.png", "2.png"])
    url = upload()
    fetched: list[str] = []
    own = RemoteFolder.fetch

    def noted(self: RemoteFolder, name: str, file: Path) -> None:
        fetched.append(name)
        own(self, name, file)

    monkeypatch.setattr(RemoteFolder, "fetch", noted)
    load_source(url)
    assert sorted(fetched) == ["0.png", "1.png", "2.png"]
    fetched.clear()
    remote = RemoteFolder(url)
    remote.write("1.png", _png(PIXELS[5]))
    remote.remove("2.png")
    found = load_source(url)
    assert fetched == ["1.png"]
    np.testing.assert_array_equal(found[:][:, 0], PIXELS[[0, 5]])


def test_what_is_not_there(far: tuple[Path, Callable[[], str]]) -> None:
    here, upload = far
    (here / "notes.txt").write_text("text")
    (here / "bad.npy").write_bytes(b"no array")
    url = upload()
    with pytest.raises(DataError, match=rf"^{url}/bad.npy"):
        load_source(f"{url}/bad.npy")
    RemoteFolder(url).remove("bad.npy")
    for name, words in (
        (f"{url}/none.npy", "nothing there"),
        (url, "1 files of other kinds"),
        (f"{url}/*.parquet", "no file there has such a name"),
    ):
        with pytest.raises(DataError, match=words):
            load_source(name)


def test_two_patterns_at_one_address_keep_their_files(far: tuple[Path, Callable[[], str]]) -> None:
    here, upload = far
    pictures(here, ["train_0.png", "train_1.png", "val_2.png"])
    url = upload()
    first = load_source(f"{url}/train_*.png", memory_limit=1)
    second = load_source(f"{url}/val_*.png", memory_limit=1)
    assert (len(first), len(second), len(load_source(url)), len(load_source(f"{url}/val_*.png"))) == (2, 1, 3, 1)
    assert np.array_equal(np.sort(first.read(0), axis=None), np.sort(PIXELS[0], axis=None))
    assert np.array_equal(np.sort(second.read(0), axis=None), np.sort(PIXELS[2], axis=None))
