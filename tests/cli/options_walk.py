"""What the walk over all options needs: small things to use commands on, and what came of a command."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import typer
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

from vqkit.cli.main import app
from vqkit.data import load_source
from vqkit.errors import VqkitError
from vqkit.models import MODELS
from vqkit.training import TrainConfig, train
from vqkit.training.recipes.prior import rates, train_prior

TINY = {"hidden_channels": 8, "residual_channels": 4}
_QUIET: dict[str, Any] = {"quiet": True, "tensorboard": False}
_TIMES = re.compile(r"seconds|_ms_|^date$|^machine$|^command$|^vqkit$|^name$|notes|per_second")
_SKIPPED = re.compile(r"log\.jsonl|report\.html|settings\.json|run\.json|README\.md|\.lock|measures\.jsonl")


def options_of(command: Any, name: str = "") -> dict[str, list[str]]:
    """The long names of all options of all commands, read from the app itself."""
    if hasattr(command, "commands"):
        found: dict[str, list[str]] = {}
        for word, each in command.commands.items():
            found |= options_of(each, f"{name} {word}".strip())
        return found
    return {name: [each.opts[0] for each in command.params if each.param_type_name == "option"]}


def all_options() -> dict[str, list[str]]:
    """See ``options_of``."""
    return options_of(typer.main.get_command(app))


@dataclass
class Outcome:
    """What came of a command: what it refused, or what it printed and wrote."""

    refused: str | None
    printed: list[str]
    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def files(self) -> dict[str, str]:
        """A digest of every file's content, without times, paths and settings, by its place."""
        found = {}
        for file in sorted(each for each in self.folder.rglob("*") if each.is_file()):
            place = file.relative_to(self.folder).as_posix()
            if "checkpoints/" in place or "tensorboard/" in place:
                found[re.sub(r"events\..*", "events", place)] = ""
            elif file.suffix == ".json" and not _SKIPPED.fullmatch(file.name):
                found[place] = json.dumps(_plain(json.loads(file.read_text()), self.folder))
            elif file.suffix == ".safetensors":
                found[place] = _digest(repr([(name, each.tolist()) for name, each in load_file(file).items()]).encode())
            elif not _SKIPPED.fullmatch(file.name):
                found[place] = _digest(file.read_bytes())
        return found

    def shown(self, by: str) -> Any:
        """What is compared: ``all`` files and words, ``settings``, or only the files of some name."""
        if self.refused is not None:
            return None
        if by == "all":
            return self.files, self.printed
        if by == "settings":
            return self.settings
        return {place: digest for place, digest in self.files.items() if by in place}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _plain(value: Any, folder: Path) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each, folder) for name, each in value.items() if not _TIMES.search(name)}
    if isinstance(value, list):
        return [_plain(each, folder) for each in value]
    return value.replace(str(folder), "OUT") if isinstance(value, str) else value


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


class Walk:
    """Runs commands on the things in ``things``; one that was run before is not run again."""

    def __init__(self, things: Path, outs: Path) -> None:
        self.things = things
        self.outs = outs
        self._known: dict[Any, Outcome] = {}

    def run(self, words: Sequence[str], prepare: Callable[[Path], object] | None = None) -> Outcome:
        """What comes of a command; ``OUT`` is a new folder, other words are of the things' folder."""
        key = (tuple(words), prepare)
        if key not in self._known:
            self._known[key] = self._run(words, prepare)
        return self._known[key]

    def _run(self, words: Sequence[str], prepare: Callable[[Path], object] | None) -> Outcome:
        folder = self.outs / f"{len(self._known):04d}"
        folder.mkdir()
        if prepare is not None:
            prepare(folder)
        kept = {each: each.stat().st_mtime_ns for each in self.things.rglob("*") if each.is_file()}
        with _inside(self.things):
            done = CliRunner().invoke(app, [word.replace("OUT", str(folder)) for word in words])
        new = [each for each in self.things.rglob("*") if each.is_file() and kept.get(each) != each.stat().st_mtime_ns]
        assert not new, f"{words} wrote among what it was given: {new}"
        wrong = done.exception is not None and not isinstance(done.exception, (VqkitError, SystemExit))
        assert not wrong, f"{words}: {done.exception!r}"
        refused = None
        if done.exception is not None and done.exit_code:
            refused = str(done.exception) if isinstance(done.exception, VqkitError) else done.stderr
        printed = [re.sub(r"\d[\d.,]* (s|seconds)\b", "", line) for line in done.stdout.splitlines()]
        printed = [line.replace(str(folder), "OUT") for line in printed]
        settings = {}
        for file in (*folder.rglob("run.json"), *folder.rglob("settings.json")):
            settings[file.relative_to(folder).as_posix()] = json.loads(file.read_text())
        return Outcome(refused, printed, folder, settings)


def make_things(folder: Path) -> None:
    """Images, runs of every kind of model with 3 steps, priors and files, in a folder."""
    rng = np.random.default_rng(0)
    for number in range(40):
        place = folder / "data" / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        ramp = np.add.outer(np.arange(8), np.arange(8)) * rng.integers(2, 9) + rng.integers(0, 60, (8, 8))
        Image.fromarray(ramp.astype(np.uint8) if number % 2 else 255 - ramp.astype(np.uint8)).save(
            place / f"{number:02d}.png"
        )
    for number in range(6):
        (folder / "mixed").mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (18, 16 + number), dtype=np.uint8)).save(
            folder / "mixed" / f"{number}.png"
        )
    odd = {f"{number:02d}": number % 4 for number in range(40)}
    (folder / "data" / "odd.json").write_text(json.dumps({name: {"odd": label} for name, label in odd.items()}))
    np.save(folder / "held.npy", rng.integers(0, 256, (34, 8, 8), dtype=np.uint8))
    np.save(folder / "many.npy", rng.integers(0, 256, (120, 8, 8), dtype=np.uint8))
    np.save(folder / "vectors.npy", rng.normal(size=(40, 2)).astype(np.float32))
    np.save(folder / "tail.npy", rng.normal(size=(40, 2)).astype(np.float32) + 1)
    np.save(folder / "table.npy", rng.normal(size=(60, 5)).astype(np.float32))
    mask = np.zeros((8, 8), np.uint8)
    mask[:4, :4] = 255
    Image.fromarray(mask).save(folder / "mask.png")
    with _inside(folder):
        _models(folder)


def _models(folder: Path) -> None:
    source = load_source(str(folder / "data"))
    settings: dict[str, Any] = {"steps": 3, "batch_size": 8, "learning_rate": 0.02, "average_decay": 0.0, **_QUIET}
    network = {**TINY, "downsampling": 2}
    options: dict[str, tuple[str, dict[str, Any]]] = {
        "vq": ("vqvae", {"codebook_size": 16, "code_dim": 4, **network}),
        "vq2": ("vqvae", {"codebook_size": 16, "code_dim": 4, **network, "residual_blocks": 1}),
        "rq": ("vqvae", {"codebook_size": 8, "code_dim": 4, **network, "num_codebooks": 2, "stacking": "residual"}),
        "cond": ("vqvae", {"codebook_size": 16, "code_dim": 4, "conditional": True, **network}),
        "vae": ("vae", {"latent_dim": 4, **network}),
        "gvae": ("vae", {"latent_dim": 4, "latent": "grid", **network}),
        "ae": ("autoencoder", {"latent_dim": 4, **network}),
        "pca": ("pca", {"components": 4}),
    }
    for name, (kind, own) in options.items():
        torch.manual_seed(0)
        model: Any = MODELS[kind].for_source(source, **own)
        train(model, str(folder / "data"), out=folder / name, **({**_QUIET} if kind == "pca" else settings))
    items: Any = MODELS["rq"].for_source(load_source(str(folder / "table.npy")), 4, num_codebooks=2, rounds=2)
    train(items, str(folder / "table.npy"), out=folder / "items", **_QUIET)
    np.save(folder / "first.npy", np.load(folder / "table.npy")[:30])
    (folder / "names.txt").write_text("".join(f"item {number}\n" for number in range(60)))
    vq, rq, cond = (MODELS["vqvae"].from_pretrained(folder / name) for name in ("vq", "rq", "cond"))
    config = TrainConfig(steps=3, batch_size=8, learning_rate=0.02, average_decay=0.0, evaluations=0)
    small: dict[str, Any] = {"hidden_channels": 8, "layers": 1}
    both: dict[str, Any] = {"config": config, "quiet": True}
    classes = {"classes": 2, "condition_dropout": 0.1}
    longer = {**both, "config": replace(config, steps=80, learning_rate=0.05)}
    rates(train_prior(vq, source, folder / "vq/prior", options={**small, **classes}, **longer))
    train_prior(vq, source, folder / "masked", prior_type="masked", options={**small, "heads": 2}, **both)
    vectors = np.load(folder / "vectors.npy")
    given: dict[str, Any] = {"vectors": vectors, "options": {**small, "heads": 2}, **longer}
    train_prior(vq, source, folder / "vec", prior_type="transformer", **given)
    rates(train_prior(vq, source, folder / "vq/context", prior_type="context", options=small, **both))
    train_prior(cond, source, folder / "cond/prior", prior_type="histogram", **both)
    rates(train_prior(rq, source, folder / "rq/prior", prior_type="histogram", **both))
    invoke(folder, "lossless vq --steps 2 --hidden-channels 8 --set layers=1 --set token_channels=8")
    shutil.copytree(folder / "vq/lossless", folder / "pixels")
    invoke(folder, "lossless vq --out pixels2 --steps 2 --hidden-channels 4 --set layers=1 --set token_channels=8")
    invoke(folder, "encode vq data --out tokens")
    invoke(folder, "ids items first.npy --balanced --out old")
    invoke(folder, "encode vq data/a/00.png --out tokens2")
    invoke(folder, "encode cond data --out ctokens")
    invoke(folder, "compress data --model cond --out c.vqk")
    for name, more in (("f", "--prior vq/context/run"), ("h", "--prior vq/prior/histogram"), ("l", "--lossless")):
        invoke(folder, f"compress data --model vq --out {name}.vqk {more}")
    invoke(folder, "compress data/a/00.png --model vq --out one.vqk")


def invoke(folder: Path, line: str) -> None:
    """Run a command that must do what it says."""
    with _inside(folder):
        done = CliRunner().invoke(app, line.split())
    assert done.exit_code == 0, (line, done.exception, done.output)
