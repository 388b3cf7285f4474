"""How commands end: one line and a status for whatever a person can do, and never a traceback."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.cli.cases import SMALL, TINY, Outcome, photos, refused
from tests.storage.test_outputs import COMMANDS
from vqkit import VQVAE
from vqkit.cli import failures as ending
from vqkit.cli import main as command
from vqkit.cli.listing import listed
from vqkit.errors import ConfigError
from vqkit.resources import cache_folder
from vqkit.seeds import check_seed, later_seed
from vqkit.studies.codebooks.settings import CodebooksConfig
from vqkit.studies.ladder.settings import CompareConfig
from vqkit.training import TrainConfig
from vqkit.training.optim.optimizer import check_compiler

LAST = 2**64 - 1


@pytest.fixture
def model(vq: Any, tmp_path: Path) -> Path:
    torch.manual_seed(0)
    VQVAE(16, channels=1, **SMALL).save_pretrained(tmp_path / "model")
    np.save(tmp_path / "set.npy", np.zeros((6, 8, 8), np.uint8))
    return tmp_path / "model"


def raising(vq: Any, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> Outcome:
    """What is said when a command ends with this error."""

    def raises(what: str) -> list[str]:
        raise error

    monkeypatch.setattr("vqkit.cli.commands.info.describe", raises)
    outcome: Outcome = vq("info", "digits")
    return outcome


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (ZeroDivisionError("so it is\nand more"), 70, ["internal error", "Error: so it is", "VQKIT_TRACEBACK=1"]),
        (KeyError(), 70, ["internal error", "KeyError"]),
        (MemoryError(), 2, ["memory does not suffice", "--batch-size"]),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), 2, ["memory does not suffice"]),
        (RuntimeError("CUDA out of memory. Tried to allocate"), 2, ["memory does not suffice"]),
        (RecursionError("maximum recursion depth exceeded"), 2, ["nested too deeply"]),
        (OverflowError("int too large"), 2, ["too large"]),
        (RuntimeError("Could not determine home directory."), 2, ["home folder", "HOME"]),
        (OSError(28, "No space left on device", "a.bin"), 2, ["a.bin: the disk is full"]),
        (OSError(28, "No space left on device"), 2, ["the disk is full"]),
        (OSError(36, "File name too long", "x"), 2, ["name is too long"]),
        (PermissionError(13, "Permission denied", "a.bin"), 2, ["a.bin: Permission denied"]),
        (ConfigError("two\nlines"), 2, ["two\\nlines"]),
    ],
)  # fmt: skip
def test_every_error_is_one_line(
    vq: Any, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int, words: list[str]
) -> None:
    outcome = raising(vq, monkeypatch, error)
    assert outcome.status == status
    (line,) = outcome.err.splitlines()
    assert line.startswith("vqkit: ")
    for word in words:
        assert word in line


def test_ctrl_c_is_130_also_where_a_library_makes_something_of_it(vq: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert raising(vq, monkeypatch, KeyboardInterrupt()).status == 130
    late = ImportError("numpy could not be loaded")
    late.__cause__ = KeyboardInterrupt()
    outcome = raising(vq, monkeypatch, late)
    assert (outcome.status, outcome.err) == (130, "")


def test_who_asks_for_a_traceback_gets_one(vq: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VQKIT_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        raising(vq, monkeypatch, ZeroDivisionError())


def test_colours_only_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr("typer.secho", lambda message, err, fg: seen.append(fg))
    for name, value in (("NO_COLOR", "1"), ("TERM", "dumb")):
        with monkeypatch.context() as patch:
            patch.setenv("TERM", "xterm")
            patch.setenv(name, value)
            ending.complain("no")
            ending.warn("no")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    ending.complain("no")
    ending.warn("no")
    assert seen == [None, None, None, None, "red", "yellow"]


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONIOENCODING", "LC_ALL")}
    return subprocess.run(
        ["bash", "-c", code.replace("PYTHON", sys.executable)],
        capture_output=True,
        text=True,
        check=False,
        env={**kept, **environment},
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
def test_output_that_cannot_be_written(tmp_path: Path) -> None:
    full = python("PYTHON -m vqkit --help > /dev/full; echo status $?")
    assert full.stdout == "status 2\n"
    assert full.stderr.strip() == "vqkit: the disk is full; make room or choose another place to write to"
    closed = python("set -o pipefail; PYTHON -m vqkit --help | true; echo ${PIPESTATUS[0]}")
    assert closed.stderr == ""
    assert closed.stdout.strip() in ("0", "1")
    plain = python("PYTHON -m vqkit train --help", PYTHONIOENCODING="ascii", COLUMNS="20", LC_ALL="C")
    assert (plain.returncode, plain.stderr) == (0, "")


def test_the_module_runs_and_ctrl_c_while_it_is_loaded_is_quiet() -> None:
    assert python("PYTHON -m vqkit --version").stdout.startswith("vqkit ")
    code = (
        "import builtins, sys, vqkit.__main__ as entry\n"
        "known = builtins.__import__\n"
        "def stop(name, *rest):\n"
        "    if name == 'vqkit.cli.main': raise KeyboardInterrupt\n"
        "    return known(name, *rest)\n"
        "builtins.__import__ = stop\n"
        "entry.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "")


# ---- what a person can type


@pytest.mark.parametrize("name", sorted(COMMANDS))
@pytest.mark.parametrize("width", ["20", "40", "80", "200"])
def test_help_texts_are_whole_at_every_width(
    name: str, width: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    monkeypatch.setattr(sys, "argv", ["vqkit", *name.split(), "--help"])
    with pytest.raises(SystemExit) as stop:
        command.main()
    assert not stop.value.code
    said = capsys.readouterr()
    assert said.err == ""
    assert all(len(line) <= int(width) for line in said.out.splitlines())
    shown = " ".join(re.sub("[\u2500-\u257f]", " ", said.out).split())
    for hint in COMMANDS[name].__annotations__.values():
        for info in getattr(hint, "__metadata__", ()):
            text = listed(getattr(info, "help", None) or "")
            assert text == " ".join(text.split())
            assert not re.search(r"\[[a-zA-Z#/@]", text), f"rich takes what stands in brackets for a colour: {text}"
            if width == "200":
                assert text in shown or len(text) > 100
    assert "[[" not in shown
    assert " , " not in shown


def test_numbers_that_are_none(vq: Any, model: Path) -> None:
    train = ("train", "digits", "--out", "r", *TINY)
    for value in ("nan", "inf", "-inf", "0", "-1", "1e999"):
        refused(vq(*train, f"--minutes={value}"), "--minutes ", "a finite number above 0")
        refused(vq(*train, "--steps", 1, f"--lr={value}"), "--learning-rate ")
    for value in ("nan", "inf", "-1"):
        for name in ("checkpoint-seconds", "set=weight_decay", "set=clip_norm"):
            refused(vq(*train, "--steps", 1, *f"--{name}={value}".replace("set=", "set ").split()), "give")
    for name in ("steps", "batch-size", "crop"):
        refused(vq(*train, f"--{name}={10**26}"), f" {10**26}: give 2147483647 or less")
    for option in ("--threads", "--batch-size"):
        assert vq("encode", model, "set.npy", "--out", "t", option, "0").status == 2
    assert vq("encode", model, "set.npy", "--out", "t", "--threads", 10**26).status == 2
    assert vq("sample", model, "--out", "s", "-n", 10**26).status == 2
    assert not Path("r").exists()


def test_a_codebook_larger_than_the_memory_is_refused_with_what_it_would_take(vq: Any) -> None:
    train = ("train", "digits", "--out", "r", "--steps", 1)
    refused(vq(*train, "-k", 10**12), "--codebook-size 1000000000000: ", "takes 715,256 GiB", "--codebook-size")
    refused(vq(*train, "-k", 10**26), "GiB")
    assert not Path("r").exists()


def test_things_of_the_wrong_kind(vq: Any, model: Path, tmp_path: Path) -> None:
    Path("empty").mkdir()
    Path("zero").touch()
    for words in (
        ("info", "empty"), ("info", "zero"), ("info", ""), ("info", "~nobody-of-this-name/x"), ("info", "x" * 300),
        ("eval", "set.npy", "set.npy"), ("eval", "empty", "set.npy"), ("eval", model, "empty"), ("eval", model, model),
        ("decode", model, "zero", "--out", "d"), ("decode", model, model, "--out", "d"),
        ("decompress", "empty", "-m", model, "-o", "d"), ("decompress", "set.npy", "-m", model, "-o", "d"),
        ("inspect", "empty"), ("inspect", "zero"), ("inspect", "nowhere"), ("compress", "zero", "-m", model, "-o", "f"),
        ("sample", model, "--prior", "empty"), ("sample", model, "--prior", "set.npy"),
        ("edit", model, "zero", "--to", "set.npy:1", "--out", "e"), ("train", "--resume", "zero"),
        ("prior", model, "set.npy", "--vectors", "zero", "--out", "p"),
    ):  # fmt: skip
        refused(vq(*words))


# ---- seeds


def test_seeds_have_one_range(vq: Any, model: Path) -> None:
    for value in (-1, LAST + 1, 10**30, True, 1.5, "3"):
        with pytest.raises(ConfigError, match=r"0 to 2\*\*64 - 1"):
            check_seed(value)  # type: ignore[arg-type]
    for value in (-1, LAST + 1):
        for make in (TrainConfig, CompareConfig, CodebooksConfig):
            with pytest.raises(ConfigError, match="seed"):
                make(seed=value)
        for kind in ("ema", "gradient", "simvq", "gumbel", "ibq"):
            with pytest.raises(ConfigError, match="seed"):
                VQVAE(16, quantizer=kind, quantizer_options={"seed": value}, **SMALL)
        refused(vq("sample", model, "--out", "s", f"--seed={value}"), "seed is")
    assert later_seed(LAST) == 0
    assert later_seed(5, 3) == 8
    assert later_seed(0, -1) == -1  # which torch knows, and which runs begun before have drawn from


def test_the_last_seed_works(vq: Any, tmp_path: Path) -> None:
    data = photos(tmp_path / "p", 12, height=8, width=8)
    words = ("--quantizer", "ema", "--set", "num_codebooks=2", "--set", "stacking=residual", "--set", "evaluations=0")
    found = vq("train", data, "--out", "r", *TINY, "--steps", 2, "--seed", LAST, *words)
    assert found.status == 0, found.err


# ---- the machine


def test_compiling_without_a_compiler_is_refused_first(vq: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    refused(vq("train", "digits", "--out", "r", *TINY, "--steps", 1, "--compile"), "needs a compiler", "--no-compile")
    assert not Path("r").exists()
    with pytest.raises(ConfigError, match=r"gcc.*\$CC"):
        check_compiler(torch.device("cuda"))
    monkeypatch.setenv("CXX", "my-compiler -O3")
    monkeypatch.setattr("shutil.which", lambda name: name if name == "my-compiler" else None)
    check_compiler(torch.device("cpu"))


def test_no_home(vq: Any, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless(*_: object) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("VQKIT_CACHE", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(ConfigError, match="VQKIT_CACHE"):
        cache_folder()
    assert vq("eval", model, "set.npy").status == 0
