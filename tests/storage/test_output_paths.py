"""Where ``vqkit decompress`` writes signals: every name has a place of its own, on any system."""

from __future__ import annotations

import itertools
import random
import unicodedata
from pathlib import Path, PurePosixPath

import pytest

from vqkit.coding import check_name
from vqkit.storage.paths import OutputPaths, digits_of


def places(*names: str, suffix: str = ".png") -> list[str]:
    found = OutputPaths(enumerate(names), suffix)
    return [str(found.of(number)) for number in range(len(names))]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a.jpg", "b/c.png", "d"], ["a.png", "b/c.png", "d.png"]),
        (["a.bmp", "a.png"], ["a.bmp.png", "a.png"]),
        (["a.bmp", "a.jpg"], ["a.bmp.png", "a.jpg.png"]),
        (["a.jpg", "a.jpg.png", "a.png"], ["a.jpg.2.png", "a.jpg.png", "a.png"]),
        (["a.jpg", "a.jpg.png", "a.png", "a.jpg.2.png"], ["a.jpg.3.png", "a.jpg.png", "a.png", "a.jpg.2.png"]),
        (["x.jpg", "x.png/y.png"], ["x.jpg.png", "x.png/y.png"]),
        (["x.png/y.png", "X.jpg", "x.jpg.png/deep/z.png"], ["x.png/y.png", "X.jpg.2.png", "x.jpg.png/deep/z.png"]),
        (["A.png", "a.png"], ["A.png", "a.png.png"]),
        (["A/x.png", "a/x.png"], ["A/x.png", "a/x.png.png"]),
        (["A.jpg", "a.png"], ["A.jpg.png", "a.png"]),
        (["u\u0308.png", "\u00fc.png"], ["u\u0308.png", "\u00fc.png.png"]),
        (["a.png", "a.png", "a.png"], ["a.png", "a.png.png", "a.png.2.png"]),
    ],
)
def test_what_would_meet_is_kept_apart(names: list[str], expected: list[str]) -> None:
    assert places(*names) == expected


def test_names_that_grow_too_long_are_cut() -> None:
    long = "n" * 251
    assert places(f"{long}.jpg") == [f"{long}.png"]
    found = places(f"{long}.jpg", f"{long}.png", f"{long}.bmp", f"d/{'ü' * 300}/{long}xy")
    assert found == [f"{'n' * 250}~.png", f"{long}.png", f"{'n' * 248}~.2.png", f"d/{'ü' * 127}~/{'n' * 250}~.png"]
    assert places(f"con{' ' * 300}x", suffix=".npy") == [f"con{' ' * 247}~.npy"]  # con.npy would be a device


def test_signals_without_a_name_have_their_number() -> None:
    named = [(2, "000001.png"), (3, "_000004.bmp")]
    found = OutputPaths(named, ".png")
    assert [str(found.of(number)) for number in (0, 1, 2, 3, 4)] == [
        "000000.png", "_000001.png", "000001.png", "_000004.png", "000004.png",
    ]  # fmt: skip


def test_many_of_one_name_take_no_square_of_time() -> None:
    assert len(set(places(*["a.jpg"] * 10_000))) == 10_000


@pytest.mark.parametrize("seed", range(20))
def test_no_two_meet_and_no_file_is_a_folder(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    parts = [
        "a",
        "A",
        "a.png",
        "a.jpg",
        "a.jpg.png",
        "A.PNG",
        "ä.png",
        unicodedata.normalize("NFD", "ä.png"),
        "b" * 255,
    ]
    every = ["/".join(each) for depth in (1, 2, 3) for each in itertools.product(parts, repeat=depth)]
    names = rng.sample(every, 60)
    found = places(*names)
    assert found == places(*names)
    keys = {unicodedata.normalize("NFC", place).casefold() for place in found}
    assert len(keys) == len(names)
    folders = {str(folder) for key in keys for folder in PurePosixPath(key).parents}
    assert not keys & folders
    for place in found:
        assert check_name(place) == place
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).touch(exist_ok=False)


def test_numbers_sort_as_they_count() -> None:
    for count in (1, 1_000_000, 1_000_001):
        paths = OutputPaths((), ".png", digits_of(count))
        places = [str(paths.of(number)) for number in sorted({0, count // 2, count - 1})]
        assert places == sorted(places)
    assert str(OutputPaths((), ".png").of(7)) == "000007.png"
