"""What a source holds as a string: equal for equal signals, another for anything else."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vqkit.data import ArraySource, CenterCrops, ConcatSource, RaggedSource, RandomCrops, Source, load_source, split
from vqkit.data.identity import content_fingerprint
from vqkit.errors import DataError

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 3, 8, 6), dtype=np.uint8)
VECTORS = np.random.default_rng(1).normal(size=(12, 2)).astype(np.float32)


def array(pixels: np.ndarray[Any, Any] = PIXELS, **about: Any) -> ArraySource:
    return ArraySource(pixels.copy(), **about)


def changed(place: tuple[int, ...]) -> np.ndarray[Any, Any]:
    other = PIXELS.copy()
    other[place] ^= 1
    return other


def folder(path: Path, count: int = 6, size: tuple[int, int] = (9, 8)) -> Path:
    for number in range(count):
        (path / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        height, width = size[0] + number % 3 * (size != (9, 8)), size[1]
        pixels = np.random.default_rng(number).integers(0, 256, (height, width, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(path / "ab"[number % 2] / f"{number}.png")
    return path


def test_the_same_signals_are_the_same_wherever_they_lie(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", PIXELS)
    np.save(tmp_path / "last.npy", np.moveaxis(PIXELS, 1, -1))
    flat = RaggedSource(PIXELS.reshape(-1), np.arange(12) * 144, np.tile([8, 6], (12, 1)), channels=3)
    same = [
        array(),
        array(name="another name", notes=["a note"]),
        ArraySource(np.moveaxis(np.ascontiguousarray(np.moveaxis(PIXELS, 1, -1)), -1, 1)),
        ArraySource(PIXELS[::-1], rows=np.arange(11, -1, -1)),
        load_source(tmp_path / "x.npy"),
        load_source(tmp_path / "x.npy", memory_limit=0),
        load_source(tmp_path / "last.npy", memory_limit=0),
        flat,
        ConcatSource([array().subset(range(5)), array().subset(range(5, 12))]),
        array().subset(range(12)),
    ]
    assert len({content_fingerprint(each) for each in same}) == 1


def test_numbers_converted_when_read_are_those_converted_at_once(tmp_path: Path) -> None:
    wide = np.random.default_rng(2).integers(0, 65536, (5, 8, 8)).astype(np.uint16)
    np.save(tmp_path / "wide.npy", wide)
    now, later = load_source(tmp_path / "wide.npy"), load_source(tmp_path / "wide.npy", memory_limit=0)
    assert content_fingerprint(now) == content_fingerprint(later)


OTHERS: dict[str, Source] = {
    "first value": array(changed((0, 0, 0, 0))),
    "last value": array(changed((11, 2, 7, 5))),
    "order": array(PIXELS[::-1]),
    "fewer": array(PIXELS[:-1]),
    "subset": array().subset(range(0, 12, 2)),
    "rest": array().subset(range(1, 12, 2)),
    "sides exchanged": array(PIXELS.reshape(12, 3, 6, 8)),
    "grey": array().with_channels(1),
    "as floats": array((PIXELS / 255).astype(np.float32)),
    "one channel of more": array(PIXELS.reshape(36, 1, 8, 6)),
    "labels": array(labels=np.arange(12)),
    "other labels": array(labels=np.arange(12)[::-1]),
    "class names": array(labels=np.arange(12), class_names=list("abcdefghijkl")),
    "other class names": array(labels=np.arange(12), class_names=list("abcdefghijkm")),
    "vectors": array(vectors=VECTORS),
    "other vectors": array(vectors=-VECTORS),
    "middle": CenterCrops(array(), 4),
    "smaller middle": CenterCrops(array(), 3),
    "middle of another": CenterCrops(array(changed((0, 0, 0, 0))), 4),
    "squares": RandomCrops(array(), 4, 12),
    "other squares": RandomCrops(array(), 4, 12, seed=1),
    "mirrored squares": RandomCrops(array(), 4, 12, flip=True),
    "smaller squares": RandomCrops(array(), 3, 12),
    "squares of another": RandomCrops(array(changed((0, 0, 0, 0))), 4, 12),
    "some squares": RandomCrops(array(), 4, 24).subset(range(12, 24)),
    "joined the other way": ConcatSource([array().subset(range(5, 12)), array().subset(range(5))]),
    "joined squares": ConcatSource([RandomCrops(array(), 4, 12), array(PIXELS[:, :, :4, :4])]),
}


def test_other_signals_are_another(tmp_path: Path) -> None:
    said = {name: content_fingerprint(each) for name, each in {"plain": array(), **OTHERS}.items()}
    assert len(set(said.values())) == len(said)
    halves = split(load_source(PIXELS), 0.5)
    assert content_fingerprint(halves[0]) != content_fingerprint(halves[1])
    sounds = [ArraySource(np.zeros((2, 1, length), np.float32)) for length in (3, 4)]
    assert content_fingerprint(sounds[0]) != content_fingerprint(sounds[1])


def test_an_array_that_is_changed_in_place_is_another() -> None:
    mine = PIXELS.copy()
    data = load_source(mine)
    before = content_fingerprint(data)
    mine[3, 1, 2, 2] ^= 255
    assert content_fingerprint(data) != before
    mine[3, 1, 2, 2] ^= 255
    assert content_fingerprint(data) == before


@pytest.mark.parametrize("size", [(9, 8), (10, 7)])
def test_a_folder_is_the_same_whether_it_fits_in_memory_or_not(tmp_path: Path, size: tuple[int, int]) -> None:
    folder(tmp_path / "pictures", size=size)
    held, read = load_source(tmp_path / "pictures"), load_source(tmp_path / "pictures", memory_limit=0)
    assert type(held) is not type(read)
    for mine, theirs in (
        (held, read),
        (held.subset([4, 1, 1]), read.subset([4, 1, 1])),
        (held.with_channels(1), read.with_channels(1)),
        (held.with_channels(1).subset([0]), read.subset([0]).with_channels(1)),
        (CenterCrops(held, 4), CenterCrops(read, 4)),
        (RandomCrops(held, 4, 9), RandomCrops(read, 4, 9)),
        (ConcatSource([held, read]), ConcatSource([read, held])),
    ):
        assert content_fingerprint(mine) == content_fingerprint(theirs)
    everything = [held, held.subset([4, 1, 1]), held.subset([1, 4, 1]), held.with_channels(1), CenterCrops(held, 4)]
    assert len({content_fingerprint(each) for each in everything}) == len(everything)


def test_files_are_read_again_only_where_they_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = load_source(folder(tmp_path / "pictures"), memory_limit=0)
    before = content_fingerprint(data)
    opened: list[Path] = []
    real = Path.open
    monkeypatch.setattr(Path, "open", lambda self, *words, **named: opened.append(self) or real(self, *words, **named))
    assert content_fingerprint(data.subset(range(6))) == before
    assert opened == []
    file = tmp_path / "pictures" / "a" / "0.png"
    state = file.stat()
    pixels = np.asarray(Image.open(file)).copy()
    opened.clear()
    pixels[0, 0, 0] ^= 1
    Image.fromarray(pixels).save(file)
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))  # even where somebody has set the time back
    assert content_fingerprint(data) != before
    file.unlink()
    with pytest.raises(DataError, match=r"0\.png"):
        content_fingerprint(data)


def test_the_string_is_sha256_of_what_is_said() -> None:
    data = ArraySource(np.array([[1.0, 2.0]], np.float32))
    header = b'[1, "values", 1, 2, 0, "float32", null]'
    whole = f"[uint8 ({len(header)},)]".encode() + header + b"[int64 (1, 0)][none][none]" + data.gather([0]).tobytes()
    assert content_fingerprint(data) == hashlib.sha256(whole).hexdigest()
