"""The code of README.md and docs/**/*.md runs: Python as it stands, command lines against the real command line.

Python blocks of a page run in order in one namespace, in a folder that holds tiny data under the names of the pages.
Long trainings are cut short by ``SHORTER``. A block after the comment ``<!-- run: skip, reason -->`` is not run.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer

from tests.cli.cases import TINY

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
SKIP = re.compile(r"<!-- run: skip, .+ -->")
SHORTER = [
    (r"\bminutes=[\d.]+", "steps=2"),
    (r"\bsteps=\d+", "steps=2"),
    (r"\bfor_source\(data, codebook_size=\d{3,}", "for_source(data, codebook_size=16, hidden_channels=8"),
    (r"\bdownsampling=2\)", "downsampling=2, hidden_channels=8)"),
    (r'load_source\("digits"\)', 'load_source("images.npy")'),
    (r"range\(0, 3000, 3\)", "range(0, 3000, 40)"),
    (r'digits = vqkit.load_source\("builtin:digits"\)(?!\.)', 'digits = vqkit.load_source("images.npy")'),
    (r"\.sample\(64\)", ".sample(2)"),
    (r"\brange\((1000|64)\)", "range(2)"),
    (r"\bpermutations=1\)", "permutations=1, parts=1, resamples=50)"),
]
"""What makes a training of a page a matter of a second."""


WHOLE = ("scans", "satellite-scenes", "weather", "archives")
"""Pages whose Python reads what their commands wrote: ``test_page_commands.py`` runs both."""

CHEAP = ("eval", "reconstruct", "encode", "decode", "compress", "inspect", "decompress")
"""Commands of the tour that are run after its training."""


class Block(NamedTuple):
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str
    skip: bool


def blocks(page: Path) -> Iterator[Block]:
    """Read the fenced blocks of a page; one without a language holds command lines."""
    lines = page.read_text(encoding="utf-8").splitlines()
    start = None
    for number, line in enumerate(lines):
        if not line.startswith("```"):
            continue
        if start is None:
            start = number
        else:
            before = lines[start - 1] if start else ""
            language = lines[start][3:].strip() or "console"
            text = "\n".join(lines[start + 1 : number])
            yield Block(page, start + 1, language, text, bool(SKIP.fullmatch(before.strip())))
            start = None
    assert start is None, f"{page.name}:{start}: a block without an end"


BLOCKS = [block for page in PAGES for block in blocks(page)]


def commands() -> list[Any]:
    """List the vqkit command lines of all pages."""
    found = []
    for block in BLOCKS:
        if block.language in ("console", "bash", "sh"):
            for line in re.sub(r"\\\n\s*", "", block.text).splitlines():
                words = shlex.split(line.removeprefix("$ "), comments=True)
                if "vqkit" in words:
                    rest = list(takewhile(lambda word: word not in ("|", ">"), words[words.index("vqkit") + 1 :]))
                    found.append(pytest.param(rest, id=f"{block.page.name}:{block.line}-{' '.join(rest[:2])}"))
    return found


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.stem not in WHOLE and any(each.language == "python" for each in blocks(page))],
    ids=lambda page: page.name,
)
def test_python_blocks_run_in_order(page: Path, files: Path) -> None:
    namespace: dict[str, Any] = {"__name__": "page"}
    for block in blocks(page):
        if block.language == "python" and not block.skip:
            text = "\n" * block.line + block.text
            for pattern, replacement in SHORTER:
                text = re.sub(pattern, replacement, text)
            exec(compile(text, str(page), "exec"), namespace)


@pytest.mark.parametrize("words", commands())
def test_command_lines_parse(words: list[str]) -> None:
    from vqkit.cli.main import app

    command: Any = typer.main.get_command(app)
    name = "vqkit"
    while hasattr(command, "commands"):
        assert words[0] in command.commands, f"{name} has no command {words[0]}"
        name, command, words = f"{name} {words[0]}", command.commands[words[0]], words[1:]
    # Paths of the pages are not here: options, their types and the number of arguments are what is checked.
    # as below the app, since a command keeps the options of help that it is first asked for
    names = ["-h", "--help"]
    with command.make_context(name, list(words), resilient_parsing=False, help_option_names=names):
        pass


def test_the_tour_runs(files: Path, vq: Any) -> None:
    """The commands of the README's tour that take a second, one after the other, with a tiny model."""
    tour = [words.values[0] for words in commands() if words.id.startswith("README.md")]
    assert tour
    ran = []
    for words in tour:
        if words[0] == "train" and "--out" in words and "--resume" not in words and not ran:
            words = [*words[: words.index("--minutes")], *words[words.index("--minutes") + 2 :], "--steps", "2", *TINY]
        elif not ran or words[0] not in (
            "eval",
            "reconstruct",
            "encode",
            "decode",
            "compress",
            "inspect",
            "decompress",
        ):
            continue
        if "prior" in " ".join(words[1:]) or "--lossless" in words:
            continue
        outcome = vq(*words)
        assert outcome.status == 0, f"vqkit {shlex.join(words)}: {outcome.err}"
        ran.append(words[0])
    assert {"train", "eval", "encode", "decode", "compress", "decompress"} <= set(ran)


def test_every_block_says_what_it_is() -> None:
    for block in BLOCKS:
        assert block.language in ("python", "console", "bash", "sh", "text", "toml", "math", "{eval-rst}"), (
            f"{block.page}:{block.line}"
        )
    assert sum(block.language == "python" for block in BLOCKS) >= 4


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_into_pages_lead_to_a_heading(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target, heading in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", text):
        if "://" not in target and (not target or target.endswith(".md")):
            there = page.parent / target if target else page
            assert heading in headings(there), f"{page.name} links to {target}#{heading}"


def headings(page: Path) -> set[str]:
    """List what links into a page may name: its headings in small letters, blanks as hyphens, without other signs."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", line) for line in re.findall(r"^#+ (.*)$", text, re.MULTILINE))
    return {re.sub(r"[^\w -]", "", line.strip().lower()).replace(" ", "-") for line in plain}
