"""An error says its repair as whoever made it would write it: in Python, or as options of the command line."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

import vqkit
from vqkit.cli.main import app
from vqkit.cli.phrasing import as_options, options_given
from vqkit.errors import TrainingInterrupted, VqkitError
from vqkit.spelling import command_line, option, resuming, setting, spelled
from vqkit.training.reporting import interrupt

SRC = Path(__file__).parents[1] / "src" / "vqkit"
OF_COMMANDS = re.compile(
    r"(?<![\w-])--[a-z]|\bvqkit (?:train|eval|encode|decode|prior|lossless|compress|sample|info)\b"
)
OF_PYTHON = re.compile(r"\bvqkit\.[a-z_]+\(|(?<![\w/])[a-z_]+=(?!=)|\b(?:True|False)\b")
SPELLERS = ("spelled", "option", "setting", "resuming")
DOCUMENTS = (
    "spelling.py", "studies/*/report.py", "studies/*/study.py", "studies/report/*.py", "studies/opening.py",
    "studies/standard.py", "results/*.py", "results/*/*.py", "lab/look.py", "lab/pages/*.py", "lab/widgets/*.py",
)  # fmt: skip
"""Where commands may stand: pages that say which command made them; names of files; and style sheets."""
TINY = {"hidden_channels": 8, "downsampling": 2}
QUIET: dict[str, Any] = {"quiet": True, "tensorboard": False}


def strings(tree: ast.AST) -> Iterator[ast.Constant]:
    """Find the strings of a module that are neither docstrings nor arguments of what spells."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in SPELLERS:
            continue
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node
        yield from strings(node)


def told(folder: Path, pattern: re.Pattern[str], leave: tuple[str, ...] = ()) -> list[str]:
    return [
        f"{file.relative_to(SRC)}:{node.lineno}: {node.value!r}"
        for file in sorted(folder.rglob("*.py"))
        if not any(file.relative_to(SRC).match(name) for name in leave)
        for node in strings(ast.parse(file.read_text(encoding="utf-8")))
        if pattern.search(node.value)
    ]


def test_no_message_below_the_command_line_has_an_option_of_it() -> None:
    found = told(SRC, OF_COMMANDS, DOCUMENTS)
    assert not [line for line in found if not line.startswith("cli/")]
    assert len(found) > 20  # the law can see: the command line's own


def test_no_message_of_the_command_line_calls_python() -> None:
    assert not told(SRC / "cli", re.compile(r"\bvqkit\.[a-z_]+\("))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spelling")
    np.save(folder / "x.npy", np.random.default_rng(0).integers(0, 256, (24, 8, 8), dtype=np.uint8))
    data = vqkit.load_source(folder / "x.npy")
    vqkit.train(vqkit.VQVAE.for_source(data, 4, **TINY), data, out=folder / "r", steps=1, batch_size=4, **QUIET)
    return folder


Wrong = tuple[Callable[[Any, Any], Any], list[str], str, str]
WRONG: dict[str, Wrong] = {
    "run there": (
        lambda model, data: vqkit.train(model, data, out="r", steps=1, **QUIET),
        ["train", "x.npy", "--out", "r", "--steps", "1"],
        "vqkit.resume('r')",
        "vqkit train --resume r",
    ),
    "no run": (
        lambda model, data: vqkit.resume("nix"),
        ["train", "--resume", "nix"],
        "vqkit.train(model, data)",
        "vqkit train DATA",
    ),
    "no tokens": (
        lambda model, data: vqkit.tokens.load_tokens("r"),
        ["decode", "r", "r", "--out", "d"],
        "vqkit.tokenize(",
        "vqkit encode",
    ),
    "codes": (
        lambda model, data: vqkit.VQVAE(1),
        ["train", "x.npy", "--codebook-size", "1"],
        "codebook_size=2",
        "--codebook-size 2",
    ),
    "steps": (
        lambda model, data: vqkit.train(model, data, steps=0, **QUIET),
        ["train", "x.npy", "--steps", "0"],
        "steps=0",
        "--steps 0",
    ),
    "two lengths": (
        lambda model, data: vqkit.train(model, data, steps=2, minutes=1, **QUIET),
        ["train", "x.npy", "--steps", "2", "--minutes", "1"],
        "steps=2 and minutes=1",
        "--steps 2 and --minutes 1",
    ),
    "fewer steps": (
        lambda model, data: vqkit.resume("r", steps=1, batch_size=3, **QUIET),
        ["train", "--resume", "r", "--steps", "1", "--set", "batch_size=3"],
        "r",
        "r",
    ),
    "network": (
        lambda model, data: vqkit.VQVAE(8, downsampling=3),
        ["train", "x.npy", "-f", "3"],
        "encoder=...",
        "--set encoder=...",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_each_side_is_answered_in_its_words(name: str, run: Path, vq: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    call, line, of_python, of_commands = WRONG[name]
    monkeypatch.chdir(run)
    model = vqkit.load_model("r")
    with pytest.raises(VqkitError) as raised:
        call(model, vqkit.load_source("x.npy"))
    assert of_python in str(raised.value)
    assert not OF_COMMANDS.search(str(raised.value))
    answer = vq(*line)
    assert answer.status == 2
    assert of_commands in answer.err
    free = answer.err.replace(line[-1], "") if "--set" in line else re.sub(r"--set \w+=", "", answer.err)
    assert not OF_PYTHON.search(free), free
    with pytest.raises(VqkitError) as raised:  # the command has left nothing behind
        call(model, vqkit.load_source("x.npy"))
    assert not OF_COMMANDS.search(str(raised.value))


def test_threads_of_a_command_speak_as_it_does() -> None:
    with ThreadPoolExecutor(2) as pool:
        assert pool.submit(option, "out").result() == "out="
        with command_line(), command_line():
            assert pool.submit(option, "out").result() == "--out"
        assert pool.submit(option, "out").result() == "out="


def test_lines_of_a_training_speak_python_in_python() -> None:
    lines: list[str] = []

    class Said:
        def say(self, line: str, **style: object) -> None:
            lines.append(line)

        def tell(self, *arguments: object) -> None: ...

        def wait(self) -> None: ...

    said: Any = Said()
    for speaking in (command_line, nullcontext):
        with speaking(), pytest.raises(TrainingInterrupted):
            interrupt(said, Path("my run"), 3, said)
    assert lines == [
        "stopped at step 3; go on with: vqkit train --resume 'my run'",
        "stopped at step 3; go on with: vqkit.resume('my run')",
    ]


def test_words() -> None:
    assert (option("x_y", 3), option("x_y", ...), setting("a", True)) == ("x_y=3", "x_y=...", "a=True")
    with command_line():
        assert (option("x_y", 3), option("x_y", ...), setting("a", True)) == ("--x-y 3", "--x-y ...", "--set a=true")
        assert option("kind", "two words") == "--kind 'two words'"
        assert resuming(Path("-r")) == "vqkit train --resume ./-r"
        assert spelled(python="p", command="c") == "c"


def test_only_options_that_are_given_are_spelled() -> None:
    command = typer.main.get_command(app)
    line = ["train", "x.npy", "-k8", "--steps=3", "--no-flip", "--set", "decay=2", "--learning-rate", "1"]
    given = options_given(command, line)
    assert given["codebook_size"][0] == "--codebook-size"
    assert sorted(given) == ["codebook_size", "flip", "learning_rate", "set", "steps"]
    assert "steps" not in options_given(command, [*line, "--set", "steps=4"])
    assert list(given["flip"]) == ["--flip", "--no-flip"]
    assert sorted(options_given(command, ["study", "codebooks", "x.npy", "-k", "8"])) == ["sizes"]


@pytest.mark.parametrize(
    ("message", "spelled_so"),
    [
        ("steps=0: give 1", "--steps 0: give 1"),
        ("kind='a b' is unknown (steps=3, flip=True).", "--kind 'a b' is unknown (--steps 3, --flip)."),
        ("flip=False, or steps=2.5.", "--no-flip, or --steps 2.5."),
        ("choose another steps= or steps=...", "choose another --steps or --steps ..."),
        ("grid=[2, 2]: kind=None", "grid=[2, 2]: kind=None"),
        ("runs/steps=3/x and 'steps=3' and a.steps=3", "runs/steps=3/x and 'steps=3' and a.steps=3"),
        ("decay=2: less", "decay=2: less"),
    ],
)
def test_settings_in_a_message_are_options(message: str, spelled_so: str) -> None:
    options = {"steps": ["--steps"], "kind": ["--kind"], "flip": ["--flip", "--no-flip"]}
    assert as_options(message, options) == spelled_so
