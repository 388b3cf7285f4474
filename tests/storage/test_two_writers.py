"""Two who write to one place: folders of pictures, files, studies. One writes, the other is told who that is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from vqkit import VAE, VQVAE, tokenize
from vqkit.cli.main import app
from vqkit.errors import ConfigError
from vqkit.pretrained.folder import content_hash
from vqkit.storage import outputs
from vqkit.storage.lock import LOCK, file_lock, folder_lock
from vqkit.studies.alone import alone
from vqkit.tokens import detokenize, load_tokens
from vqkit.tokens.journal import ENCODING
from vqkit.tokens.places import place_of

PIXELS = np.random.default_rng(0).integers(0, 256, (80, 1, 8, 8), dtype=np.uint8)

WRITE = """
import os, sys, torch, vqkit
torch.set_num_threads(1)
data, *rest = sys.argv[1:]
own, other = (rest[start::2] for start in range(2))
model, inward, outward = other if os.fork() else own
for number in (other if model == own[0] else own)[1:]:
    os.close(int(number))
model, say = vqkit.load_model(model), open(int(outward), "w", buffering=1)
print(os.getpid(), file=say)
for line in open(int(inward)):
    try:
        vqkit.tokenize(model, data, line.strip(), shard_items=10, batch_size=10)
        print("done", file=say)
    except vqkit.VqkitError as error:
        print(error, file=say)
"""
"""A process that writes what it is told to, and a fork of it that does so too, each with pipes of its own."""


def tiny(seed: int = 0) -> VQVAE:
    torch.manual_seed(seed)
    model = VQVAE(16, channels=1, hidden_channels=8, code_dim=4, residual_channels=4)
    model.prepare([torch.from_numpy(PIXELS[:64]).float() / 255])
    return model.eval()


def test_two_processes_never_make_a_mixed_set(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", PIXELS)
    models = [tiny(seed) for seed in range(2)]
    for number, model in enumerate(models):
        model.save_pretrained(tmp_path / f"m{number}")
    inward, outward = ([os.pipe() for _ in models] for _ in range(2))
    theirs = [read for read, _ in inward], [write for _, write in outward]
    words = [*(tmp_path / f"m{number}" for number in range(2)), *theirs[0], *theirs[1]]
    program = subprocess.Popen(
        [sys.executable, "-c", WRITE, *map(str, [tmp_path / "x.npy", *words])], pass_fds=[*theirs[0], *theirs[1]]
    )
    for number in (*theirs[0], *theirs[1]):
        os.close(number)
    tell = [os.fdopen(write, "w", buffering=1) for _, write in inward]
    heard = [os.fdopen(read) for read, _ in outward]
    pids = [int(each.readline()) for each in heard]
    for trial in range(4):
        out = tmp_path / f"t{trial}"
        for each in tell:
            each.write(f"{out}\n")
        answers = [each.readline() for each in heard]
        assert sorted(answer == "done\n" for answer in answers) == [False, True]
        winner = answers.index("done\n")
        tokens = load_tokens(out)
        assert tokens.manifest["model_sha256"] == content_hash(models[winner])
        assert np.array_equal(np.stack(list(tokens)), models[winner].encode(torch.from_numpy(PIXELS)).numpy())
        told = answers[1 - winner]
        assert f"process {pids[winner]}" in told or "holds tokens of another model" in told
    for file in (*tell, *heard):
        file.close()
    assert program.wait(timeout=60) == 0


def test_an_encoding_that_begins_while_another_looks_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, seen = outputs.check_contents, []

    def begun_meanwhile(path: Path, *rest: Any) -> None:
        seen.append(path)
        path.mkdir(exist_ok=True)
        (path / ENCODING).write_text("{}\n", encoding="utf-8")
        real(path, *rest)

    monkeypatch.setattr(outputs, "check_contents", begun_meanwhile)
    place_of(tmp_path / "t").check("npy")
    assert len(seen) == 2

    def finished_meanwhile(path: Path, *rest: Any) -> None:
        monkeypatch.setattr(outputs, "check_contents", real)
        tokenize(tiny(), PIXELS[:4], path)
        raise ConfigError("holds other things")

    monkeypatch.setattr(outputs, "check_contents", finished_meanwhile)
    place_of(tmp_path / "u").check("npy")
    monkeypatch.setattr(outputs, "check_contents", real)
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "mine.txt").touch()
    with pytest.raises(ConfigError, match=r"already holds something.*mine\.txt"):
        place_of(tmp_path / "v").check("npy")


def test_pictures_are_decoded_by_one(tmp_path: Path) -> None:
    model = tiny()
    tokens = tokenize(model, PIXELS[:20], tmp_path / "t")
    refused: list[str] = []

    def second(done: int, total: int) -> None:
        if not refused:
            with pytest.raises(ConfigError, match=r"already decoding here|already holds something") as told:
                detokenize(model, tokens, tmp_path / "out")
            refused.append(str(told.value))

    assert detokenize(model, tokens, tmp_path / "out", batch_size=4, progress=second) == 20
    assert len(list((tmp_path / "out").iterdir())) == 20
    (tmp_path / "empty").mkdir()
    with folder_lock(tmp_path / "empty", "decoding"), pytest.raises(ConfigError, match="already decoding"):
        detokenize(model, tokens, tmp_path / "empty")
    (tmp_path / "empty" / LOCK).touch()  # of a process that was killed before it wrote
    assert detokenize(model, tokens, tmp_path / "empty") == 20


def commands(path: Path) -> dict[str, tuple[list[str], Path]]:
    model = str(path / "m")
    one = str(path / "one.png")
    return {
        "sample": (["sample", str(path / "vae"), "-n", "2", "--out", str(path / "s")], path / "s"),
        "edit": (["edit", model, one, "--to", one, "--out", str(path / "e")], path / "e"),
        "encode": (["encode", model, str(path / "x.npy"), "--out", str(path / "t")], path / "t"),
        "decode": (["decode", model, str(path / "tokens"), "--out", str(path / "d")], path / "d"),
        "compress": (["compress", str(path / "x.npy"), "-m", model, "-o", str(path / "c.vqk")], path / "c.vqk"),
        "decompress": (["decompress", str(path / "whole.vqk"), "-m", model, "-o", str(path / "u")], path / "u"),
        "compare": (["compare", str(path / "x.npy"), "--out", str(path / "study")], path / "study"),
        "demo": (["demo", "--out", str(path / "demo")], path / "demo"),
    }


def test_no_command_writes_where_another_process_does(tmp_path: Path) -> None:
    tiny().save_pretrained(tmp_path / "m")
    vae = VAE(4, channels=1, hidden_channels=8, residual_channels=4, size=(8, 8))
    vae.prepare([torch.from_numpy(PIXELS[:64]).float() / 255])
    vae.save_pretrained(tmp_path / "vae")
    np.save(tmp_path / "x.npy", PIXELS[:12])
    tokenize(tiny(), PIXELS[:12], tmp_path / "tokens")
    assert detokenize(tiny(), load_tokens(tmp_path / "tokens"), tmp_path / "pngs") == 12
    (tmp_path / "pngs" / "000000.png").rename(tmp_path / "one.png")
    words = ["compress", str(tmp_path / "x.npy"), "-m", str(tmp_path / "m"), "-o", str(tmp_path / "whole.vqk")]
    assert CliRunner().invoke(app, words).exit_code == 0
    for name, (words, out) in commands(tmp_path).items():
        of_file = name in ("compress", "decompress", "compare", "demo")
        lock: Callable[..., Any] = file_lock if of_file else folder_lock
        with lock(out, "testing"):
            result = CliRunner().invoke(app, words)
            told = result.output + str(result.exception or "")
            assert result.exit_code != 0, name
            assert "testing here" in told, (name, told)
        assert not out.exists(), name


def test_a_study_made_of_another_holds_its_lock_once(tmp_path: Path) -> None:
    seen: list[str] = []

    @alone
    def inner(data: str, out: str | Path) -> int:
        seen.append(data)
        with pytest.raises(ConfigError, match="already running a study here"), file_lock(Path(out), "other"):
            pass
        return len(seen)

    @alone
    def outer(*, out: Path) -> int:
        return inner("a", out) + inner("b", out=str(out))

    assert outer(out=tmp_path / "study") == 3
    assert seen == ["a", "b"]
    assert list(tmp_path.iterdir()) == []
    with file_lock(tmp_path / "study", "studying"), pytest.raises(ConfigError, match="already studying here"):
        outer(out=tmp_path / "study")
    assert inner("c", tmp_path / "study") == 3
    assert json.dumps(seen) == '["a", "b", "c"]'
