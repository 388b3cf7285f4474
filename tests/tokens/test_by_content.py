"""Token sets are told by content: what lies somewhere is read only where it is what would be made."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from tests.tokens.cases import ARRAYS, contents, shard_files
from vqkit import VQVAE, tokenize
from vqkit.cli.main import app
from vqkit.data import ArraySource, CenterCrops, RaggedSource, RandomCrops, Source, evaluation_batches, load_source
from vqkit.errors import ConfigError, DataError, VqkitError
from vqkit.tokens import TOKEN_FORMATS, Tokens, load_tokens
from vqkit.tokens.tokenization import matching_tokens

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 1, 8, 8), dtype=np.uint8)


def tiny(seed: int = 0, **options: Any) -> VQVAE:
    torch.manual_seed(seed)
    small = {"hidden_channels": 8, "residual_channels": 4, "code_dim": 4, "downsampling": 2, "channels": 1}
    model = VQVAE(16, **{**small, **options})
    model.prepare([torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(5))])
    return model.eval()


def data(**about: Any) -> ArraySource:
    return ArraySource(PIXELS.copy(), **about)


def grids(tokens: Tokens) -> np.ndarray[Any, Any]:
    return np.stack(list(tokens))


def changed() -> np.ndarray[Any, Any]:
    pixels = PIXELS.copy()
    pixels[5] = 255 - pixels[5]
    return pixels


def weighing(model: VQVAE) -> VQVAE:
    model.quantizer.rate_weight = 50.0
    return model


def moved(model: VQVAE) -> VQVAE:
    model.state_dict()["signal_mean"].add_(0.2)
    return model


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("VQKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # no power fails here, and disks are slow


OTHERS: dict[str, Callable[[], tuple[VQVAE, Source, dict[str, Any]]]] = {
    "another array": lambda: (tiny(), ArraySource(changed()), {}),
    "another half": lambda: (tiny(), ArraySource(np.concatenate([PIXELS[::-1], PIXELS])).subset(range(24)), {}),
    "another order": lambda: (tiny(), data().subset(np.arange(24)[::-1]), {}),
    "other crops": lambda: (tiny(), RandomCrops(data(), 8, 24, flip=True), {}),
    "the middle": lambda: (tiny(), CenterCrops(ArraySource(np.pad(PIXELS, ((0, 0), (0, 0), (3, 1), (1, 3)))), 8), {}),
    "labels": lambda: (tiny(), data(labels=np.arange(24) % 3), {}),
    "classes": lambda: (tiny(), data(labels=np.arange(24) % 3, class_names=["a", "b", "c"]), {}),
    "names": lambda: (tiny(), data(item_names=[f"{number}.png" for number in range(24)]), {}),
    "another model": lambda: (tiny(1), data(), {}),
    "a changed buffer": lambda: (moved(tiny()), data(), {}),
    "a weight set afterwards": lambda: (weighing(tiny()), data(), {}),
    "another dtype": lambda: (tiny().double(), data(), {}),
    "rate weights": lambda: (tiny(), data(), {"rate_weights": (0.0, 50.0)}),
    "their seed": lambda: (tiny(), data(), {"rate_weights": (0.0, 50.0), "seed": 1}),
    "format": lambda: (tiny(), data(), {"kind": "safetensors"}),
}


@pytest.mark.parametrize("what", OTHERS)
def test_whatever_differs_is_made_anew(tmp_path: Path, what: str) -> None:
    tokenize(tiny(), data())
    tokenize(tiny(), data(), rate_weights=(0.0, 50.0), seed=2)
    model, source, options = OTHERS[what]()
    found = tokenize(model, source, **options)
    assert found.kept == 0
    fresh = tokenize(model, source, tmp_path / "fresh", **options)
    assert np.array_equal(grids(found), grids(fresh))
    assert found.manifest == fresh.manifest
    again = tokenize(model, source, **options)
    assert (again.path, again.kept) == (found.path, 24)
    assert list((tmp_path / "here").iterdir()) == []


def test_the_same_signals_are_found_wherever_they_lie(tmp_path: Path) -> None:
    first = tokenize(tiny(), data())
    np.save("x.npy", PIXELS)
    for same in (PIXELS, torch.from_numpy(PIXELS), "x.npy", load_source("x.npy", memory_limit=0), PIXELS[:, 0]):
        found = tokenize(tiny(), same)
        assert (found.path, found.kept) == (first.path, 24)
    tiny().save_pretrained("saved")
    assert tokenize(VQVAE.from_pretrained("saved"), data()).kept == 24


def test_an_array_that_was_changed_in_place_is_encoded_anew() -> None:
    pixels = PIXELS.copy()
    tokenize(tiny(), pixels)
    pixels[3] = 255 - pixels[3]
    assert np.array_equal(grids(tokenize(tiny(), pixels)), tiny().encode(torch.from_numpy(pixels)).numpy())


def test_what_is_damaged_in_the_cache_is_made_anew() -> None:
    first = tokenize(tiny(), data(), shard_items=10)
    want = grids(first)
    for harm in (Path.unlink, lambda file: file.write_bytes(file.read_bytes()[:-9])):
        harm(first.path / "indices-00001.npy")
        again = tokenize(tiny(), data(), shard_items=10)
        assert np.array_equal(grids(again), want)
        assert again.path == first.path
    (first.path / "tokens.json").write_text("{")
    assert np.array_equal(grids(tokenize(tiny(), data())), want)


def test_a_folder_of_its_own_is_refused_with_the_difference(tmp_path: Path) -> None:
    matching_tokens(tiny(), data(), tmp_path / "t")
    assert grids(matching_tokens(tiny(), PIXELS, tmp_path / "t")).shape == (24, 4, 4)
    for what, words in {
        "another array": "other data",
        "labels": "other data",
        "names": "other names of items",
        "a weight set afterwards": "another model, or another state of it",
        "rate weights": "other rate weights",
    }.items():
        model, source, options = OTHERS[what]()
        with pytest.raises(ConfigError, match=f"holds tokens of {words}"):
            matching_tokens(model, source, tmp_path / "t", **options)


def test_sets_of_older_versions_are_compared_by_what_they_say_and_a_few_items(tmp_path: Path) -> None:
    tokens = tokenize(tiny(), data(labels=np.arange(24)), tmp_path / "t")
    manifest = {name: value for name, value in tokens.manifest.items() if name not in ("key", "names")}
    (tmp_path / "t" / "tokens.json").write_text(json.dumps(manifest))
    assert load_tokens(tmp_path / "t").item_names() is None
    labeled = data(labels=np.arange(24))
    assert len(matching_tokens(tiny(), labeled, tmp_path / "t")) == 24
    upside_down = ArraySource(PIXELS[:, :, ::-1], labels=np.arange(24))
    for model, source, words in (
        (tiny(), upside_down, r"other data \(item 0 is"),
        (weighing(tiny()), labeled, "other data"),
        (tiny(1), labeled, "another model"),
        (tiny(), labeled.subset(range(23)), "other data"),
        (tiny(), data(labels=np.arange(24)[::-1]), "other labels"),
    ):
        with pytest.raises(ConfigError, match=f"holds tokens of {words}"):
            matching_tokens(model, source, tmp_path / "t")


# --- one writer


def test_a_second_writer_is_refused_and_told_who_the_first_is(tmp_path: Path) -> None:
    refused: list[str] = []

    def second(done: int, total: int) -> None:
        if not refused:
            with pytest.raises(ConfigError, match="already encoding here") as told:
                tokenize(tiny(1), data(), tmp_path / "t", shard_items=4)
            refused.append(str(told.value))

    tokens = tokenize(tiny(), data(), tmp_path / "t", shard_items=4, batch_size=4, progress=second)
    assert f"process {os.getpid()}, since 20" in refused[0]
    assert np.array_equal(grids(tokens), tiny().encode(torch.from_numpy(PIXELS)).numpy())
    assert ".lock" not in {each.name for each in tokens.path.iterdir()}


# --- going on


def interrupted(after: int) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        if done >= after:
            raise KeyboardInterrupt

    return progress


def ragged() -> RaggedSource:
    sizes = np.array([(8 + number % 3 // 2, 8 + number // 9) for number in range(24)])
    flat = np.random.default_rng(4).integers(0, 256, int(sizes.prod(axis=1).sum()), dtype=np.uint8)
    offsets = np.cumsum([0, *sizes.prod(axis=1)[:-1]])
    names = [f"picture {number}" for number in range(24)]
    return RaggedSource(flat, offsets, sizes, channels=1, labels=np.arange(24) % 2, item_names=names)


@pytest.mark.parametrize("kind", TOKEN_FORMATS)
def test_an_encoding_goes_on_with_whole_shards(tmp_path: Path, kind: str) -> None:
    rate_weights = (0.0, 50.0) if kind in ARRAYS else ()
    several = TOKEN_FORMATS[kind].several_sizes
    source = ragged() if several else data(labels=np.arange(24), item_names=list(map(str, range(24))))
    options: dict[str, Any] = {"kind": kind, "batch_size": 5, "shard_items": 3, "rate_weights": rate_weights}
    whole = tokenize(tiny(), source, tmp_path / "whole", **options)
    for after in (4, 14, 23):
        out = tmp_path / f"t{after}"
        with pytest.raises(KeyboardInterrupt):
            tokenize(tiny(), source, out, progress=interrupted(after), **options)
        shards = shard_files(out, kind)
        stamps = {file: file.stat().st_mtime_ns for file in shards}
        seen: list[int] = []
        tokens = tokenize(tiny(), source, out, progress=lambda done, total, seen=seen: seen.append(done), **options)
        assert tokens.kept == len(shards) * (1 if kind == "llamagen" else 3)
        assert seen[0] == tokens.kept or tokens.kept == 0
        assert {file: file.stat().st_mtime_ns for file in shards} == stamps
        assert contents(out) == contents(whole.path)


def test_what_is_not_of_the_same_content_is_replaced_and_named(tmp_path: Path) -> None:
    for what, (words, options) in {
        "another array": ("other data", {}),
        "labels": ("other data", {}),
        "another model": ("another model, or another state of it", {}),
        "a weight set afterwards": ("another model, or another state of it", {}),
        "names": ("other names of items", {}),
        "format": ("another format", {}),
        "rate weights": ("other rate weights, another seed of the rate weights", {}),
        "": ("another number of items per file", {"shard_items": 4}),
    }.items():
        out = tmp_path / f"t{what}"
        with pytest.raises(KeyboardInterrupt):
            tokenize(tiny(), data(), out, shard_items=3, batch_size=4, progress=interrupted(12))
        model, source, more = OTHERS[what]() if what else (tiny(), data(), {})
        settings = {"shard_items": 3, **more, **options}
        tokens = tokenize(model, source, out, **settings)
        assert (tokens.kept, tokens.replaced) == (0, words)
        fresh = tokenize(model, source, tmp_path / f"fresh{what}", **settings)
        assert (fresh.kept, fresh.replaced) == (0, "")
        assert contents(out) == contents(fresh.path)


def test_a_shard_that_is_not_as_it_was_written_is_done_again(tmp_path: Path) -> None:
    options: dict[str, Any] = {"shard_items": 3, "batch_size": 3}
    whole = contents(tokenize(tiny(), data(labels=np.arange(24)), tmp_path / "whole", **options).path)

    def truncated(file: Path) -> None:
        file.write_bytes(file.read_bytes()[:-1])

    def flipped(file: Path) -> None:
        file.write_bytes(file.read_bytes()[:-1] + bytes([file.read_bytes()[-1] ^ 1]))

    for harm, name, kept in (
        (truncated, "indices-00002.npy", 12),
        (flipped, "labels-00001.npy", 12),
        (Path.unlink, "indices-00000.npy", 12),
        (truncated, "encoding.jsonl", 12),
        (lambda file: file.write_text("[1]\n"), "encoding.jsonl", 0),
    ):
        out = tmp_path / f"{name}{kept}"
        with pytest.raises(KeyboardInterrupt):
            tokenize(tiny(), data(labels=np.arange(24)), out, progress=interrupted(15), **options)
        harm(out / name)
        tokens = tokenize(tiny(), data(labels=np.arange(24)), out, **options)
        assert tokens.kept in (kept, kept + 3 * (name == "encoding.jsonl" and kept > 0))
        assert contents(out) == whole


def test_the_command_says_how_much_was_kept(tmp_path: Path) -> None:
    tiny().save_pretrained("model")
    np.save("x.npy", PIXELS)
    with pytest.raises(KeyboardInterrupt):
        tokenize(tiny(), "x.npy", "t", shard_items=5, batch_size=5, progress=interrupted(15))
    words = ["encode", "model", "x.npy", "--out", "t", "--threads", "1", "--shard-items"]
    done = CliRunner().invoke(app, [*words, "5"])
    assert done.exit_code == 0
    assert "kept 15 of 24 items" in done.output or "kept 10 of 24 items" in done.output
    with pytest.raises(KeyboardInterrupt):
        tokenize(tiny(), "x.npy", "u", shard_items=5, batch_size=5, progress=interrupted(15))
    done = CliRunner().invoke(app, [*words[:4], "u", *words[5:], "6"])
    assert "kept" not in done.output
    assert "another number of items per file" in done.output


def test_an_encoding_that_makes_nothing_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        tokenize(tiny(), data(), tmp_path / "t", batch_size=4, progress=interrupted(0))
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize("names", [["vectors.npy"], ["indices-00000.npy"], [".mine.part"], ["encoding.jsonl", "a.txt"]])
def test_a_folder_without_a_journal_of_ours_is_left_alone(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / "mine").mkdir(exist_ok=True)
        (tmp_path / "mine" / name).write_text("mine")
    with pytest.raises(ConfigError, match="choose a new or empty folder"):
        tokenize(tiny(), data(), tmp_path / "mine")
    assert contents(tmp_path / "mine") == dict.fromkeys(names, b"mine")


@pytest.mark.parametrize("source", [data(), ragged()], ids=["array", "ragged"])
def test_batches_from_an_item_on_are_those_of_the_whole(source: Source) -> None:
    whole = [numbers.tolist() for numbers, _ in evaluation_batches(source, 5)]
    for first in range(len(source)):
        some = [numbers.tolist() for numbers, _ in evaluation_batches(source, 5, first=first)]
        assert some == [numbers for numbers in whole if numbers[-1] >= first]


# --- names of items


@pytest.mark.parametrize("kind", TOKEN_FORMATS)
@pytest.mark.parametrize("memory_limit", [None, 0])
def test_names_of_files_are_kept(tmp_path: Path, kind: str, memory_limit: int | None) -> None:
    for number, name in enumerate(["a/1.png", "a/zwei.png", "b/line\nbreak.png", "b/x y.png"]):
        (tmp_path / "pictures" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(PIXELS[number, 0]).save(tmp_path / "pictures" / name)
    source = load_source(tmp_path / "pictures", memory_limit=memory_limit)
    tokens = tokenize(tiny(), source, tmp_path / "t", kind=kind, shard_items=3)
    assert tokens.item_names() == [source.item_name(index) for index in range(4)]
    assert tokens.item_names() == ["a/1.png", "a/zwei.png", "b/line\nbreak.png", "b/x y.png"]
    assert tokens.class_names == ["a", "b"]
    last = tokenize(tiny(), source.subset([3, 0]), tmp_path / "u", kind=kind)
    assert last.item_names() == ["b/x y.png", "a/1.png"]


def test_arrays_have_no_names(tmp_path: Path) -> None:
    tokens = tokenize(tiny(), data(), tmp_path / "t")
    assert tokens.item_names() is None
    assert sorted(contents(tokens.path)) == ["indices-00000.npy", "tokens.json"]


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    names = ["\udcff.png"] + [str(number) for number in range(23)]
    assert tokenize(tiny(), data(item_names=names), tmp_path / "t").item_names() == names
    told = tokenize(tiny(), data(item_names=names), tmp_path / "u", kind="parquet").item_names()
    assert told == ["\\udcff.png", *names[1:]]


def test_names_that_are_damaged(tmp_path: Path) -> None:
    tokens = tokenize(tiny(), data(item_names=list(map(str, range(24)))), tmp_path / "t")
    for text in ("[", '["0"]', "[1]", "{}"):
        (tokens.path / "names-00000.json").write_text(text)
        with pytest.raises(DataError, match="encode"):
            tokens.item_names()
    (tokens.path / "names-00000.json").unlink()
    with pytest.raises(VqkitError):
        tokens.item_names()
