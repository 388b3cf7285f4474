"""Every command that is named as the next one does its work, whatever the model, the signals and the folders' names."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from vqkit.checking import counted
from vqkit.cli.main import app
from vqkit.cli.output.shell import command

NET = "--hidden-channels 8 --batch-size 8 --steps 2 --no-tensorboard"
PRIOR = "--hidden-channels 8 --layers 1 --steps 2"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose name has a blank and a quote, with images and a table."""
    folder = tmp_path / "it's my data"
    folder.mkdir()
    monkeypatch.chdir(folder)
    rng = np.random.default_rng(0)
    for number in range(12):
        Path("photos").mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(f"photos/{number}.png")
    np.save("table.npy", rng.normal(size=(40, 5)).astype(np.float32))
    np.save("vectors.npy", rng.normal(size=(12, 2)).astype(np.float32))
    return folder


def ask(line: str) -> str:
    """What a command prints; it must do what it says."""
    done = CliRunner().invoke(app, shlex.split(line))
    assert done.exit_code == 0, (line, done.exception, done.output)
    return done.stdout


def follow(said: str, **stands_for: str) -> list[str]:
    """Run every command that is named; returns them. Words in capitals are replaced."""
    found = re.findall(r"^(?:next: +| {7})vqkit (.*)$", said, re.M)
    for number, line in enumerate(found):
        words = [stands_for.get(word, word) for word in shlex.split(line)]
        out = words.index("--out") + 1 if "--out" in words else 0
        if out:
            words[out] = f"made{number}-{sum(1 for _ in Path().iterdir())}-{words[out]}"
        ask(shlex.join(words))
    return found


def test_of_images(here: Path) -> None:
    photos = {"DATA": "photos", "IMAGES": "photos", "IMAGE": "photos/1.png", "LEFT,TOP,WIDTH,HEIGHT": "0,0,4,4"}
    run = "runs of mine/-first one"
    said = ask(f"train photos --out '{run}' {NET} -k 16 --code-dim 4 -f 2")
    assert [line.split()[0] for line in follow(said, **photos)] == ["eval", "reconstruct", "encode"]
    said = ask(f"prior '{run}' {PRIOR}")
    assert [line.split()[0] for line in follow(said)] == ["sample", "eval"]
    said = ask(f"prior '{run}' {PRIOR} --kind context --out 'my prior'")
    assert [line.split()[0] for line in follow(said, **photos)] == ["compress", "sample", "eval"]
    said = ask(f"prior '{run}' {PRIOR} --crop 4 --out squares")
    assert [line.split()[0] for line in follow(said)] == ["sample"]
    said = ask(f"prior '{run}' {PRIOR} --vectors vectors.npy --set condition_dropout=0 --out vec --kind pixelcnn")
    assert "--vectors" in follow(said)[0]
    assert follow(ask(f"sample '{run}' --n 2 --prior 'my prior/run' --out 'a b'"), **photos)
    assert follow(ask(f"encode '{run}' photos --out 'my tokens'"))
    assert follow(ask(f"compress photos -m '{run}' --out 'a b.vqk' --prior 'my prior/run'"))
    said = ask("train --resume 'my prior/run' --steps 3")
    assert follow(said, MODEL=run)
    said = ask(f"lossless '{run}' --steps 1 --hidden-channels 8 --set layers=1 --out pixels")
    assert follow(said, **photos) == [f"compress IMAGES --model '{run}' --lossless --pixels pixels --out images.vqk"]
    assert follow(ask(f"compress photos -m '{run}' --out l.vqk --lossless --pixels pixels"))
    os.chdir("runs of mine")
    assert follow(ask("encode ./-first\\ one ../photos --out=-t"))


@pytest.mark.parametrize("kind", ["vae", "autoencoder", "pca"])
def test_of_models_without_a_codebook(here: Path, kind: str) -> None:
    net = "--no-tensorboard --latent-dim 3" if kind == "pca" else f"{NET} --latent-dim 3 -f 2"
    said = ask(f"train photos --out r --model {kind} {net}")
    assert [line.split()[0] for line in follow(said, DATA="photos")] == ["eval", "reconstruct"]
    assert follow(ask("sample r --n 2 --out s")) == []


def test_of_signals_that_are_no_images(here: Path) -> None:
    said = ask(f"train table.npy --out r {NET} -k 16 --code-dim 4")
    assert [line.split()[0] for line in follow(said, DATA="table.npy")] == ["eval", "encode"]
    follow(ask("encode r table.npy --out t"))
    said = ask("prior r --kind histogram")
    assert [line.split()[0] for line in follow(said, SIGNALS="table.npy")] == ["compress", "sample", "eval"]


def test_of_ids(here: Path) -> None:
    ask("train table.npy --out r --model pq -k 4 --set num_codebooks=2 --set iterations=2 --no-tensorboard")
    Path("names.txt").write_text("".join(f"item {row}\n" for row in range(40)))
    own = "--names names.txt --balanced --capacity 2 --no-last-digit"
    said = ask(f"ids r table.npy {own} --out i")
    assert "'item 0' is <a_" in said
    named = own.replace("names.txt", "MORE_NAMES")
    assert follow(said, MORE="table.npy", MORE_NAMES="names.txt") == [f"ids r MORE {named} --extend i --out more-ids"]
    assert follow(ask("ids r table.npy --out j"), MORE="table.npy") == ["ids r MORE --extend j --out more-ids"]


def test_words() -> None:
    assert command("eval", Path("-x"), "a b", "DATA") == "vqkit eval ./-x 'a b' DATA"
    assert [counted(each, "axis", "axes") for each in (0, 1, 2000)] == ["0 axes", "1 axis", "2,000 axes"]
