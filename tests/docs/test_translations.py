"""Translated pages keep up with their originals: the same code, formulas, figures, pictures and links.

A page in ``docs/zh`` is a translation of the page of that name in ``docs``.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.docs.test_code_blocks import blocks
from tests.docs.test_site import extension

DOCS = Path(__file__).resolve().parents[2] / "docs"
TRANSLATIONS = sorted((DOCS / "zh").glob("*.md"))
PAIRS = pytest.mark.parametrize(
    ("page", "original"), [(page, DOCS / page.name) for page in TRANSLATIONS], ids=[page.name for page in TRANSLATIONS]
)
FORMULA = re.compile(r"\$([^$]+)\$")


def outside(page: Path) -> str:
    """Return a page without its blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def prose(page: Path) -> str:
    """Return a page without its blocks and its spans of code."""
    return re.sub(r"`[^`]+`", "`", outside(page))


def figures(page: Path) -> Counter[str]:
    """Count the numbers in the words and tables of a page, formulas and addresses aside."""
    words = re.sub(r"\]\([^)]*\)", "]", FORMULA.sub("", prose(page)))
    return Counter(re.findall(r"\d[\d,.]*\d|\d", words))


def targets(page: Path) -> Counter[Path]:
    """Count the files that a page links to or shows."""
    found = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", prose(page))
    return Counter((page.parent / target).resolve() for target in found)


def test_there_is_a_translation() -> None:
    assert TRANSLATIONS


@PAIRS
def test_code_is_that_of_the_original(page: Path, original: Path) -> None:
    def code(path: Path) -> list[tuple[str, str]]:
        return [(block.language, re.sub(r"\\text\{[^}]*\}", "", block.text)) for block in blocks(path)]

    assert code(page) == code(original)
    spans = [Counter(re.findall(r"`([^`\n]+)`", outside(path))) for path in (page, original)]
    assert spans[0] == spans[1]


@PAIRS
def test_figures_are_those_of_the_original(page: Path, original: Path) -> None:
    assert figures(page) == figures(original)


@PAIRS
def test_parts_pictures_and_links_are_those_of_the_original(page: Path, original: Path) -> None:
    sections = [re.findall(r"^(##+) ", outside(path), re.MULTILINE) for path in (page, original)]
    assert sections[0] == sections[1]
    ours, theirs = targets(page), targets(original)
    assert theirs.pop(page, 0) == 1, f"{original.name} has no link to its translation"
    assert ours.pop(original, 0) == 1, f"{page.name} has no link to its original"
    assert ours == theirs


@PAIRS
def test_the_sidebar_has_it_and_the_page_says_its_language(page: Path, original: Path) -> None:
    assert f"({page.parent.name}/{page.name})" in (DOCS / "README.md").read_text(encoding="utf-8")
    language_of = extension("page_language").language_of
    assert language_of(f"docs/{page.parent.name}/{page.stem}") == page.parent.name
    assert language_of(f"docs/{original.stem}") is None
    assert language_of("docs/api/vqkit") is None


def test_a_page_and_its_translation_are_run_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    execution = extension("execution")
    ran: list[str] = []

    def run(pages: dict[str, list[tuple[str, str]]]) -> dict[str, object]:
        ran.extend(code for blocks in pages.values() for _, code in blocks)
        return {
            key: {"error": "no"} if "wrong" in blocks[0][1] else {"outputs": ["out"], "seconds": 0}
            for key, blocks in pages.items()
        }

    monkeypatch.setattr(execution, "ROOT", tmp_path)
    monkeypatch.setattr(execution, "digest_of_package", str)
    monkeypatch.setattr(execution, "_run", run)
    for name, code in {"one": "right", "two": "right", "three": "wrong", "four": "wrong"}.items():
        (tmp_path / f"{name}.md").write_text(f"{name}\n```python\n{code}\n```\n", encoding="utf-8")
    found = execution.outputs_of({name: {} for name in ("one", "two", "three", "four")}, tmp_path / "cache")
    assert ran == ["right\n", "wrong\n"]
    assert found["one"]["outputs"] == found["two"]["outputs"] == ["out"]
    assert found["three"]["error"] == found["four"]["error"] == "no"
